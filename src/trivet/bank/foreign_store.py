"""What somebody put in by hand through the XML-RPC door: kept until it expires, no part of the file system.

Rule: repair and Reset never touch it; only its own clock removes an entry.
Rule: a file that can't be read is moved aside, whenever that shows; the server goes on with an empty one.
Rule: within one boot time is measured by the boot clock, so that a wall clock set wrong expires nothing.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from trivet.bank.table_errors import TABLE_ERRORS, is_damage
from trivet.errors import ConfigError, NoSpace
from trivet.io.disk import boot_id

log = logging.getLogger(__name__)

_T = TypeVar("_T")
MAX_ENTRIES = 10_000
MAX_BYTES = 64 << 20
MAX_TTL_S = (1 << 31) - 1
_SCHEMA = """CREATE TABLE IF NOT EXISTS foreign_entries(
key BLOB PRIMARY KEY, value BLOB, expires REAL, boot TEXT, boot_expires REAL)"""
_PURGE = """DELETE FROM foreign_entries
WHERE (boot = ?1 AND boot_expires <= ?2) OR (boot != ?1 AND expires <= ?3)"""


class ForeignEntry(NamedTuple):
    """One entry and how many seconds it has left."""

    key: bytes
    value: bytes
    ttl_s: int


class ForeignStore:
    """The entries in the SQLite file `path`; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._boot = boot_id()
        self.count = 0
        self._connection: sqlite3.Connection | None = None
        try:
            self._healing(self._purge)
        except sqlite3.Error as error:
            raise ConfigError(f"{self._path} can't be opened: {error}; end what else uses it") from error

    @property
    def _sql(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._connection.execute(_SCHEMA)
        return self._connection

    def _healing(self, ask: Callable[[], _T]) -> _T:
        """Return what `ask` does; if the file is damaged, move it aside and ask once more."""
        try:
            return ask()
        except TABLE_ERRORS as error:
            if not is_damage(error):
                raise
            damaged = self._path.with_name(self._path.name + ".damaged")
            log.error("%s can't be read (%s): moved to %s", self._path, error, damaged.name)
        self.close()
        if self._path.exists():
            self._path.rename(damaged)
        return ask()

    def put(self, key: bytes, value: bytes, ttl_s: int) -> None:
        """Keep `value` under `key` for `ttl_s` seconds; raises NoSpace when there is too much already."""
        self._healing(lambda: self._put(key, value, ttl_s))

    def _put(self, key: bytes, value: bytes, ttl_s: int) -> None:
        self._purge()
        held = self._sql.execute("SELECT count(*), sum(length(value)) FROM foreign_entries").fetchone()
        if held[0] >= MAX_ENTRIES or (held[1] or 0) + len(value) > MAX_BYTES:
            raise NoSpace("this server keeps no more entries put in by hand")
        row = (key, value, time.time() + ttl_s, self._boot, _boot_clock() + ttl_s)
        try:
            self._sql.execute("INSERT OR REPLACE INTO foreign_entries VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            if is_damage(error):
                raise
            raise NoSpace(f"the entry can't be kept: {error}") from error
        self._purge()

    def get(self, key: bytes) -> ForeignEntry | None:
        """Return the entry of `key`, None if there is none or it has expired."""
        query = "SELECT key, value, expires, boot, boot_expires FROM foreign_entries WHERE key = ?"
        row = self._healing(lambda: self._sql.execute(query, (key,)).fetchone())
        return self._alive(*row) if row is not None else None

    def entries(self, limit: int) -> list[ForeignEntry]:
        """Return up to `limit` entries in key order."""
        query = "SELECT key, value, expires, boot, boot_expires FROM foreign_entries ORDER BY key LIMIT ?"
        rows = self._healing(lambda: self._sql.execute(query, (limit,)).fetchall())
        return [entry for row in rows if (entry := self._alive(*row)) is not None]

    def _alive(
        self, key: object, value: object, expires: object, boot: object, boot_expires: object
    ) -> ForeignEntry | None:
        """Return the entry if it has not expired; None for what damage made of one, too."""
        if not (isinstance(key, bytes) and isinstance(value, bytes)):
            return None
        if not (isinstance(expires, float) and isinstance(boot_expires, float)):
            return None
        left_s = boot_expires - _boot_clock() if boot == self._boot else expires - time.time()
        return ForeignEntry(key, value, int(min(left_s, MAX_TTL_S))) if left_s > 0 else None

    def _purge(self) -> None:
        try:
            self._sql.execute(_PURGE, (self._boot, _boot_clock(), time.time()))
        except sqlite3.OperationalError as error:
            if is_damage(error):
                raise
            # a full disk; they go the next time
        self.count = self._sql.execute("SELECT count(*) FROM foreign_entries").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _boot_clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
