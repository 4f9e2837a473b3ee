"""Lock-step fleets in one window of time: many devices that ask for one URL in phase.

Rule: devices are grouped by URL and period; only phases tell lock-step from merely the same period.
Rule: where jitter hides the single beats, the pooled series of the URL is asked, and chance must be
ruled out twice: by the pool and by the devices' phases.
Rule: a fleet has at least 5 devices.
Rule: phases are compared over at most STRETCH_CYCLES periods: fast clients must cost no more than slow ones.
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
    middle,
    peak,
    turns,
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
STRETCH_CYCLES = 200
#: of the table of all arrivals by all frequencies; beyond that devices are summed one by one
MOST_CELLS = 1 << 20
#: a device joins a found fleet when its phase agrees at this share of what a member shows on average
JOIN_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Series:
    """All arrivals of one client at one URL inside a window (`rows` index the window's table).

    `gap_s` is the middle of its gaps; where a beat is not `promising` there is none.
    """

    ip: int
    t: Floats
    rows: Ints
    gap_s: float
    promising: bool

    def within(self, start: float, end: float) -> Floats:
        """Return the arrivals in [`start`, `end`)."""
        low, high = np.searchsorted(self.t, (start, end))
        return self.t[low:high]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices in lock-step at one URL; `rayleigh_r` is 1 when all their phases agree."""

    url: int
    period_s: float
    rayleigh_r: float
    members: tuple[Series, ...]


def find_fleets(url: int, series: Sequence[Series], span_s: float, shortest_s: float) -> list[Fleet]:
    """Return the fleets among the clients of one `url` in a window of `span_s`; beats from `shortest_s`."""
    looked_at = (s for s in series if s.promising)
    beats = [(s, beat) for s in looked_at if (beat := find_beat(s.t, shortest_s)) and beat.steady]
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


def device_sums(times: Sequence[Floats], trials: Floats, origin: float) -> NDArray[np.complex128]:
    """Return each device's sum of exp(2 pi i (t - origin) f): a row a device, a column a frequency."""
    sizes = [len(t) for t in times]
    if len(trials) * sum(sizes) > MOST_CELLS:
        return np.array([wheel(t - origin, trials) for t in times])
    sums = np.add.reduceat(turns(np.concatenate(times) - origin, trials), np.cumsum([0, *sizes[:-1]]), axis=1)
    transposed: NDArray[np.complex128] = sums.T
    return transposed


@dataclass(frozen=True, slots=True)
class Beatings:
    """Those of some devices that ask often enough in one stretch from `start` to `end`, with their times."""

    devices: list[Series]
    times: list[Floats]
    start: float
    end: float


def beatings(series: Sequence[Series], period_s: float) -> Beatings:
    """Return the stretch of STRETCH_CYCLES periods that begins where half of `series` have begun."""
    start = float(np.median([s.t[0] for s in series])) - period_s
    end = start + STRETCH_CYCLES * period_s
    kept = [(s, t) for s in series if len(t := s.within(start, end)) >= POOLED_ARRIVALS]
    return Beatings([s for s, _ in kept], [t for _, t in kept], start, end)


def fleets_of_one_period(
    url: int, group: list[Series], period_s: float, everyone: Sequence[Series]
) -> list[Fleet]:
    """Split devices of one period by phase and keep the groups that chance does not explain."""
    stretch = beatings(group, period_s)
    if len(stretch.devices) < MIN_DEVICES:
        return []
    times = np.concatenate(stretch.times)
    origin = float(np.median(times))
    trials = frequencies(period_s, float(np.ptp(times)), slack=SAME_PERIOD)
    counts = np.array([len(t) for t in stretch.times])
    power = (np.abs(device_sums(stretch.times, trials, origin)) ** 2 / counts[:, None]).sum(axis=0)
    frequency = peak(trials, power)
    sums = device_sums(stretch.times, np.array([frequency]), origin)[:, 0]
    phases = np.angle(sums)
    left, fleets, taken = np.arange(len(phases)), list[Fleet](), set[int]()
    while len(left) >= MIN_DEVICES:
        inside, chance = densest_arc((phases[left] / (2 * np.pi)) % 1.0, ARC_CYCLES)
        if len(inside) < MIN_DEVICES or chance > MOST_CHANCE:
            break
        found = left[inside]
        members = [stretch.devices[k] for k in found]
        direction = float(np.angle(sums[found].sum()))
        members += latecomers(members, everyone, taken, Beam(frequency, origin, direction), stretch)
        taken.update(s.ip for s in members)
        fleets.append(Fleet(url, 1 / frequency, resultant(phases[found]), tuple(members)))
        left = np.delete(left, inside)
    return fleets


def pooled_fleet(url: int, series: Sequence[Series], span_s: float, shortest_s: float) -> list[Fleet]:
    """Look for one fleet in the sum of all devices' beats, where each beat alone is too weak."""
    polls = [s for s in series if len(s.t) >= POOLED_ARRIVALS]
    if len(polls) < MIN_DEVICES:
        return []
    proposed = middle(np.sort([s.gap_s for s in polls]))
    if proposed < shortest_s or proposed * MIN_CYCLES > span_s:
        return []
    stretch = beatings([s for s in polls if 0.6 < s.gap_s / proposed < 1.6], proposed)
    if len(stretch.devices) < MIN_DEVICES:
        return []
    trials = frequencies(proposed, min(span_s, stretch.end - stretch.start), slack=0.15)
    sums = device_sums(stretch.times, trials, stretch.start)
    z = np.abs(sums.sum(axis=0)) ** 2 / sum(len(t) for t in stretch.times)
    best = int(np.argmax(z))
    r = resultant(np.angle(sums[:, best]))
    if z[best] < POOLED_Z or len(stretch.devices) * r**2 < POOLED_PHASE_Z:
        return []
    beam = Beam(float(trials[best]), stretch.start, float(np.angle(sums[:, best].sum())))
    members = latecomers([], stretch.devices, set(), beam, stretch)
    return [Fleet(url, 1 / peak(trials, z), r, tuple(members))] if len(members) >= MIN_DEVICES else []


@dataclass(frozen=True, slots=True)
class Beam:
    """A fleet's frequency (Hz) and phase (radians, times counted from `origin`)."""

    frequency: float
    origin: float
    direction: float


def latecomers(
    found: Sequence[Series], everyone: Sequence[Series], taken: set[int], beam: Beam, stretch: Beatings
) -> list[Series]:
    """Return every device not yet `found` or `taken` that asks at the fleet's pace and phase (a V test)."""
    times = [s.within(stretch.start, stretch.end) for s in everyone]
    pairs = [(s, t) for s, t in zip(everyone, times, strict=True) if keeps_pace(t, beam.frequency)]
    if not pairs:
        return []
    sums = device_sums([t for _, t in pairs], np.array([beam.frequency]), beam.origin)[:, 0]
    counts = np.array([len(t) for _, t in pairs])
    v = np.sqrt(2 / counts) * (sums * np.exp(-1j * beam.direction)).real
    typical = float(np.median(v[v > 0])) if (v > 0).any() else 0.0
    known = taken | {s.ip for s in found}
    agrees = v > max(1.0, JOIN_SHARE * typical)
    return [s for (s, _), joins in zip(pairs, agrees, strict=True) if joins and s.ip not in known]


def keeps_pace(t: Floats, frequency: float) -> bool:
    """Say whether a client asks about as often as `frequency` (Hz) wants while it is there."""
    if len(t) < POOLED_ARRIVALS:
        return False
    cycles = float(t[-1] - t[0]) * frequency
    return 0.5 * cycles < len(t) < 3 * cycles + 3
