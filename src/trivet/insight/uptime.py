"""How well a service answered: samples, their hourly roll-ups, and rows by month, day or hour.

Rule: available means an answer with status 200 to 399 in time (an imported log: anything below 500).
Rule: the shares over 1 s and 10 s are of all samples, for somebody who got no answer waited as well;
percentiles are of the answers.
Rule: a gap (nobody probed) is no outage (nobody answered): gaps lower no share and are told in seconds.
Rule: periods are UTC.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from trivet.insight.duration_histogram import Counts, Floats, counts_of, percentiles, unpack_into

Period = Literal["month", "day", "hour"]
PERIODS: tuple[str, ...] = get_args(Period)
HOUR_S = 3600
_UNIT = {"month": "M", "day": "D", "hour": "h"}
SLOW_MS, VERY_SLOW_MS = 1000.0, 10_000.0
#: a pause longer than this many intervals between probes is a gap
GAP_INTERVALS = 2.5
#: periods whose histograms are unfolded together, to bound memory
PERIODS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class ProbeSample:
    """One probe at `at` (epoch seconds): its phases in ms (None: not reached), `status` or an `error`."""

    at: float
    total_ms: float
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    status: int | None = None
    error: str | None = None

    @property
    def good(self) -> bool:
        """Whether the service counts as available."""
        return self.error is None and self.status is not None and 200 <= self.status < 400


@dataclass(frozen=True, slots=True)
class Hour:
    """The roll-up of one `hour` (since 1970): counts, and the histogram of the answers' total times."""

    hour: int
    samples: int
    good: int
    over_1s: int
    over_10s: int
    histogram: Counts

    def merged(self, other: "Hour") -> "Hour":
        """Return the roll-up of both parts of one hour."""
        assert self.hour == other.hour
        return Hour(
            self.hour,
            self.samples + other.samples,
            self.good + other.good,
            self.over_1s + other.over_1s,
            self.over_10s + other.over_10s,
            self.histogram + other.histogram,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time from `start` to `end` (epoch seconds): a gap, or an outage with its `why`."""

    start: float
    end: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """All that is known of one `url` seen from one `place`; the columns run over its hours, ascending."""

    place: str
    url: str
    hours: NDArray[np.int64]
    counts: NDArray[np.int64]  # columns: samples, good, over 1 s, over 10 s
    histograms: Sequence[bytes]
    gaps: Sequence[Span]
    outages: Sequence[Span]


def roll_up(at: NDArray[np.float64], total_ms: NDArray[np.float64], good: NDArray[np.bool_],
            answered: NDArray[np.bool_]) -> list[Hour]:  # fmt: skip
    """Return the hourly roll-ups of samples given as columns."""
    hours = (at // HOUR_S).astype(np.int64)
    order = np.argsort(hours, kind="stable")
    cuts = np.flatnonzero(np.diff(hours[order])) + 1
    rolled = []
    for rows in np.split(order, cuts) if len(order) else []:
        took = total_ms[rows]
        rolled.append(
            Hour(
                int(hours[rows[0]]),
                len(rows),
                int(good[rows].sum()),
                int((took > SLOW_MS).sum()),
                int((took > VERY_SLOW_MS).sum()),
                counts_of(took[answered[rows]]),
            )
        )
    return rolled


def gap_after(previous_at: float, at: float, every_s: float) -> Span | None:
    """Return the gap between two probes of a series that should come every `every_s`, or None."""
    if every_s <= 0 or at - previous_at <= GAP_INTERVALS * every_s:
        return None
    return Span(previous_at + every_s, at)


def period_starts(by: str, low: float, high: float) -> NDArray[np.int64]:
    """Return the epoch seconds at which the periods over [`low`, `high`] begin, and the end of the last."""
    unit = _UNIT[by]
    first = np.datetime64(int(low), "s").astype(f"datetime64[{unit}]")
    last = np.datetime64(int(high), "s").astype(f"datetime64[{unit}]")
    return np.arange(first, last + 2).astype("datetime64[s]").astype(np.int64)


def period_name(by: str, start: int) -> str:
    """Return the name of the period that begins at `start`: 2024-06, 2024-06-05 or 2024-06-05T00."""
    return str(np.datetime64(start, "s").astype(f"datetime64[{_UNIT[by]}]"))


def report_rows(series: Iterable[Series], by: str) -> list[dict[str, Any]]:
    """Return a row for each place, URL and period that has samples or a gap, in order of time."""
    rows: list[dict[str, Any]] = []
    for one in series:
        rows += series_rows(one, by)
    return sorted(rows, key=lambda row: (row["period"], row["place"], row["url"]))


def series_rows(series: Series, by: str) -> list[dict[str, Any]]:
    """Return the rows of one series, a period each."""
    ends = [span.end for span in series.gaps]
    seconds = series.hours * HOUR_S
    if not len(seconds) and not ends:
        return []
    low = min([*seconds[:1].tolist(), *(span.start for span in series.gaps)])
    starts = period_starts(by, low, max([*seconds[-1:].tolist(), *ends]))
    groups = np.searchsorted(starts, seconds, side="right") - 1
    n = len(starts) - 1
    counts = np.zeros((n, 4), dtype=np.int64)
    np.add.at(counts, groups, series.counts)
    p50, p95, p99 = period_percentiles(series.histograms, groups, n)
    gaps = overlaps(series.gaps, starts)
    down = overlaps(series.outages, starts)
    begun = np.bincount(
        np.clip(np.searchsorted(starts, [o.start for o in series.outages], side="right") - 1, 0, n - 1),
        minlength=n,
    )
    rows = []
    for k in np.flatnonzero((counts[:, 0] > 0) | (gaps > 0)):
        samples, good, slow, very_slow = (int(value) for value in counts[k])
        rows.append(
            {
                "place": series.place,
                "url": series.url,
                "period": period_name(by, int(starts[k])),
                "availability": good / samples if samples else None,
                "over_1s": slow / samples if samples else None,
                "over_10s": very_slow / samples if samples else None,
                "p50_ms": rounded(p50[k]),
                "p95_ms": rounded(p95[k]),
                "p99_ms": rounded(p99[k]),
                "samples": samples,
                "failures": samples - good,
                "gaps_s": round(float(gaps[k]), 1),
                "outages": int(begun[k]),
                "outage_s": round(float(down[k]), 1),
            }
        )
    return rows


def period_percentiles(
    histograms: Sequence[bytes], groups: NDArray[np.int64], period_count: int
) -> tuple[Floats, Floats, Floats]:
    """Return p50, p95 and p99 of each period; `groups` (ascending) names the period of each histogram."""
    found = np.full((3, period_count), np.nan)
    for start in range(0, period_count, PERIODS_AT_ONCE):
        low, high = np.searchsorted(groups, (start, start + PERIODS_AT_ONCE))
        size = min(PERIODS_AT_ONCE, period_count - start)
        counts = unpack_into(histograms[low:high], groups[low:high] - start, size)
        for row, percent in enumerate((50, 95, 99)):
            found[row, start : start + size] = percentiles(counts, percent)
    return found[0], found[1], found[2]


def rounded(value: float) -> float | None:
    """Return `value` to four significant digits, all that a histogram knows; None for NaN."""
    return None if np.isnan(value) else float(f"{value:.4g}")


def overlaps(spans: Sequence[Span], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how many seconds of each period lie in `spans`; periods run from start to start."""
    edges = starts.astype(np.float64)
    total = np.zeros(len(edges) - 1)
    for span in spans:
        total += np.maximum(0.0, np.minimum(span.end, edges[1:]) - np.maximum(span.start, edges[:-1]))
    return total
