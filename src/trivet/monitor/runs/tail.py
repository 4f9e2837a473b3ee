"""The tail of a store of events: the newest ones in SQLite, and the list of sealed segments beside them.

Rule: one transaction moves events from the tail to a segment, so a reader sees each event exactly once.
Rule: light: `trivet runs emit` and programs that emit load nothing but this.
"""

import fcntl
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from trivet.errors import InputError, NoSpace, TrivetError
from trivet.monitor.runs.event_log import Event

_BUSY_S = 60.0
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY, run TEXT NOT NULL, name TEXT NOT NULL, emit_ns INTEGER, receive_ns INTEGER,
  source TEXT NOT NULL, sequence INTEGER NOT NULL, dimensions TEXT NOT NULL, UNIQUE (run, source, sequence));
CREATE TABLE IF NOT EXISTS segments (
  name TEXT PRIMARY KEY, rows INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (last_segment INTEGER NOT NULL);
INSERT INTO numbers SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM numbers);
PRAGMA user_version = {_VERSION};
"""


class Segment(NamedTuple):
    """A sealed segment: its file's `name`, how many `rows`, and the span of its times in ns."""

    name: str
    rows: int
    first_ns: int
    last_ns: int


class Tail:
    """The SQLite file of the store in `folder`; made when `create` and not there."""

    def __init__(self, folder: Path, *, create: bool) -> None:
        self._path = folder / "tail.sqlite"
        if not create and not self._path.is_file():
            raise InputError(f"{folder} is no store of runs: `trivet runs emit` or `import` make one")
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._open()

    def _open(self) -> None:
        """Every commit is on the disk before it returns (WAL with synchronous=FULL).

        Making the file is the one thing that SQLite does not let two processes do at a time.
        """
        with (self._path.parent / "making.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise InputError(f"{self._path} is of version {version}; this trivet knows {_VERSION}")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            if version == 0:
                self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read inside is of one moment."""
        with self._told(), self._transaction("BEGIN"):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is written inside is kept whole when it ends well, and not at all otherwise; one at a time."""
        with self._told(), self._transaction("BEGIN IMMEDIATE"):
            yield

    def add(self, batch: Sequence[Event]) -> int:
        """Add the events that are not there; returns how many those were."""
        before = self._connection.total_changes
        self._connection.executemany(
            "INSERT OR IGNORE INTO events (run, name, emit_ns, receive_ns, source, sequence, dimensions) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            batch,
        )
        return self._connection.total_changes - before

    def events(self) -> Iterator[Event]:
        """The events of the tail in the order they came."""
        cursor = self._connection.execute(
            "SELECT run, name, emit_ns, receive_ns, source, sequence, dimensions FROM events ORDER BY id"
        )
        return (Event(*row) for row in cursor)

    def row_count(self) -> int:
        """About how many events the tail holds (the span of their numbers; none is reused)."""
        first, last = self._connection.execute("SELECT min(id), max(id) FROM events").fetchone()
        return 0 if last is None else int(last - first + 1)

    def clear(self, before_ns: int | None = None) -> int:
        """Take all events out, or those older than `before_ns`; returns how many."""
        if before_ns is None:
            return self._connection.execute("DELETE FROM events").rowcount
        older = "DELETE FROM events WHERE coalesce(emit_ns, receive_ns) < ?"
        return self._connection.execute(older, (before_ns,)).rowcount

    def keep_newest(self, count: int) -> None:
        """Take out all but about the `count` events that came last."""
        self._connection.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (count,))

    def segments(self) -> list[Segment]:
        """The sealed segments, oldest first."""
        rows = self._connection.execute(
            "SELECT name, rows, first_ns, last_ns FROM segments ORDER BY first_ns, name"
        )
        return [Segment(*row) for row in rows]

    def next_segment(self) -> int:
        """A number for a segment that none has had before."""
        count_up = "UPDATE numbers SET last_segment = last_segment + 1 RETURNING last_segment"
        return int(self._connection.execute(count_up).fetchone()[0])

    def replace_segments(self, gone: Sequence[Segment], new: Sequence[Segment]) -> None:
        """Put `new` segments in the place of those that are `gone`."""
        self._connection.executemany("DELETE FROM segments WHERE name = ?", [(s.name,) for s in gone])
        self._connection.executemany("INSERT INTO segments VALUES (?, ?, ?, ?)", new)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._connection.execute(begin)
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite and the file system complain about, as errors that say what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            words = str(error)
            if "full" in words:
                raise NoSpace(f"no room for {self._path}: free some and try again") from error
            if "locked" in words or "busy" in words:
                raise TrivetError(f"{self._path} was busy for {_BUSY_S:.0f} s: try again") from error
            raise InputError(f"can't use {self._path}: {words}") from error
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self._path} is damaged or no store of runs: {error}") from error
        except OSError as error:
            raise InputError(f"can't use {self._path.parent}: {error.strerror or error}") from error
