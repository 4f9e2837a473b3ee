"""Lock-step fleets in a whole log: windows of time, one after the other, joined to findings.

Rule: a window is judged by itself, so a fleet is found as soon as its hours are in the log, however
long the log is, and a live view finds what a batch finds.
Rule: two scales: windows of 2 hours every hour for beats up to 10 minutes, of a day every half day above.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from trivet.insight.arrivals import HOUR_S, Arrivals, Ints
from trivet.insight.lockstep import MIN_DEVICES, SAME_PERIOD, Fleet, Series, find_fleets
from trivet.insight.periods import STEPS_A_PERIOD, gap_figures, stamp_step_s

#: (window, step, shortest beat) in seconds; the day scale leaves the fast beats to the other
SCALES = ((7_200, 3_600, 0), (86_400, 43_200, 600))
FEWEST_ARRIVALS = 6


@dataclass(frozen=True, slots=True)
class LockstepFinding:
    """Devices in lock-step at one URL since `since` (epoch seconds), over all windows that show them."""

    url: str
    period_s: float
    rayleigh_r: float
    devices: list[str]
    since: float
    until: float
    requests: int
    rows: Ints

    def why(self) -> str:
        """Say in one line what was seen."""
        return (
            f"{len(self.devices)} devices ask for {self.url} every {self.period_s:.0f} s "
            f"at the same moment (R = {self.rayleigh_r:.2f}; 1 is perfect lock-step)"
        )


def windows(first: float, last: float, length_s: float, step_s: float) -> Iterator[tuple[float, float]]:
    """Yield (start, end) of the windows over [`first`, `last`]; a short log is one window."""
    start = first
    while True:
        yield start, start + length_s
        start += step_s
        if start + length_s - step_s > last:
            return


def grouped(key: Ints) -> tuple[Ints, Ints, Ints]:
    """Return (rows ordered by `key` and, alike, by place; where each group starts; its size)."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return order, starts, np.diff(np.append(starts, len(ordered)))


def candidates(arrivals: Arrivals) -> Ints:
    """Return the rows of pairs that ask often enough, at URLs that enough clients ask for."""
    clients = len(arrivals.ips)
    key = arrivals.url.astype(np.int64) * clients + arrivals.ip
    order, starts, counts = grouped(key)
    often = counts >= FEWEST_ARRIVALS
    asking = np.bincount(key[order[starts[often]]] // clients, minlength=len(arrivals.urls))
    rows = np.repeat(often, counts) & (asking >= MIN_DEVICES)[arrivals.url[order]]
    return np.sort(order[rows])


def series_by_url(window: Arrivals) -> Iterator[tuple[int, list[Series]]]:
    """Yield each URL that enough clients ask for often enough, with those clients' series."""
    if not len(window):
        return
    order, starts, counts = grouped(window.url.astype(np.int64) * len(window.ips) + window.ip)
    wanted = counts >= FEWEST_ARRIVALS
    starts, counts = starts[wanted], counts[wanted]
    if not len(starts):
        return
    t, ips, urls = window.t[order], window.ip[order[starts]].tolist(), window.url[order[starts]]
    gaps = gap_figures(t, starts, counts)
    middles, promising = gaps.middle.tolist(), gaps.promising.tolist()
    cuts = np.flatnonzero(np.concatenate([[True], urls[1:] != urls[:-1]]))
    bounds = list(zip(starts.tolist(), (starts + counts).tolist(), strict=True))
    for begin, end in zip(cuts.tolist(), [*cuts[1:].tolist(), len(urls)], strict=True):
        if end - begin < MIN_DEVICES:
            continue
        yield (
            int(urls[begin]),
            [
                Series(ips[k], t[slice(*bounds[k])], order[slice(*bounds[k])], middles[k], promising[k])
                for k in range(begin, end)
            ],
        )


def find_lockstep(arrivals: Arrivals) -> list[LockstepFinding]:
    """Return the lock-step fleets of a log, earliest first."""
    if not len(arrivals):
        return []
    tracks: list[Track] = []
    step = stamp_step_s(arrivals.t)
    start_hour, last = float(arrivals.t[0]) // HOUR_S * HOUR_S, float(arrivals.t[-1])
    kept = candidates(arrivals)
    asking = arrivals.select(kept)
    for length, every, shortest in SCALES:
        for start, end in windows(start_hour, last, length, every):
            low, high = np.searchsorted(asking.t, (start, end))
            for url, series in series_by_url(asking.select(slice(low, high))):
                for fleet in find_fleets(url, series, length, max(shortest, step * STEPS_A_PERIOD)):
                    follow(tracks, fleet, int(low))
    findings = [track.finding(asking) for track in tracks]
    return sorted(
        (replace(found, rows=kept[found.rows]) for found in findings),
        key=lambda found: (found.since, found.url, found.period_s),
    )


@dataclass(slots=True)
class Track:
    """One fleet through the windows: its clearest sight so far, all devices and rows."""

    url: int
    period_s: float
    rayleigh_r: float
    devices: set[int] = field(default_factory=set)
    rows: list[Ints] = field(default_factory=list)

    def continues(self, fleet: Fleet, devices: set[int]) -> bool:
        """Say whether `fleet`, seen in another window, is this one."""
        return (
            fleet.url == self.url
            and abs(fleet.period_s / self.period_s - 1) < SAME_PERIOD
            and 2 * len(devices & self.devices) >= min(len(devices), len(self.devices))
        )

    def finding(self, arrivals: Arrivals) -> LockstepFinding:
        """Return what was found in all windows together."""
        seen = np.zeros(len(arrivals), dtype=bool)
        for rows in self.rows:
            seen[rows] = True
        rows = np.flatnonzero(seen)
        first, last = float(arrivals.t[rows[0]]), float(arrivals.t[rows[-1]])
        devices = sorted(arrivals.ips[ip] for ip in self.devices)
        url = arrivals.urls[self.url]
        return LockstepFinding(url, self.period_s, self.rayleigh_r, devices, first, last, len(rows), rows)


def follow(tracks: list[Track], fleet: Fleet, first_row: int) -> None:
    """Join `fleet`, seen in the window that begins at `first_row`, to its track, or open a new one."""
    devices = {series.ip for series in fleet.members}
    track = next((track for track in tracks if track.continues(fleet, devices)), None)
    if track is None:
        track = Track(fleet.url, fleet.period_s, 0.0)
        tracks.append(track)
    if fleet.rayleigh_r > track.rayleigh_r:
        track.period_s, track.rayleigh_r = fleet.period_s, fleet.rayleigh_r
    track.devices |= devices
    track.rows += [series.rows + first_row for series in fleet.members]
