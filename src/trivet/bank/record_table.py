"""The table of records in SQLite: rows as they were put, each with its MAC, and the slot they show.

Rule: one connection, used by one thread at a time; opened exclusively, so SQLite maps no file into memory
that somebody could cut off under us.
Rule: a file that can't be read as a database is made anew from the rows in it that are still valid; what is
missing then shows in the digests, and the keeper puts it back.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from trivet.bank.overlay import Change
from trivet.bank.store_thread import Steps
from trivet.bank.stored_rows import next_key, row_of
from trivet.bank.summing import NO_SUMS, Summing, TableSums
from trivet.bank.table_errors import TABLE_ERRORS, is_damage
from trivet.errors import ConfigError
from trivet.io.disk import read_ahead
from trivet.wire.records import Row, bucket_of, record_mac, row_is_valid

log = logging.getLogger(__name__)

_STEP_ROWS = 256
_LISTING_BYTES = 8 << 20
_SUM_STEPS = 16
_SOON_COUNTED_BYTES = 64 << 20  # counting reads the whole file
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records(key BLOB PRIMARY KEY, slot INTEGER, value BLOB, mac BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shown(one INTEGER PRIMARY KEY CHECK (one = 1), slot INTEGER, mac BLOB);
CREATE TABLE IF NOT EXISTS counted(one INTEGER PRIMARY KEY CHECK (one = 1), rows INTEGER);
"""
_PUT = """INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT(key) DO UPDATE
SET slot = excluded.slot, value = excluded.value, mac = excluded.mac WHERE excluded.slot > records.slot"""
_DELETE = "DELETE FROM records WHERE key = ? AND slot < ?"
_COUNT = "SELECT count(*) FROM records"
_COLUMNS = "SELECT key, slot, value, mac FROM records"
_PAGE = "key >= x'622f' AND key < x'6230'"  # b/...
_BUT_BODIES = f"SELECT key, slot, iif({_PAGE}, x'', value), iif({_PAGE}, x'', mac) FROM records"

Listing = Steps[tuple[list[Row], bool]]


class RecordTable:
    """The records of one server in the file `path`; `applied` is the slot they show, -1 if nobody knows."""

    def __init__(self, path: Path, volume_key: bytes) -> None:
        self._path = path
        self._key = volume_key
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._summing: Summing | None = None
        self.applied = -1
        self.count = 0

    def open(self) -> None:
        """Open the file, or make it (anew, when it is damaged); ConfigError if another program holds it."""
        try:
            self._connect()
            self.applied = self._read_applied()
        except TABLE_ERRORS as error:
            if not is_damage(error):
                raise ConfigError(f"{self._path} can't be opened: {error}; end what else uses it") from error
            self.rebuild(str(error))

    def _connect(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -8192")
        connection.executescript(_SCHEMA)
        status = self._path.stat()
        self._identity = (status.st_dev, status.st_ino)
        told = "SELECT rows FROM counted" if status.st_size > _SOON_COUNTED_BYTES else _COUNT
        self.count = (connection.execute(told).fetchone() or connection.execute(_COUNT).fetchone())[0]

    @property
    def _sql(self) -> sqlite3.Connection:
        assert self._connection is not None, "the table is closed"
        return self._connection

    def _read_applied(self) -> int:
        row = self._sql.execute("SELECT slot, mac FROM shown").fetchone()
        if row is None or not isinstance(row[0], int) or row[0] < 0 or row[1] != self._applied_mac(row[0]):
            return -1
        return int(row[0])

    def _applied_mac(self, slot: int) -> bytes:
        return bytes(blake3(b"shown" + slot.to_bytes(8, "big"), key=self._key).digest(length=16))

    def apply(self, slot: int, changes: Mapping[bytes, Change]) -> Steps[None]:
        """Bring the rows to `slot` by `changes` (last change of each key), in one transaction."""
        puts = [
            (key, change.slot, change.value, record_mac(self._key, key, change.slot, change.value))
            for key, change in changes.items()
            if change.value is not None
        ]
        deletes = [(key, change.slot) for key, change in changes.items() if change.value is None]
        with self._transaction(changes) as sql:
            for at in range(0, len(puts), _STEP_ROWS):
                sql.executemany(_PUT, puts[at : at + _STEP_ROWS])
                yield
            sql.executemany(_DELETE, deletes)
            self._show(slot)
        self.applied = slot  # not before the commit: on a full disk it is that which fails

    def _show(self, slot: int) -> None:
        self._sql.execute("INSERT OR REPLACE INTO shown VALUES (1, ?, ?)", (slot, self._applied_mac(slot)))
        self._sql.execute("INSERT OR REPLACE INTO counted VALUES (1, ?)", (self.count,))

    def skip_to(self, slot: int) -> None:
        """Say that the rows show `slot`, whatever they are."""
        self._show(slot)
        self.applied = slot

    def wipe(self, slot: int) -> None:
        """Remove all rows; those that follow show `slot`."""
        self.close()
        self._remove()
        self._connect()
        self.skip_to(slot)

    def rows_of(self, keys: Iterable[bytes]) -> list[Row]:
        """Return the rows of those `keys` that have one, as they stand."""
        execute = self._sql.execute
        found = (execute(_COLUMNS + " WHERE key = ?", (key,)).fetchone() for key in keys)
        return [row_of(row) for row in found if row is not None]

    def rows_after(self, after: bytes, limit: int, bucket: int, *, bodies: bool = True) -> Listing:
        """Return up to `limit` rows behind `after` (of one `bucket`, or -1: all), and if more follow.

        Without `bodies` rows of pages have no value and no MAC: to read those takes longest.
        """
        if not after:
            yield from read_ahead(self._path)
        cursor = self._sql.execute(
            f"{_COLUMNS if bodies else _BUT_BODIES} WHERE key > ? ORDER BY key", (after,)
        )
        rows: list[Row] = []
        size, last = 0, after
        try:
            while batch := cursor.fetchmany(_STEP_ROWS):
                for found in batch:
                    row = row_of(found)
                    last = next_key(row, last)
                    if bucket < 0 or bucket_of(row.key) == bucket:
                        if len(rows) == limit or size > _LISTING_BYTES:
                            return rows, True
                        rows.append(row)
                        size += len(row.value)
                yield
        finally:
            cursor.close()
        return rows, False

    def keys_between(self, first: bytes, end: bytes, limit: int) -> list[bytes]:
        """Return up to `limit` keys in [`first`, `end`), in order."""
        query = "SELECT key FROM records WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        return [key for (key,) in self._sql.execute(query, (first, end, limit)) if isinstance(key, bytes)]

    def put_rows(self, rows: Sequence[Row]) -> None:
        """Put valid `rows` over what stands there, unless that is valid and newer."""
        with self._transaction(row.key for row in rows) as sql:
            for row in rows:
                standing = next(iter(self.rows_of([row.key])), None)
                if standing is None:
                    self.count += 1
                elif standing.slot > row.slot and row_is_valid(self._key, standing):
                    continue
                sql.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)",
                    (row.key, row.slot, row.value, row.mac),
                )

    def delete_rows(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Delete each (key, slot) if the row there is damaged or stands at that slot."""
        with self._transaction(key for key, _ in rows) as sql:
            for key, slot in rows:
                standing = next(iter(self.rows_of([key])), None)
                if standing is not None and (standing.slot == slot or not row_is_valid(self._key, standing)):
                    sql.execute("DELETE FROM records WHERE key = ?", (key,))
                    self.count -= 1

    def spoil(self, key: bytes, value: bytes) -> None:
        """Put `value` into the row of `key`, leaving slot and MAC as they are."""
        self._sql.execute("UPDATE records SET value = ? WHERE key = ?", (value, key))

    def begin_sums(self) -> Steps[None]:
        """Begin to sum the rows up as they are read from the disk."""
        yield from read_ahead(self._path)
        self._sql.execute("PRAGMA shrink_memory")  # what stands in SQLite's cache says nothing of the disk
        self._summing = Summing(self._key)

    def sum_on(self) -> Steps[TableSums | None]:
        """Take the next rows into the sums; return them once all are, None before that."""
        summing = self._summing
        if summing is None:
            return NO_SUMS
        where, last = (" WHERE key > ?", (summing.last,)) if summing.last else ("", ())
        cursor = self._sql.execute(f"{_COLUMNS}{where} ORDER BY key", last)
        try:
            for _ in range(_SUM_STEPS):
                batch = cursor.fetchmany(_STEP_ROWS)
                for found in batch:
                    row = row_of(found)
                    summing.last = next_key(row, summing.last)
                    summing.take(row)
                if len(batch) < _STEP_ROWS:
                    break
                yield
            else:
                return None
        finally:
            cursor.close()
        self._summing = None
        sums = summing.result(self.applied)
        self.count = sums.rows
        return sums

    def sync(self) -> None:
        """Make everything applied survive a power loss."""
        self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def is_in_place(self) -> bool:
        """Tell whether the path still leads to the file that was opened."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def rebuild(self, why: str) -> None:
        """Make the file anew from those rows that can still be read and are valid."""
        fresh = RecordTable(self._path.with_name(self._path.name + ".new"), self._key)
        fresh._remove()
        fresh._connect()
        with fresh._transaction() as sql:
            if self._connection is not None:
                sql.executemany(_PUT, self._salvage())
            if self.applied >= 0:
                fresh._show(self.applied)
        fresh.close()
        self.close()
        self._remove()
        fresh._path.rename(self._path)
        self._connect()
        log.error("%s is damaged (%s): made anew with the %s rows still valid", self._path, why, self.count)

    def _salvage(self) -> Iterator[tuple[bytes, int, bytes, bytes]]:
        """Yield valid rows from the first on until reading fails, then from the last back to there."""
        last = b""
        for order in ("ASC", "DESC"):
            try:
                for found in self._sql.execute(f"{_COLUMNS} ORDER BY key {order}"):
                    row = row_of(found)
                    if not row_is_valid(self._key, row):
                        continue
                    if order == "ASC":
                        last = row.key
                    elif row.key <= last:
                        return
                    yield row.key, row.slot, row.value, row.mac
            except TABLE_ERRORS as error:
                log.debug("%s can't be read further (%s): %s", self._path, order, error)

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; sums that are being made are given up."""
        self._summing = None
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def _transaction(self, keys: Iterable[bytes] = ()) -> Iterator[sqlite3.Connection]:
        """Change the rows of `keys` (or rows that no sums take in) in one transaction."""
        sql, summing = self._sql, self._summing
        summed = summing.behind(keys) if summing is not None else []
        sql.execute("BEGIN IMMEDIATE")
        try:
            before = self.rows_of(summed)
            yield sql
            after = self.rows_of(summed)
            sql.execute("COMMIT")
        except BaseException:
            if sql.in_transaction:
                sql.execute("ROLLBACK")
            raise
        if summing is not None:
            summing.exchange(before, after)
