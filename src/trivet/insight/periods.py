"""Periods of single clients: which (IP, URL) pairs ask at a steady beat, and at which.

Rule: the median gap proposes a period, the largest Rayleigh z within 10 % of it decides.
Rule: a pair is periodic when z > 12 and z > 0.6 n, so at least 13 arrivals are needed.
Rule: stamps are whole seconds as a rule; a period under 5 stamp steps is an artefact, not a beat.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivet.insight.arrivals import Floats, Ints

MIN_Z = 12.0
MIN_Z_SHARE = 0.6
MIN_ARRIVALS = 13
#: arrivals of one pair that are looked at in one window: enough for z, and bounded work
MOST_ARRIVALS = 128
#: a period must fit this often into the window
MIN_CYCLES = 10
STEPS_A_PERIOD = 5
#: a beat has this share of its gaps within this much of their median
NEAR_SHARE = 0.4
NEAR_GAP = 0.35
#: frequencies tried per 1/span: finer than the width of the peak
OVERSAMPLING = 6


@dataclass(frozen=True, slots=True)
class Beat:
    """A period in seconds and how clearly `n` arrivals keep to it (Rayleigh `z`, at most n)."""

    period_s: float
    z: float
    n: int

    @property
    def steady(self) -> bool:
        """Say whether chance is ruled out."""
        return self.z > MIN_Z and self.z > MIN_Z_SHARE * self.n


def stamp_step_s(t: Floats) -> float:
    """Return the resolution of the stamps `t`: their largest common step, a millisecond to a second.

    A wider common step is no matter of stamps: a log of nothing but a perfect fleet has the fleet's.
    """
    thousandths = np.round((t - t[0]) * 1000).astype(np.int64)
    return float(np.gcd(np.gcd.reduce(thousandths), 1000)) / 1000


def frequencies(period_s: float, span_s: float, slack: float) -> Floats:
    """Return the frequencies (Hz) to try around 1/`period_s`, `slack` (0.1 = 10 %) to either side."""
    low, high = 1 / (period_s * (1 + slack)), 1 / (period_s * (1 - slack))
    count = int(np.ceil((high - low) * span_s * OVERSAMPLING)) + 2
    return np.linspace(low, high, count)


def wheel(t: Floats, trials: Floats) -> NDArray[np.complex128]:
    """Return sum over arrivals of exp(2 pi i t f), one for each of the equidistant frequencies `trials`."""
    sums: NDArray[np.complex128] = turns(t, trials).sum(axis=1)
    return sums


def turns(t: Floats, trials: Floats) -> NDArray[np.complex128]:
    """Return exp(2 pi i t f): a row a frequency of the equidistant `trials`, a column an arrival.

    Each row is the row before, turned by one step: an exponential per arrival instead of one per cell.
    """
    cells = np.empty((len(trials), len(t)), dtype=np.complex128)
    cells[0] = np.exp(2j * np.pi * trials[0] * t)
    if len(trials) > 1:
        cells[1:] = np.exp(2j * np.pi * (trials[1] - trials[0]) * t)
    turned: NDArray[np.complex128] = np.multiply.accumulate(cells, axis=0)
    return turned


def peak(trials: Floats, power: Floats) -> float:
    """Return the frequency of the highest `power`, by a parabola through its neighbours."""
    top = int(np.argmax(power))
    if not 0 < top < len(trials) - 1:
        return float(trials[top])
    left, middle, right = power[top - 1 : top + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(trials[top] + shift * (trials[1] - trials[0]))


def proposed_periods(gaps: Floats) -> list[float]:
    """Return the periods that `gaps` propose: their median, and past bursts the median of the wide ones."""
    ordered = np.sort(gaps)
    mean = float(gaps.mean())
    sets = [ordered] if middle(ordered) >= 0.5 * mean else [ordered, ordered[ordered > 0.5 * mean]]
    return [middle(one) for one in sets if alike(one)]


def middle(ordered: Floats) -> float:
    """Return the upper median of ascending values."""
    return float(ordered[len(ordered) // 2])


def alike(ordered: Floats) -> bool:
    """Say whether ascending gaps crowd round their median, as those of any beat with z > 0.6 n do.

    Of random gaps a quarter lies there; it is what spares most clients the dear search for a period.
    """
    near = middle(ordered) * np.array([1 - NEAR_GAP, 1 + NEAR_GAP])
    low, high = np.searchsorted(ordered, near)
    return bool(high - low >= NEAR_SHARE * len(ordered))


@dataclass(frozen=True, slots=True)
class GapFigures:
    """Of each of many series: the `middle` (upper median) of its gaps, and whether a beat is `promising`."""

    middle: Floats
    promising: NDArray[np.bool_]


def gap_figures(t: Floats, starts: Ints, counts: Ints) -> GapFigures:
    """Return the figures of the series t[start : start + count], each ascending and of 2 arrivals or more.

    What is not promising has no beat: `find_beat` would look at it and say so, one series at a time.
    """
    sizes = counts - 1
    ends = np.cumsum(sizes)
    firsts = ends - sizes
    owner = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(int(ends[-1])) - firsts[owner] + starts[owner]
    gaps = t[place + 1] - t[place]
    ordered = gaps[np.lexsort((gaps, owner))]
    middle = ordered[firsts + sizes // 2]
    near = (ordered >= middle[owner] * (1 - NEAR_GAP)) & (ordered < middle[owner] * (1 + NEAR_GAP))
    crowded = np.add.reduceat(near, firsts, dtype=np.int64) >= NEAR_SHARE * sizes
    bursts = middle < 0.5 * np.add.reduceat(ordered, firsts) / sizes
    # of a longer series `find_beat` looks at the beginning only, whose gaps may be others
    promising = (counts >= MIN_ARRIVALS) & (crowded | bursts | (counts > MOST_ARRIVALS))
    return GapFigures(middle, promising)


def find_beat(t: Floats, shortest_s: float) -> Beat | None:
    """Return the clearest beat in arrival times `t` (ascending), or None when no period can be proposed."""
    t = t[:MOST_ARRIVALS]
    if len(t) < MIN_ARRIVALS:
        return None
    since_first = t - t[0]
    span = float(since_first[-1])
    best: Beat | None = None
    for proposed in proposed_periods(np.diff(t)):
        if proposed < shortest_s or proposed * MIN_CYCLES > span:
            continue
        trials = frequencies(proposed, span, slack=0.1)
        power = np.abs(wheel(since_first, trials)) ** 2 / len(t)
        if best is None or power.max() > best.z:
            best = Beat(1 / peak(trials, power), float(power.max()), len(t))
    return best
