"""The file people.sqlite: users, rights, tokens, sessions, locks; shared by all workers of a drive.

Rule: reads may happen on the event loop (readers never wait for a writer in WAL); every write happens in
the file's one writing thread, in one immediate transaction.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from trivet.errors import ConfigError

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT, admin INTEGER NOT NULL, disabled INTEGER NOT NULL,
  created_at REAL NOT NULL, last_login_at REAL) STRICT;
CREATE TABLE members (user TEXT NOT NULL REFERENCES users (name), in_group TEXT NOT NULL,
  PRIMARY KEY (user, in_group)) STRICT, WITHOUT ROWID;
CREATE TABLE rights (kind TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, verbs TEXT NOT NULL,
  PRIMARY KEY (kind, name, path)) STRICT, WITHOUT ROWID;
CREATE TABLE tokens (id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, user TEXT NOT NULL, path TEXT NOT NULL,
  verbs TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, revoked_at REAL) STRICT;
CREATE TABLE sessions (digest BLOB PRIMARY KEY, user TEXT, content BLOB NOT NULL, created_at REAL NOT NULL,
  seen_at REAL NOT NULL, expires_at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX sessions_user ON sessions (user);
CREATE TABLE login_links (digest BLOB PRIMARY KEY, user TEXT NOT NULL, expires_at REAL NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE failures (key TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE INDEX failures_key ON failures (key, at);
CREATE TABLE locks (token INTEGER PRIMARY KEY AUTOINCREMENT, ino INTEGER NOT NULL, owner TEXT NOT NULL,
  mode TEXT NOT NULL, expires_at REAL NOT NULL) STRICT;
CREATE INDEX locks_ino ON locks (ino);
CREATE INDEX locks_owner ON locks (owner);
"""
_BUSY_S = 10.0

Result = TypeVar("Result")


class PeopleFile:
    """The database at `path`, made when missing, readable by its owner alone; `close` it.

    Raises ConfigError when the file is something else or can't be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._writer = self._connect()
            self._reader = self._connect()
            self._prepare()
            self._reader.execute("PRAGMA query_only = ON")
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path} can't be used as the list of users: {error}") from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="people")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _prepare(self) -> None:
        with self.writing() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                db.execute("INSERT INTO settings VALUES ('secret', ?)", (os.urandom(32),))
            elif version != SCHEMA_VERSION:
                raise ConfigError(f"{self.path} was made by another version of trivet; use that one")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection within one transaction: all of it happens, or nothing when it raises."""
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    async def in_thread(self, call: Callable[[], Result]) -> Result:
        """Run `call`, which writes, in the writing thread and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows `statement` selects, as of the last transaction of any process."""
        return self._reader.execute(statement, values).fetchall()

    def row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row `statement` selects, or None."""
        found: tuple[Any, ...] | None = self._reader.execute(statement, values).fetchone()
        return found

    def secret(self) -> bytes:
        """Return the key that signs cookies, the same in every worker."""
        found = self.row("SELECT value FROM settings WHERE name = 'secret'")
        assert found is not None
        return bytes(found[0])

    def close(self) -> None:
        """Let go of the file."""
        self._thread.shutdown()
        self._reader.close()
        self._writer.close()
