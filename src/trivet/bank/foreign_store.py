"""What somebody put in by hand through the XML-RPC door: kept until it expires, no part of the file system.

Rule: repair and Reset never touch it; only its own clock removes an entry.
Rule: within one boot time is measured by the boot clock, so that a wall clock set wrong expires nothing.
"""

import contextlib
import logging
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from trivet.bank.record_table import is_damage
from trivet.errors import ConfigError, NoSpace
from trivet.io.disk import boot_id

log = logging.getLogger(__name__)

MAX_ENTRIES = 10_000
MAX_BYTES = 64 << 20
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
        self._sql = self._connect()
        self.count = 0
        self._purge()

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._try_to_connect()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise ConfigError(f"{self._path} can't be opened: {error}; end what else uses it") from error
            damaged = self._path.with_name(self._path.name + ".damaged")
            log.error("%s can't be read (%s): moved to %s", self._path, error, damaged.name)
            self._path.rename(damaged)
            return self._try_to_connect()

    def _try_to_connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute(_SCHEMA)
        return connection

    def put(self, key: bytes, value: bytes, ttl_s: int) -> None:
        """Keep `value` under `key` for `ttl_s` seconds; raises NoSpace when there is too much already."""
        self._purge()
        held = self._sql.execute("SELECT count(*), sum(length(value)) FROM foreign_entries").fetchone()
        if held[0] >= MAX_ENTRIES or (held[1] or 0) + len(value) > MAX_BYTES:
            raise NoSpace("this server keeps no more entries put in by hand")
        row = (key, value, time.time() + ttl_s, self._boot, _boot_clock() + ttl_s)
        try:
            self._sql.execute("INSERT OR REPLACE INTO foreign_entries VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            raise NoSpace(f"the entry can't be kept: {error}") from error
        self._purge()

    def get(self, key: bytes) -> ForeignEntry | None:
        """Return the entry of `key`, None if there is none or it has expired."""
        query = "SELECT key, value, expires, boot, boot_expires FROM foreign_entries WHERE key = ?"
        row = self._sql.execute(query, (key,)).fetchone()
        return self._alive(*row) if row is not None else None

    def entries(self, limit: int) -> list[ForeignEntry]:
        """Return up to `limit` entries in key order."""
        query = "SELECT key, value, expires, boot, boot_expires FROM foreign_entries ORDER BY key LIMIT ?"
        found = [self._alive(*row) for row in self._sql.execute(query, (limit,))]
        return [entry for entry in found if entry is not None]

    def _alive(
        self, key: bytes, value: bytes, expires: float, boot: str, boot_expires: float
    ) -> ForeignEntry | None:
        left_s = boot_expires - _boot_clock() if boot == self._boot else expires - time.time()
        return ForeignEntry(key, value, int(left_s)) if left_s > 0 else None

    def _purge(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError):  # a full disk; they go the next time
            self._sql.execute(_PURGE, (self._boot, _boot_clock(), time.time()))
        self.count = self._sql.execute("SELECT count(*) FROM foreign_entries").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._sql.close()


def _boot_clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
