"""What was repaired, kept on disk so that people can ask later.

Rule: a repair is written down after it was read back and verified, never before.
Rule: a history that can't be read is put aside, one that has no room left is not written; healing goes on.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from trivet.wire.control_messages import FINDINGS_MAX, Finding, RepairHistory

log = logging.getLogger(__name__)

KEPT_ROWS = 200_000
Result = TypeVar("Result")


class RepairLog:
    """The history of repairs in one SQLite file, written off the loop by one owned thread."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="repair-log")
        self._path = path
        self._database: sqlite3.Connection | None = None
        self.total = 0

    async def open(self) -> None:
        """Open the file (a damaged one is put aside) and count what is in it."""
        self.total = await self._run(self._open)

    async def close(self) -> None:
        """Write what is pending and close the file."""
        await self._run(self._close)
        self._thread.shutdown()

    async def add(self, findings: list[Finding]) -> None:
        """Write repairs down."""
        self.total += len(findings)
        await self._run(self._add, findings)

    async def since(self, at_s: float, most: int = FINDINGS_MAX) -> RepairHistory:
        """Return the `most` newest repairs since `at_s` (seconds since the epoch), oldest first."""
        return await self._run(self._healing, self._since, at_s, most)

    async def _run(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _open(self) -> int:
        try:
            return self._connect()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return self._put_aside(error)

    def _put_aside(self, error: Exception) -> int:
        aside = self._path.with_suffix(".damaged")
        log.error("%s can't be read (%s): moved to %s", self._path, error, aside.name)
        self._close()
        self._path.replace(aside)
        return self._connect()

    def _connect(self) -> int:
        self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS repairs (id INTEGER PRIMARY KEY, at_s REAL, finding BLOB)"
        )
        row = self._database.execute("SELECT count(*) FROM repairs").fetchone()
        return int(row[0])

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _add(self, findings: list[Finding]) -> None:
        try:
            self._healing(self._insert, findings)
        except sqlite3.OperationalError as error:
            log.warning("%s repairs could not be written down: %s", len(findings), error)

    def _healing(self, ask: Callable[..., Result], *arguments: object) -> Result:
        """Return what `ask` does; if the file is damaged, put it aside and ask once more."""
        try:
            return ask(*arguments)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                raise
            self._put_aside(error)
        return ask(*arguments)

    def _insert(self, findings: list[Finding]) -> None:
        assert self._database is not None
        rows = [(finding.at_s, msgspec.json.encode(finding)) for finding in findings]
        with self._database:  # commits, or rolls back
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO repairs (at_s, finding) VALUES (?, ?)", rows)
            self._database.execute(
                "DELETE FROM repairs WHERE id <= (SELECT max(id) FROM repairs) - ?", (KEPT_ROWS,)
            )

    def _since(self, at_s: float, most: int) -> RepairHistory:
        assert self._database is not None
        where = "FROM repairs WHERE at_s >= ?"
        (count,) = self._database.execute(f"SELECT count(*) {where}", (at_s,)).fetchone()
        rows = self._database.execute(f"SELECT finding {where} ORDER BY id DESC LIMIT ?", (at_s, most))
        repairs = [msgspec.json.decode(blob, type=Finding) for (blob,) in rows]
        return RepairHistory(repairs[::-1], max(0, count - most))
