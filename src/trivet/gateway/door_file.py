"""The file door.sqlite: uploads, downloads, ids given out beforehand; shared by all workers of a drive.

Rule: every access happens in the file's one thread, never on the event loop.
Rule: a row is written before what it tells of is acknowledged to anybody.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from trivet.errors import ConfigError

SCHEMA_VERSION = 3
_SCHEMA = """
CREATE TABLE transfers (key TEXT PRIMARY KEY, user TEXT NOT NULL, state TEXT NOT NULL,
  staged INTEGER NOT NULL, held INTEGER NOT NULL, total INTEGER, plan BLOB NOT NULL, result TEXT, error TEXT,
  created_at REAL NOT NULL, touched_at REAL NOT NULL, expires_at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_user ON transfers (user, state);
CREATE INDEX transfers_expiry ON transfers (expires_at);
CREATE TABLE generated (id TEXT PRIMARY KEY, user TEXT NOT NULL, ino INTEGER, at REAL NOT NULL) STRICT,
  WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
_DOWNLOADS = """
CREATE TABLE downloads (key TEXT PRIMARY KEY, user TEXT NOT NULL, state TEXT NOT NULL, sent INTEGER NOT NULL,
  plan BLOB NOT NULL, error TEXT, touched_at REAL NOT NULL, expires_at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX downloads_user ON downloads (user, touched_at);
CREATE INDEX downloads_expiry ON downloads (expires_at);
"""
_USAGE = """
CREATE TABLE usage (user TEXT PRIMARY KEY, day INTEGER NOT NULL, requests INTEGER NOT NULL) STRICT,
  WITHOUT ROWID;
CREATE TABLE served (user TEXT NOT NULL, file TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL,
  times INTEGER NOT NULL, bytes INTEGER NOT NULL, last_s REAL NOT NULL, PRIMARY KEY (user, file)) STRICT,
  WITHOUT ROWID;
CREATE INDEX served_last ON served (user, last_s);
"""
_BUSY_S = 10.0

Result = TypeVar("Result")


class DoorFile:
    """The database at `path`, made when missing; `close` it. Raises ConfigError when it can't be used."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="door")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._prepare(path)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path} can't be used as the list of transfers: {error}") from error

    def _prepare(self, path: Path) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._run(_SCHEMA)
            self._db.execute("INSERT INTO settings VALUES ('secret', ?)", (os.urandom(32),))
        if version < SCHEMA_VERSION:
            if version < SCHEMA_VERSION - 1:
                self._run(_DOWNLOADS)
            self._run(_USAGE)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._db.execute("COMMIT")
        if version > SCHEMA_VERSION:
            raise ConfigError(f"{path} was made by another version of trivet; use that one")

    def _run(self, statements: str) -> None:
        for statement in statements.split(";"):
            self._db.execute(statement)

    async def write(self, statement: str, *values: Any) -> int:
        """Run one changing `statement`; return how many rows it changed."""
        return await self._in_thread(lambda: self._db.execute(statement, values).rowcount)

    async def write_all(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one changing `statement` for each of `rows`, in one transaction."""

        def work() -> None:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")

        await self._in_thread(work)

    async def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows that `statement` selects."""
        return await self._in_thread(lambda: self._db.execute(statement, values).fetchall())

    async def row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row that `statement` selects, or None."""
        found = await self.rows(statement, *values)
        return found[0] if found else None

    async def secret(self) -> str:
        """Return what page tokens are sealed with, the same in every worker."""
        found = await self.row("SELECT value FROM settings WHERE name = 'secret'")
        assert found is not None
        return bytes(found[0]).hex()

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """Let go of the file."""
        self._thread.shutdown()
        self._db.close()
