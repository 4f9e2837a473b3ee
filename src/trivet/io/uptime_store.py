"""The uptime store: one SQLite file with raw samples for days and hourly roll-ups for years.

Rule: samples, roll-up, gaps and outages of a sample are one transaction; readers beside a writer always work.
Rule: an outage begins with the first failed probe and ends with the next good one; it never spans a gap.
Rule: a clock that goes back adds samples and no gap; far back, the series takes the new time for true.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from trivet.errors import InputError, TrivetError
from trivet.insight.duration_histogram import pack, unpack_into
from trivet.insight.uptime import GAP_INTERVALS, Hour, ProbeSample, Series, Span, gap_after, roll_up

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE series (id INTEGER PRIMARY KEY, place TEXT NOT NULL, url TEXT NOT NULL,
  every_s REAL NOT NULL DEFAULT 0, last_at REAL, UNIQUE (place, url)) STRICT;
CREATE TABLE samples (series INTEGER NOT NULL, at REAL NOT NULL, connect_ms REAL, tls_ms REAL,
  first_byte_ms REAL, total_ms REAL NOT NULL, status INTEGER, error TEXT) STRICT;
CREATE INDEX samples_at ON samples (series, at);
CREATE TABLE hours (series INTEGER NOT NULL, hour INTEGER NOT NULL, samples INTEGER NOT NULL,
  good INTEGER NOT NULL, over_1s INTEGER NOT NULL, over_10s INTEGER NOT NULL, histogram BLOB NOT NULL,
  PRIMARY KEY (series, hour)) STRICT, WITHOUT ROWID;
CREATE TABLE gaps (series INTEGER NOT NULL, start REAL NOT NULL, end REAL NOT NULL) STRICT;
CREATE TABLE outages (series INTEGER NOT NULL, start REAL NOT NULL, last REAL NOT NULL, end REAL,
  why TEXT NOT NULL) STRICT;
CREATE TABLE imports (series INTEGER NOT NULL, head BLOB NOT NULL, lines INTEGER NOT NULL,
  PRIMARY KEY (series, head)) STRICT, WITHOUT ROWID;
"""
_BUSY_S = 10.0


class UptimeStore:
    """The store at `path`, made when missing unless `must_exist`; one thread at a time may use it.

    Raises InputError when the file is something else or missing.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        self.path = path
        try:
            if must_exist and not path.exists():
                raise InputError(f"there is no uptime store at {path}; 'trivet uptime probe URL' begins one")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{path} can't be used as an uptime store: {error}") from error

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA_VERSION:
            return
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version or tables:
            raise InputError(
                f"{self.path} is no uptime store of this version of trivet; name another --store"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:  # nobody else was first
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def _series(self, place: str, url: str) -> tuple[int, float | None]:
        self._db.execute("INSERT OR IGNORE INTO series (place, url) VALUES (?, ?)", (place, url))
        found: tuple[int, float | None] = self._db.execute(
            "SELECT id, last_at FROM series WHERE place = ? AND url = ?", (place, url)
        ).fetchone()
        return found

    def add(self, place: str, url: str, sample: ProbeSample, *, every_s: float, keep_raw_s: float) -> None:
        """Store one probe's `sample`; raw samples older than `keep_raw_s` are let go, their roll-ups stay."""
        columns = (
            np.array([sample.at]),
            np.array([sample.total_ms]),
            np.array([sample.good]),
            np.array([sample.status is not None]),
        )
        try:
            with self._transaction():
                series, last_at = self._series(place, url)
                self._db.execute(
                    "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        series, sample.at, sample.connect_ms, sample.tls_ms, sample.first_byte_ms,
                        sample.total_ms, sample.status, sample.error,
                    ),
                )  # fmt: skip
                self._merge_hours(series, roll_up(*columns))
                self._follow(series, last_at, sample, every_s)
                self._db.execute(
                    "DELETE FROM samples WHERE series = ? AND at < ?", (series, sample.at - keep_raw_s)
                )
        except sqlite3.Error as error:
            raise TrivetError(f"a sample could not be stored in {self.path}: {error}") from error

    def _follow(self, series: int, last_at: float | None, sample: ProbeSample, every_s: float) -> None:
        """Carry gaps and outages on to `sample`."""
        if last_at is not None and last_at - GAP_INTERVALS * every_s < sample.at < last_at:
            return
        self._db.execute(
            "UPDATE series SET last_at = ?, every_s = ? WHERE id = ?", (sample.at, every_s, series)
        )
        gap = gap_after(last_at, sample.at, every_s) if last_at is not None else None
        if gap or (last_at is not None and sample.at < last_at):
            self._db.execute(
                "UPDATE outages SET end = last + ? WHERE series = ? AND end IS NULL", (every_s, series)
            )
        if gap:
            self._db.execute("INSERT INTO gaps VALUES (?, ?, ?)", (series, gap.start, gap.end))
        if sample.good:
            self._db.execute(
                "UPDATE outages SET end = ? WHERE series = ? AND end IS NULL", (sample.at, series)
            )
            return
        went_on = self._db.execute(
            "UPDATE outages SET last = ? WHERE series = ? AND end IS NULL", (sample.at, series)
        )
        if not went_on.rowcount:
            why = sample.error or f"status {sample.status}"
            self._db.execute(
                "INSERT INTO outages VALUES (?, ?, ?, NULL, ?)", (series, sample.at, sample.at, why)
            )

    def _merge_hours(self, series: int, hours: Iterable[Hour]) -> None:
        for hour in hours:
            known = self._db.execute(
                "SELECT samples, good, over_1s, over_10s, histogram FROM hours WHERE series = ? AND hour = ?",
                (series, hour.hour),
            ).fetchone()
            if known:
                histogram = unpack_into([known[4]], np.zeros(1, dtype=np.int64), 1)[0]
                samples, good, over_1s, over_10s = known[:4]
                hour = hour.merged(Hour(hour.hour, samples, good, over_1s, over_10s, histogram))
            self._db.execute(
                "INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    series, hour.hour, hour.samples, hour.good, hour.over_1s, hour.over_10s,
                    pack(hour.histogram),
                ),
            )  # fmt: skip

    def imported_lines(self, place: str, url: str, head: bytes) -> int:
        """Return how many lines of the log that begins with `head` (a digest) are in the store already."""
        found = self._db.execute(
            "SELECT lines FROM imports JOIN series ON series = id WHERE place = ? AND url = ? AND head = ?",
            (place, url, head),
        ).fetchone()
        return int(found[0]) if found else 0

    def add_hours(self, place: str, url: str, hours: Sequence[Hour], *, head: bytes, lines: int) -> None:
        """Store the roll-ups of an imported log, of which now `lines` lines are in the store."""
        try:
            with self._transaction():
                series, _ = self._series(place, url)
                self._merge_hours(series, hours)
                self._db.execute("INSERT OR REPLACE INTO imports VALUES (?, ?, ?)", (series, head, lines))
        except sqlite3.Error as error:
            raise TrivetError(f"the import could not be stored in {self.path}: {error}") from error

    def read(
        self, *, since: float, until: float, place: str | None = None, url: str | None = None
    ) -> list[Series]:
        """Return every series (of `place` and `url`, when given) from `since` to `until` (epoch seconds).

        `until` is also now: a series whose next probe is overdue ends in a gap.
        """
        try:
            chosen = self._db.execute(
                "SELECT id, place, url, every_s, last_at FROM series "
                "WHERE (?1 IS NULL OR place = ?1) AND (?2 IS NULL OR url = ?2) ORDER BY place, url",
                (place, url),
            ).fetchall()
            return [self._read_one(row, since, until) for row in chosen]
        except sqlite3.Error as error:
            raise TrivetError(f"{self.path} can't be read: {error}") from error

    def _read_one(self, row: tuple[int, str, str, float, float | None], since: float, until: float) -> Series:
        number, place, url, every_s, last_at = row
        hours = self._db.execute(
            "SELECT hour, samples, good, over_1s, over_10s, histogram FROM hours "
            "WHERE series = ? AND hour BETWEEN ? AND ? ORDER BY hour",
            (number, since // 3600, until // 3600),
        ).fetchall()
        spans = self._db.execute(
            "SELECT start, end, '' FROM gaps WHERE series = ? AND end > ? AND start < ? ORDER BY start",
            (number, since, until),
        ).fetchall()
        gaps = [Span(max(start, since), min(end, until), why) for start, end, why in spans]
        if last_at is not None and (open_gap := gap_after(last_at, until, every_s)):
            gaps.append(Span(max(open_gap.start, since), open_gap.end))
        outages = self._db.execute(
            "SELECT start, coalesce(end, min(last + ?, ?)), why FROM outages "
            "WHERE series = ? AND coalesce(end, last + ?) > ? AND start < ? ORDER BY start",
            (every_s, until, number, every_s, since, until),
        ).fetchall()
        return Series(
            place,
            url,
            np.array([hour[0] for hour in hours], dtype=np.int64),
            np.array([hour[1:5] for hour in hours], dtype=np.int64).reshape(-1, 4),
            [hour[5] for hour in hours],
            gaps,
            [Span(*outage) for outage in outages],
        )
