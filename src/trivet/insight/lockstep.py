"""Lock-step fleets in one window of time: many devices that ask for one URL in phase.

Rule: devices are grouped by URL and period; only phases tell lock-step from merely the same period.
Rule: where jitter hides the single beats, the pooled series of the URL is asked, and chance must be
ruled out twice: by the pool and by the devices' phases.
Rule: a fleet has at least 5 devices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivet.insight.arrivals import Floats, Ints
from trivet.insight.periods import (
    MIN_CYCLES,
    Beat,
    find_beat,
    frequencies,
    peak,
    wheel,
)
from trivet.insight.poisson import densest_arc, resultant

MIN_DEVICES = 5
#: periods of one URL this close to each other are one period
SAME_PERIOD = 0.03
#: devices in phase lie in an arc of this share of the period
ARC_CYCLES = 0.2
MOST_CHANCE = 0.01
#: what the pooled series must show, both far beyond the largest of all trials on random logs
POOLED_Z = 30.0
POOLED_PHASE_Z = 10.0
POOLED_ARRIVALS = 6
#: a device joins a found fleet when its phase agrees at this share of what a member shows on average
JOIN_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Series:
    """All arrivals of one client at one URL inside a window (`rows` index the window's table)."""

    ip: int
    t: Floats
    rows: Ints


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices in lock-step at one URL; `rayleigh_r` is 1 when all their phases agree."""

    url: int
    period_s: float
    rayleigh_r: float
    members: tuple[Series, ...]


def find_fleets(url: int, series: Sequence[Series], span_s: float, shortest_s: float) -> list[Fleet]:
    """Return the fleets among the clients of one `url` in a window of `span_s`; beats from `shortest_s`."""
    beats = [(s, beat) for s in series if (beat := find_beat(s.t, shortest_s)) and beat.steady]
    fleets: list[Fleet] = []
    for group, period in groups_by_period(beats):
        fleets += fleets_of_one_period(url, group, period, series)
    return fleets or pooled_fleet(url, series, span_s, shortest_s)


def groups_by_period(beats: Sequence[tuple[Series, Beat]]) -> Iterator[tuple[list[Series], float]]:
    """Yield the devices that share a period, with that period."""
    ordered = sorted(beats, key=lambda pair: pair[1].period_s)
    start = 0
    for end in range(1, len(ordered) + 1):
        last = end == len(ordered)
        if last or ordered[end][1].period_s > ordered[end - 1][1].period_s * (1 + SAME_PERIOD):
            group = ordered[start:end]
            if len(group) >= MIN_DEVICES:
                yield [s for s, _ in group], float(np.median([beat.period_s for _, beat in group]))
            start = end


def device_sums(series: Sequence[Series], trials: Floats, origin: float) -> NDArray[np.complex128]:
    """Return each device's sum of exp(2 pi i (t - origin) f): a row a device, a column a frequency."""
    return np.array([wheel(s.t - origin, trials) for s in series])


def fleets_of_one_period(
    url: int, group: list[Series], period_s: float, everyone: Sequence[Series]
) -> list[Fleet]:
    """Split devices of one period by phase and keep the groups that chance does not explain."""
    times = np.concatenate([s.t for s in group])
    origin = float(np.median(times))
    trials = frequencies(period_s, float(np.ptp(times)), slack=SAME_PERIOD)
    sums = device_sums(group, trials, origin)
    counts = np.array([len(s.t) for s in group])
    power = (np.abs(sums) ** 2 / counts[:, None]).sum(axis=0)
    frequency = peak(trials, power)
    phases = np.angle(device_sums(group, np.array([frequency]), origin)[:, 0])
    left, fleets = np.arange(len(group)), list[Fleet]()
    while len(left) >= MIN_DEVICES:
        inside, chance = densest_arc((phases[left] / (2 * np.pi)) % 1.0, ARC_CYCLES)
        if len(inside) < MIN_DEVICES or chance > MOST_CHANCE:
            break
        found = [group[k] for k in left[inside]]
        taken = {s.ip for fleet in fleets for s in fleet.members}
        members = with_latecomers(found, everyone, frequency, origin, taken)
        r = resultant(phases[left[inside]])
        fleets.append(Fleet(url, 1 / frequency, r, members))
        left = np.delete(left, inside)
    return fleets


def pooled_fleet(url: int, series: Sequence[Series], span_s: float, shortest_s: float) -> list[Fleet]:
    """Look for one fleet in the sum of all devices' beats, where each beat alone is too weak."""
    polls = [(s, float(np.median(np.diff(s.t)))) for s in series if len(s.t) >= POOLED_ARRIVALS]
    if len(polls) < MIN_DEVICES:
        return []
    proposed = float(np.median([gap for _, gap in polls]))
    if proposed < shortest_s or proposed * MIN_CYCLES > span_s:
        return []
    pool = [s for s, gap in polls if 0.6 < gap / proposed < 1.6]
    trials = frequencies(proposed, span_s, slack=0.15)
    origin = float(pool[0].t[0])
    sums = device_sums(pool, trials, origin)
    size = sum(len(s.t) for s in pool)
    z = np.abs(sums.sum(axis=0)) ** 2 / size
    best = int(np.argmax(z))
    r = resultant(np.angle(sums[:, best]))
    if z[best] < POOLED_Z or len(pool) * r**2 < POOLED_PHASE_Z:
        return []
    direction = float(np.angle(sums[:, best].sum()))
    members = with_latecomers([], pool, float(trials[best]), origin, set(), direction)
    return [Fleet(url, 1 / peak(trials, z), r, members)] if len(members) >= MIN_DEVICES else []


def with_latecomers(
    found: Sequence[Series],
    everyone: Sequence[Series],
    frequency: float,
    origin: float,
    taken: set[int],
    direction: float | None = None,
) -> tuple[Series, ...]:
    """Add to `found` every other device that asks at this pace and in this phase (a V test each)."""
    if direction is None:
        direction = float(np.angle(sum(wheel(s.t - origin, np.array([frequency]))[0] for s in found)))
    candidates = [s for s in everyone if s.ip not in taken and keeps_pace(s, frequency)]
    if not candidates:
        return tuple(found)
    sums = device_sums(candidates, np.array([frequency]), origin)[:, 0]
    counts = np.array([len(s.t) for s in candidates])
    v = np.sqrt(2 / counts) * (sums * np.exp(-1j * direction)).real
    typical = float(np.median(v[v > 0])) if (v > 0).any() else 0.0
    known = {s.ip for s in found}
    joined = [s for s, agrees in zip(candidates, v > max(1.0, JOIN_SHARE * typical), strict=True) if agrees]
    return (*found, *(s for s in joined if s.ip not in known))


def keeps_pace(series: Series, frequency: float) -> bool:
    """Say whether a client asks about as often as `frequency` (Hz) wants while it is there."""
    if len(series.t) < POOLED_ARRIVALS:
        return False
    cycles = float(series.t[-1] - series.t[0]) * frequency
    return 0.5 * cycles < len(series.t) < 3 * cycles + 3
