"""The time a log covers: its span, its bins with everybody's totals, the hours a report shows.

Rule: it is made of ten-minute ticks alone, so that a log too big for memory has it too.
Rule: stamps more than 400 days from the log's median are counted as requests but not as times: one line
stamped in the year 9999 must not stretch a day's log over eight thousand years.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trivet.insight.arrivals import HOUR_S, Arrivals, Floats, Ints

TICK_S = 600
_ZONES = 1 << 20
#: logs shorter than this are judged in bins of one tick, others in hours
SHORT_LOG_S = 8 * HOUR_S
FARTHEST_S = 400 * 86_400


@dataclass(frozen=True, slots=True)
class LogTime:
    """A log's time cut into bins of `bin_s`, numbered from `first`; `totals` count all requests in each.

    `low` and `high` bound the stamps that are believed, `far` counts the others; `hours` are the log's
    wall-clock hours, `shown` those of a report (whole days, but nothing after now).
    """

    bin_s: int
    first: int
    totals: Ints
    low: float
    high: float
    far: int
    hours: range
    shown: range

    def bins(self, t: Floats) -> Ints:
        """Return the bin of each time in `t`, counted from the log's start."""
        return (t // self.bin_s).astype(np.int64) - self.first

    def believed(self, arrivals: Arrivals) -> Arrivals:
        """Return `arrivals` without the stamps that are too far off."""
        if not self.far:
            return arrivals
        return arrivals.select((arrivals.t >= self.low) & (arrivals.t < self.high))


def tick_counts(t: Floats, offset_s: Ints) -> dict[tuple[int, int], int]:
    """Return how many requests fell on each (tick since 1970, zone offset in seconds)."""
    # one number for both: zones are less than 100 hours off
    keys = (t // TICK_S).astype(np.int64) * _ZONES + offset_s.astype(np.int64) + _ZONES // 2
    found, counts = np.unique(keys, return_counts=True)
    ticks, zones = found // _ZONES, found % _ZONES - _ZONES // 2
    pairs = zip(ticks.tolist(), zones.tolist(), strict=True)
    return dict(zip(pairs, counts.tolist(), strict=True))


def log_time(counts: Mapping[tuple[int, int], int], now: float) -> LogTime:
    """Return the time covered by requests on (tick, zone offset) `counts`; `now` is in epoch seconds."""
    ordered = sorted(counts)
    ticks = np.array([tick for tick, _ in ordered], dtype=np.int64)
    zones = np.array([zone for _, zone in ordered], dtype=np.int64)
    weights = np.array([counts[key] for key in ordered], dtype=np.int64)
    middle = ticks[np.searchsorted(weights.cumsum(), weights.sum() / 2)]
    near = np.abs(ticks - middle) * TICK_S <= FARTHEST_S
    far = int(weights[~near].sum())
    ticks, zones, weights = ticks[near], zones[near], weights[near]
    low, high = int(ticks[0]) * TICK_S, int(ticks[-1] + 1) * TICK_S
    bin_s = TICK_S if high - low <= SHORT_LOG_S else HOUR_S
    numbers = ticks * TICK_S // bin_s
    wall = (ticks * TICK_S + zones) // HOUR_S
    hours = range(int(wall.min()), int(wall.max()) + 1)
    present = int((now + int(zones[-1])) // HOUR_S)
    last = max(hours.stop - 1, min((hours.stop - 1) // 24 * 24 + 23, present))
    return LogTime(
        bin_s=bin_s,
        first=int(numbers[0]),
        totals=np.bincount(numbers - numbers[0], weights=weights).astype(np.int64),
        low=low,
        high=high,
        far=far,
        hours=hours,
        shown=range(hours.start // 24 * 24, last + 1),
    )
