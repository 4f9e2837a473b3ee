"""What processes used, as a series in one SQLite file: by ten seconds for hours, by the half-hour for months.

Rule: no store of runs, as curves are all that is wanted of it; SQLite puts steps together in place, and the
supervisor needs no Arrow. `trivet runs` reads the lives of processes from it (`figures_reading.read_lives`).
Rule: bounded: so many processes a step, so many steps of each length; what is older is let go. Losing the
file loses no file of anybody: one that is damaged is begun anew.
Rule: a step that is over is made into one of the next length at once; CPU is the mean, memory and handles the
most. Steps dated in the future (a clock that was wrong) are let go, or they would stay for ever.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from trivet.errors import TrivetError
from trivet.wire.health_messages import SERIES_MAX_S


@dataclass(frozen=True, slots=True)
class Level:
    """Steps of `step_s` seconds, kept for `kept_s`."""

    step_s: int
    kept_s: int


LEVELS = (Level(10, 6 * 3600), Level(60, 3 * 86400), Level(1800, SERIES_MAX_S))
STEP_S = float(LEVELS[0].step_s)
#: Of one step at most so many processes are kept.
PROCESSES = 64
#: What stands for the machine among the processes: its CPU, its memory in percent.
MACHINE = "machine"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE processes (id INTEGER PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL,
  UNIQUE (role, name)) STRICT;
CREATE TABLE figures (step INTEGER NOT NULL, at INTEGER NOT NULL, process INTEGER NOT NULL,
  pid INTEGER NOT NULL, cpu REAL, memory REAL, handles INTEGER,
  PRIMARY KEY (step, at, process)) STRICT, WITHOUT ROWID;
"""
#: Names that nothing is kept of any more are looked for at every so many steps.
_NAMES_EVERY = 60
_BUSY_S = 5.0
_LOG_BYTES = 4 << 20


class FigureRow(msgspec.Struct, frozen=True):
    """What processes of one name used: `cpu` in percent, `memory` in bytes (of MACHINE in percent)."""

    role: str
    name: str
    pid: int
    cpu: float | None
    memory: float
    handles: int | None


class FiguresStore:
    """The series in the file `path`, made when missing; one thread at a time uses it.

    Raises TrivetError when the file can't be made or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: dict[tuple[str, str], int] = {}
        try:
            self._db = self._opened()
        except sqlite3.DatabaseError:
            for ending in ("", "-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
            with told_by_name(path):
                self._db = self._opened()

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA_VERSION:
                drop = "DROP TABLE IF EXISTS processes; DROP TABLE IF EXISTS figures;"
                db.executescript(f"BEGIN; {drop} {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        except BaseException:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def add(self, at_s: float, rows: Sequence[FigureRow]) -> None:
        """Keep `rows` as the step that holds the Unix time `at_s`; TrivetError when that fails."""
        at = int(at_s // STEP_S * STEP_S)
        with told_by_name(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._roll_up(at)
                self._db.executemany(
                    "INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(LEVELS[0].step_s, at, self._id(one), one.pid, one.cpu, one.memory, one.handles)
                     for one in rows[:PROCESSES]],
                )  # fmt: skip
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                self._ids.clear()
                raise

    def _id(self, row: FigureRow) -> int:
        key = (row.role, row.name)
        if key not in self._ids:
            self._db.execute("INSERT OR IGNORE INTO processes (role, name) VALUES (?, ?)", key)
            found = self._db.execute("SELECT id FROM processes WHERE role = ? AND name = ?", key)
            self._ids[key] = found.fetchone()[0]
        return self._ids[key]

    def _roll_up(self, now: int) -> None:
        """Make longer steps of those over at `now`; let go of what is too old or in the future."""
        for finer, coarser in pairwise(LEVELS):
            (newest,) = self._db.execute(
                "SELECT max(at) FROM figures WHERE step = ? AND at <= ?", (coarser.step_s, now)
            ).fetchone()
            until = now // coarser.step_s * coarser.step_s
            since = until - finer.kept_s if newest is None else newest + coarser.step_s
            if since < until:
                self._db.execute(
                    "INSERT OR REPLACE INTO figures SELECT ?1, at / ?1 * ?1 AS slot, process, max(pid), "
                    "avg(cpu), max(memory), max(handles) FROM figures "
                    "WHERE step = ?2 AND at >= ?3 AND at < ?4 GROUP BY slot, process",
                    (coarser.step_s, finer.step_s, since, until),
                )
        let_go = 0
        for level in LEVELS:
            for where, limit in (("<", now - level.kept_s), (">", now)):
                deleted = f"DELETE FROM figures WHERE step = ? AND at {where} ?"
                let_go = self._db.execute(deleted, (level.step_s, limit)).rowcount or let_go
        if let_go and now // STEP_S % _NAMES_EVERY == 0:  # a walk over all
            self._db.execute("DELETE FROM processes WHERE id NOT IN (SELECT process FROM figures)")
            self._ids.clear()


@contextlib.contextmanager
def told_by_name(path: Path) -> Iterator[None]:
    """Say what SQLite can't do as a TrivetError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise TrivetError(f"the series of processes {path}: {error}") from error
