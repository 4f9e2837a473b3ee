"""Lock-step fleets in a whole log: windows of time, one after the other, joined to findings.

Rule: a window is judged by itself, so a fleet is found as soon as its hours are in the log, however
long the log is, and a live view finds what a batch finds.
Rule: two scales: windows of 2 hours every hour for beats up to 10 minutes, of a day every half day above.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from trivet.insight.arrivals import HOUR_S, Arrivals, Ints
from trivet.insight.lockstep import MIN_DEVICES, SAME_PERIOD, Fleet, Series, find_fleets
from trivet.insight.periods import STEPS_A_PERIOD, stamp_step_s

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


def series_by_url(window: Arrivals) -> Iterator[tuple[int, list[Series]]]:
    """Yield each URL that enough clients ask for often enough, with those clients' series."""
    key = window.url.astype(np.int64) * len(window.ips) + window.ip
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(starts, len(ordered)))
    wanted = counts >= FEWEST_ARRIVALS
    starts, counts = starts[wanted], counts[wanted]
    if not len(starts):
        return
    urls = ordered[starts] // len(window.ips)
    cuts = np.flatnonzero(np.concatenate([[True], urls[1:] != urls[:-1]]))
    for begin, end in zip(cuts, np.append(cuts[1:], len(urls)), strict=True):
        if end - begin < MIN_DEVICES:
            continue
        rows = [order[starts[k] : starts[k] + counts[k]] for k in range(begin, end)]
        yield int(urls[begin]), [Series(int(window.ip[r[0]]), window.t[r], r) for r in rows]


def find_lockstep(arrivals: Arrivals) -> list[LockstepFinding]:
    """Return the lock-step fleets of a log, earliest first."""
    if not len(arrivals):
        return []
    tracks: list[Track] = []
    step = stamp_step_s(arrivals.t)
    start_hour = float(arrivals.t[0]) // HOUR_S * HOUR_S
    for length, every, shortest in SCALES:
        for start, end in windows(start_hour, float(arrivals.t[-1]), length, every):
            low, high = np.searchsorted(arrivals.t, (start, end))
            window = arrivals.select(np.arange(low, high))
            for url, series in series_by_url(window):
                for fleet in find_fleets(url, series, length, max(shortest, step * STEPS_A_PERIOD)):
                    follow(tracks, fleet, int(low))
    return sorted((track.finding(arrivals) for track in tracks), key=lambda found: found.since)


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
