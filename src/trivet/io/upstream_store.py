"""The file upstream.sqlite of one upstream: what is at the vendor, what must still go there, who waits.

Rule: a row is written before what it tells of is done or acknowledged.
Rule: every access happens in the file's one thread, unless `direct` (tests in virtual time).
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from trivet.errors import ConfigError

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE mirror (id TEXT PRIMARY KEY, ino INTEGER UNIQUE, parent TEXT NOT NULL, name TEXT NOT NULL,
  mount_name TEXT NOT NULL, md5 TEXT, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  agreed INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX mirror_parent ON mirror (parent);
CREATE TABLE outbox (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, attempts INTEGER NOT NULL,
  due_s REAL NOT NULL, session TEXT, md5 TEXT, error TEXT, since_s REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE transfers (seq INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, id TEXT NOT NULL,
  ino INTEGER NOT NULL, user TEXT NOT NULL, direction TEXT NOT NULL, name TEXT NOT NULL,
  size INTEGER NOT NULL, moved INTEGER NOT NULL, state TEXT NOT NULL, error TEXT, since_s REAL NOT NULL,
  touched_s REAL NOT NULL) STRICT;
CREATE INDEX transfers_state ON transfers (state);
CREATE TABLE notices (at_s REAL NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
_SECOND = """
ALTER TABLE notices ADD COLUMN user TEXT NOT NULL DEFAULT '';
CREATE TABLE removals (id TEXT PRIMARY KEY, at_s REAL NOT NULL) STRICT, WITHOUT ROWID;
"""
#: What makes each version of the file out of the one before.
_STEPS = (_SCHEMA, _SECOND)

Result = TypeVar("Result")


class UpstreamStore:
    """The database at `path`, made when missing; `close` it. Raises ConfigError when it can't be used."""

    def __init__(self, path: Path, *, direct: bool = False) -> None:
        self._thread = None if direct else ThreadPoolExecutor(1, thread_name_prefix="upstream")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self.path = path
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {'OFF' if direct else 'FULL'}")
            self._prepare(path)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path} can't be used as the list of the upstream: {error}") from error

    def _prepare(self, path: Path) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version < SCHEMA_VERSION:
            steps = ";".join(_STEPS[version:])
            for statement in ("BEGIN IMMEDIATE", *steps.split(";")):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._db.execute("COMMIT")
        elif version > SCHEMA_VERSION:
            raise ConfigError(f"{path} was made by another version of trivet; use that one")

    @property
    def changes(self) -> int:
        """How many rows were written since the start; whoever sees it grow has something to tell."""
        return self._db.total_changes

    async def write(self, statement: str, *values: Any) -> int:
        """Run one changing `statement`; return how many rows it changed."""
        return await self._run(lambda: self._db.execute(statement, values).rowcount)

    async def write_all(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one changing `statement` for each of `rows`, in one transaction."""

        def work() -> None:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")

        await self._run(work)

    async def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows that `statement` selects."""
        return await self._run(lambda: self._db.execute(statement, values).fetchall())

    async def row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row that `statement` selects, or None."""
        found = await self.rows(statement, *values)
        return found[0] if found else None

    async def setting(self, name: str) -> str | None:
        """Return what is kept under `name`, or None."""
        row = await self.row("SELECT value FROM settings WHERE name = ?", name)
        return None if row is None else str(row[0])

    async def keep(self, name: str, value: str) -> None:
        """Keep `value` under `name`."""
        await self.write("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, value)

    async def _run(self, call: Callable[[], Result]) -> Result:
        if self._thread is None:
            return call()
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """Let go of the file."""
        if self._thread is not None:
            self._thread.shutdown()
        self._db.close()
