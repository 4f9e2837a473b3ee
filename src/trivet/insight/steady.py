"""Clients on a steady pace: the same number of requests hour after hour, or a beat through all URLs.

Rule: only the busiest clients are judged, pooled over their URLs; many tests find anything.
Rule: hours count as steady when independent requests would not be so alike by chance, and when the
hours before were different; a pace held through the whole log needs far more proof.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trivet.insight.arrivals import HOUR_S, Arrivals, Ints, wall_hour
from trivet.insight.flood import hour_counts, ip_ranking
from trivet.insight.periods import STEPS_A_PERIOD, find_beat, stamp_step_s
from trivet.insight.poisson import poisson_between

SHORTEST_RUN = 5
MIN_PER_HOUR = 6
#: hours of one run may differ by this much in all
SPREADS = (0, 1, 2, 4, 8)
CHANCE_AFTER_CHANGE = 1e-5
CHANCE_WHOLE_LOG = 1e-9
#: the hours before must miss the pace by this many standard deviations of chi-square
CHANGE_Z = 4.0
#: one beat in one window must be this clear (chance e^-20)
BEAT_Z = 20.0
WINDOW_S = 7_200


@dataclass(frozen=True, slots=True)
class SteadyFinding:
    """Client `ip` at `per_hour` requests an hour from `since` to `until` (epoch seconds)."""

    ip: str
    per_hour: int
    since: float
    until: float
    requests: int
    urls: int
    rows: Ints

    def why(self) -> str:
        """Say in one line what was seen."""
        pooled = f" over {self.urls} URLs" if self.urls > 1 else ""
        return f"{self.ip} asks {self.per_hour} times an hour{pooled}, as by a clock"


@dataclass(frozen=True, slots=True)
class Run:
    """Hours [`start`, `end`) of a series that are alike with this `chance` for independent requests."""

    start: int
    end: int
    chance: float


def alike_runs(counts: Ints) -> Iterator[Run]:
    """Yield the longest runs of hours whose `counts` differ by no more than each of SPREADS."""
    for spread in SPREADS:
        start = 0
        for end in range(1, len(counts) + 1):
            if end < len(counts) and np.ptp(counts[start : end + 1]) <= spread:
                continue
            run = counts[start:end]
            if end - start >= SHORTEST_RUN and np.median(run) >= MIN_PER_HOUR:
                chance = poisson_between(int(run.min()), int(run.max()), float(run.mean()))
                yield Run(start, end, chance ** (end - start))
            while start < end and end < len(counts) and np.ptp(counts[start : end + 1]) > spread:
                start += 1


def changed_before(counts: Ints, run: Run) -> bool:
    """Say whether the hours before `run` kept another pace than its mean."""
    before = counts[: run.start]
    if len(before) < 2:
        return False
    mean = float(counts[run.start : run.end].mean())
    chi_square = float(((before - mean) ** 2).sum() / mean)
    deviation = math.sqrt(2 * len(before))
    return chi_square - len(before) > CHANGE_Z * deviation


def steady_run(counts: Ints, tests: int) -> Run | None:
    """Return the least likely steady run of hourly `counts`, or None; `tests` divides the chance allowed."""
    best = min(alike_runs(counts), key=lambda run: run.chance, default=None)
    if best is None:
        return None
    allowed = CHANCE_AFTER_CHANGE if changed_before(counts, best) else CHANCE_WHOLE_LOG
    return best if best.chance < allowed / tests else None


def find_steady(arrivals: Arrivals, hours: range, except_ips: set[str]) -> list[SteadyFinding]:
    """Return those of the busiest clients that keep a steady pace in the log's wall-clock `hours`.

    Clients in `except_ips` are left out.
    """
    if not len(arrivals):
        return []
    findings: list[SteadyFinding] = []
    shortest = STEPS_A_PERIOD * stamp_step_s(arrivals.t)
    ranking = ip_ranking(arrivals)
    for place, (ip, _) in enumerate(ranking):
        if arrivals.ips[ip] in except_ips:
            continue
        rows: Ints = np.flatnonzero(arrivals.ip == ip)
        run = steady_run(hour_counts(arrivals, ip, hours), tests=1 if place == 0 else len(ranking))
        if run:
            wall = wall_hour(arrivals.t[rows], arrivals.offset_s[rows]) - hours.start
            rows = rows[(wall >= run.start) & (wall < run.end)]
            per_hour = round(float(np.median(hour_counts(arrivals, ip, hours)[run.start : run.end])))
        else:
            rows, per_hour = beating_rows(arrivals, rows, shortest)
        if len(rows):
            findings.append(finding(arrivals, ip, per_hour, rows))
    return findings


def beating_rows(arrivals: Arrivals, rows: Ints, shortest_s: float) -> tuple[Ints, int]:
    """Return those of a client's `rows` that lie in windows with a clear beat, and its pace an hour."""
    t = arrivals.t[rows]
    found = np.zeros(len(rows), dtype=bool)
    for start in range(int(t[0]) // HOUR_S * HOUR_S, int(t[-1]) + 1, HOUR_S):
        low, high = np.searchsorted(t, (start, start + WINDOW_S))
        beat = find_beat(t[low:high], shortest_s)
        if beat and beat.steady and beat.z > BEAT_Z:
            found[low:high] = True
    rows, t = rows[found], t[found]
    per_hour = round((len(t) - 1) * HOUR_S / max(float(t[-1] - t[0]), 1.0)) if len(t) > 1 else 0
    return (rows, per_hour) if per_hour >= MIN_PER_HOUR else (rows[:0], 0)


def finding(arrivals: Arrivals, ip: int, per_hour: int, rows: Ints) -> SteadyFinding:
    """Return the finding that client `ip` kept a pace of `per_hour` through `rows`."""
    first, last = float(arrivals.t[rows[0]]), float(arrivals.t[rows[-1]])
    urls = len(np.unique(arrivals.url[rows]))
    return SteadyFinding(arrivals.ips[ip], per_hour, first, last, len(rows), urls, rows)
