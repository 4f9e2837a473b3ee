"""Traffic over time: hits, bytes and errors by second, and how long requests took.

Rule: order does not matter; blocks may come in any order and give the same series.
Rule: durations are kept in buckets 2 % wide, so a percentile is within 1 % and memory is bounded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
_COMPACT_ROWS = 1 << 19
_BUCKET_STEP = np.log(1.02)
BUCKETS = 2048


def _summed(rows: Rows) -> Rows:
    """Return `rows` sorted by second, each second once."""
    if not len(rows):
        return rows
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    starts = np.flatnonzero(np.r_[True, rows[1:, 0] != rows[:-1, 0]])
    summed: Rows = np.add.reduceat(rows, starts, axis=0)
    summed[:, 0] = rows[starts, 0]
    return summed


class SecondSeries:
    """Sums rows of (second, hits, bytes, 4xx, 5xx)."""

    def __init__(self) -> None:
        self._parts: list[Rows] = []
        self._size = 0

    def add(self, rows: Rows) -> None:
        """Take `rows`; a second may come any number of times, in any order."""
        if len(rows):
            self._parts.append(rows)
            self._size += len(rows)
            if self._size > _COMPACT_ROWS:
                self._parts = [self.rows()]
                self._size = len(self._parts[0]) // 2

    def rows(self) -> Rows:
        """Return one row a second that had requests, in time order."""
        return _summed(np.concatenate(self._parts)) if self._parts else np.zeros((0, 5), np.int64)

    def windows(self, width_s: int) -> Rows:
        """Return one row a window of `width_s` that had requests; windows begin with the first second."""
        rows = self.rows()
        if len(rows):
            rows = rows.copy()
            origin = rows[0, 0]
            rows[:, 0] = (rows[:, 0] - origin) // width_s * width_s + origin
        return _summed(rows)


def rate_by_second(series: SecondSeries, seconds: int) -> list[int]:
    """Return hits of the last `seconds` of the log, oldest first."""
    rows = series.rows()
    if not len(rows):
        return [0] * seconds
    last = int(rows[-1, 0])
    hits = np.zeros(seconds, np.int64)
    chosen = rows[rows[:, 0] > last - seconds]
    hits[chosen[:, 0] - (last - seconds + 1)] = chosen[:, 1]
    return [int(n) for n in hits]


def bucket_of(took_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bucket of each duration in microseconds."""
    logs = np.log(np.maximum(took_us, 1).astype(np.float64)) / _BUCKET_STEP
    buckets: NDArray[np.int64] = np.minimum(logs.astype(np.int64), BUCKETS - 1)
    return buckets


def percentile_s(counts: NDArray[np.int64], percent: float) -> float:
    """Return the duration in seconds below which `percent` of the bucketed `counts` lie; 0 of none."""
    total = int(counts.sum())
    if not total:
        return 0.0
    bucket = int(np.searchsorted(np.cumsum(counts), percent / 100 * total))
    return float(np.exp((bucket + 0.5) * _BUCKET_STEP) / 1e6)


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Durations of all requests that had one; percentiles are within 1 %."""

    count: int
    mean_s: float
    max_s: float
    p50_s: float
    p95_s: float
    p99_s: float


class LatencyBook:
    """Counts durations in buckets, for all time and, where `window_s` is given, by window."""

    def __init__(self, window_s: int = 0) -> None:
        self._counts = np.zeros(BUCKETS, np.int64)
        self._sum_us = 0
        self._max_us = 0
        self._window_s = window_s
        self._by_second: list[Rows] = []
        self._size = 0

    def add(self, timings: Rows) -> None:
        """Take rows of (second, µs)."""
        if not len(timings):
            return
        buckets = bucket_of(timings[:, 1])
        self._counts += np.bincount(buckets, minlength=BUCKETS)
        self._sum_us += int(timings[:, 1].sum())
        self._max_us = max(self._max_us, int(timings[:, 1].max()))
        if self._window_s:
            keys = timings[:, 0] * BUCKETS + buckets
            self._by_second.append(np.stack([keys, np.ones_like(keys)], axis=1))
            self._size += len(keys)
            if self._size > _COMPACT_ROWS:
                self._by_second = [_summed(np.concatenate(self._by_second))]
                self._size = len(self._by_second[0]) // 2

    def figures(self) -> LatencyFigures | None:
        """Return what the durations say, or None where there was none."""
        count = int(self._counts.sum())
        if not count:
            return None
        p50, p95, p99 = (percentile_s(self._counts, percent) for percent in (50, 95, 99))
        return LatencyFigures(count, self._sum_us / count / 1e6, self._max_us / 1e6, p50, p95, p99)

    def since(self, second: int) -> "LatencyBook":
        """Return a book of the durations from `second` on; none where windows were not kept."""
        later = LatencyBook(self._window_s)
        if self._by_second:
            rows = np.concatenate(self._by_second)
            later._by_second = [rows[rows[:, 0] // BUCKETS >= second]]
            later._size = len(later._by_second[0])
        return later

    def p95_by_window(self, origin_s: int) -> dict[int, float]:
        """Return the 95th percentile of each window (by its first second) that had durations."""
        if not self._by_second:
            return {}
        rows = _summed(np.concatenate(self._by_second))
        window = (rows[:, 0] // BUCKETS - origin_s) // self._window_s * self._window_s + origin_s
        result = {}
        for start in np.unique(window).tolist():
            chosen = rows[window == start]
            counts = np.bincount(chosen[:, 0] % BUCKETS, weights=chosen[:, 1], minlength=BUCKETS)
            result[int(start)] = percentile_s(counts.astype(np.int64), 95)
        return result


def as_rows(rows: Iterable[Iterable[int]], width: int) -> Rows:
    """Return an iterable of rows as an array, also when it is empty."""
    return np.array(list(rows), np.int64).reshape(-1, width)
