"""Pace: clients and URLs that are asked for far more than their own past explains.

Rule: the past is the median and the median deviation of earlier bins (robust z-score).
Rule: a rise of the whole site excuses a client or a URL; it never accuses one.
Rule: a client without a past is measured by the other clients, a URL without a past is new.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trivet.insight.arrivals import HOUR_S, Arrivals, Ints
from trivet.insight.log_time import LogTime

#: a finding needs all of: this z-score, this many times the past, this many requests in a bin
MIN_Z = 8.0
MIN_RATIO = 3.0
MIN_CLIENT_REQUESTS = 30
MIN_URL_REQUESTS = 50
MIN_URL_RATIO = 5.0
MIN_URL_CLIENTS = 5
MIN_PAST_BINS = 6
#: what a client that was not there before must do in a bin, against the other clients' 99th percentile
NEWCOMER_REQUESTS = 100
NEWCOMER_RATIO = 10.0


@dataclass(frozen=True, slots=True)
class PaceFinding:
    """Client `ip`: `peak` requests in a bin of `bin_s`, where `usual` was its past (0: it has none)."""

    ip: str
    usual: float
    peak: int
    z: float
    bin_s: int
    since: float
    until: float
    requests: int
    rows: Ints

    def why(self) -> str:
        """Say in one line what was seen."""
        span = bin_name(self.bin_s)
        if not self.usual:
            return f"{self.ip} came out of nothing with {self.peak:,} requests {span}"
        return (
            f"{self.ip} went from about {self.usual:,.0f} to {self.peak:,} requests {span} "
            f"(robust z = {self.z:.0f})"
        )


@dataclass(frozen=True, slots=True)
class StormFinding:
    """A URL that many clients suddenly ask for: `peak` in a bin of `bin_s`, `usual` before (0: new)."""

    url: str
    usual: float
    peak: int
    z: float
    bin_s: int
    clients: int
    since: float
    until: float
    requests: int
    rows: Ints

    def why(self) -> str:
        """Say in one line what was seen."""
        span = bin_name(self.bin_s)
        before = "not asked for before" if not self.usual else f"about {self.usual:,.0f} before"
        return f"{self.url}: {self.peak:,} requests {span} from {self.clients} clients, {before}"


@dataclass(frozen=True, slots=True)
class Outbreak:
    """One thing's bins above its past: which bins of the log, what was usual, the highest and its z."""

    item: int
    bins: Ints
    usual: float
    peak: int
    z: float


def bin_name(bin_s: int) -> str:
    """Return how a bin of `bin_s` is called in a sentence."""
    return "an hour" if bin_s == HOUR_S else f"in {bin_s // 60} minutes"


def counted_cells(items: Ints, bins: Ints, bin_count: int) -> tuple[Ints, Ints]:
    """Return the cells item * `bin_count` + bin that had requests, ascending, and how many each."""
    return np.unique(items.astype(np.int64) * bin_count + bins, return_counts=True)


def table_by(cells: Ints, counts: Ints, bin_count: int, floor: int) -> Iterator[tuple[int, Ints]]:
    """Yield (item, its requests in every bin) for items with at least `floor` requests in one cell."""
    for item in np.unique(cells[counts >= floor] // bin_count):
        low, high = np.searchsorted(cells, (item * bin_count, (item + 1) * bin_count))
        row = np.zeros(bin_count, dtype=np.int64)
        row[cells[low:high] - item * bin_count] = counts[low:high]
        yield int(item), row


def outbreak(
    item: int, row: Ints, total: Ints, floor: int, ratio: float, active_only: bool
) -> Outbreak | None:
    """Return where `row` (requests a bin) leaves its own past, `total` being everybody's, or None.

    With `active_only` the past is the bins in which the item asked at all: a client may sleep.
    """
    others = total - row
    above: list[int] = []
    best = Outbreak(item, row[:0], 0.0, 0, 0.0)
    past: list[int] = []
    ordered: list[int] = []
    for k, value in enumerate(row.tolist()):
        if value >= floor and len(past) >= MIN_PAST_BINS and may_be_out(value, ordered, ratio):
            z, usual = robust_z(value, row[past], others[past], int(others[k]))
            if z > MIN_Z and value > ratio * usual:
                above.append(k)
                if value > best.peak:
                    best = Outbreak(item, row[:0], usual, value, z)
                continue
        if value or not active_only:
            past.append(k)
            insort(ordered, value)
    return Outbreak(item, np.array(above), best.usual, best.peak, best.z) if above else None


def may_be_out(value: int, ordered: list[int], ratio: float) -> bool:
    """Say whether `value` could be judged out by its `ordered` past if that had no spread and no rise."""
    low = ordered[(len(ordered) - 1) // 2]
    return value > ratio * low and value - low > MIN_Z * max(low**0.5, 1.0)


def robust_z(value: int, past: Ints, others_past: Ints, others_now: int) -> tuple[float, float]:
    """Return how far `value` lies above the median of `past`, in robust deviations, and what was usual.

    The usual is raised by as much as everybody else's traffic rose.
    """
    middle = float(np.median(past))
    rise = max(1.0, others_now / max(float(np.median(others_past)), 1.0))
    spread = 1.4826 * float(np.median(np.abs(past - middle)))
    usual = middle * rise
    return (value - usual) / max(spread * rise, usual**0.5, 1.0), usual


def find_pace_changes(arrivals: Arrivals, time: LogTime, except_ips: set[str]) -> list[PaceFinding]:
    """Return clients that ask far more than they used to, or came with a flood, busiest first."""
    if not len(arrivals):
        return []
    numbers, total = time.bins(arrivals.t), time.totals
    cells, everyone = counted_cells(arrivals.ip, numbers, len(total))
    newcomer_floor = max(NEWCOMER_REQUESTS, NEWCOMER_RATIO * float(np.percentile(everyone, 99)))
    findings = []
    for ip, row in table_by(cells, everyone, len(total), MIN_CLIENT_REQUESTS):
        if arrivals.ips[ip] in except_ips:
            continue
        found = outbreak(ip, row, total, MIN_CLIENT_REQUESTS, MIN_RATIO, active_only=True)
        first = int(np.argmax(row > 0))
        if first >= MIN_PAST_BINS and row[first : first + 2].max() > newcomer_floor:
            loud = np.flatnonzero(row > newcomer_floor)
            found = Outbreak(ip, loud, 0.0, int(row.max()), 0.0)
        if found:
            rows = np.flatnonzero((arrivals.ip == ip) & np.isin(numbers, found.bins))
            t = arrivals.t[rows]
            findings.append(
                PaceFinding(
                    arrivals.ips[ip], found.usual, found.peak, found.z, time.bin_s,
                    float(t[0]), float(t[-1]), len(rows), rows,
                )
            )  # fmt: skip
    return sorted(findings, key=lambda f: (-f.requests, f.ip))


def find_storms(arrivals: Arrivals, time: LogTime, except_urls: set[str]) -> list[StormFinding]:
    """Return URLs that many clients suddenly ask for, biggest first, without those in `except_urls`."""
    if not len(arrivals):
        return []
    numbers, total = time.bins(arrivals.t), time.totals
    findings = []
    cells, counts = counted_cells(arrivals.url, numbers, len(total))
    for url, row in table_by(cells, counts, len(total), MIN_URL_REQUESTS):
        if arrivals.urls[url] in except_urls:
            continue
        found = outbreak(url, row, total, MIN_URL_REQUESTS, MIN_URL_RATIO, active_only=False)
        if not found:
            continue
        rows = np.flatnonzero((arrivals.url == url) & np.isin(numbers, found.bins))
        clients, t = len(np.unique(arrivals.ip[rows])), arrivals.t[rows]
        if clients >= MIN_URL_CLIENTS:
            findings.append(
                StormFinding(
                    arrivals.urls[url], found.usual, found.peak, found.z, time.bin_s, clients,
                    float(t[0]), float(t[-1]), len(rows), rows,
                )
            )  # fmt: skip
    return sorted(findings, key=lambda f: (-f.requests, f.url))
