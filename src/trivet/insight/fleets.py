"""Lock-step fleets in a whole log: windows of time, one after the other, joined to findings.

Rule: a window is judged by itself, so a fleet is found as soon as its hours are in the log, however
long the log is, and a live view finds what a batch finds.
Rule: two scales: windows of 2 hours every hour for beats up to 10 minutes, of a day every half day above.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trivet.insight.arrivals import HOUR_S, Arrivals, Ints
from trivet.insight.lockstep import MIN_DEVICES, SAME_PERIOD, Fleet, Series, find_fleets
from trivet.insight.periods import STEPS_A_PERIOD, stamp_step_s

#: (window, step, shortest beat) in seconds; the day scale leaves the fast beats to the other
SCALES = ((7_200, 3_600, 0), (86_400, 43_200, 600))
FEWEST_ARRIVALS = 6


@dataclass(slots=True)
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
    findings: list[LockstepFinding] = []
    if not len(arrivals):
        return findings
    step = stamp_step_s(arrivals.t)
    start_hour = float(arrivals.t[0]) // HOUR_S * HOUR_S
    for length, every, shortest in SCALES:
        for start, end in windows(start_hour, float(arrivals.t[-1]), length, every):
            low, high = np.searchsorted(arrivals.t, (start, end))
            window = arrivals.select(np.arange(low, high))
            for url, series in series_by_url(window):
                for fleet in find_fleets(url, series, length, max(shortest, step * STEPS_A_PERIOD)):
                    note(findings, arrivals, window, fleet, int(low))
    return sorted(findings, key=lambda f: f.since)


def note(
    findings: list[LockstepFinding], arrivals: Arrivals, window: Arrivals, fleet: Fleet, low: int
) -> None:
    """Join `fleet` to the finding that it continues, or open a new one."""
    rows = np.sort(np.concatenate([s.rows for s in fleet.members])) + low
    devices = sorted(window.ips[s.ip] for s in fleet.members)
    url = window.urls[fleet.url]
    for finding in findings:
        shared = len(set(devices) & set(finding.devices))
        period_agrees = abs(fleet.period_s / finding.period_s - 1) < SAME_PERIOD
        if finding.url == url and period_agrees and 2 * shared >= min(len(devices), len(finding.devices)):
            break
    else:
        finding = LockstepFinding(url, fleet.period_s, 0.0, [], 0.0, 0.0, 0, rows[:0])
        findings.append(finding)
    if fleet.rayleigh_r > finding.rayleigh_r:
        finding.period_s, finding.rayleigh_r = fleet.period_s, fleet.rayleigh_r
    finding.devices = sorted(set(devices) | set(finding.devices))
    finding.rows = np.union1d(finding.rows, rows)
    finding.requests = len(finding.rows)
    finding.since, finding.until = float(arrivals.t[finding.rows[0]]), float(arrivals.t[finding.rows[-1]])
