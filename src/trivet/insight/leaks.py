"""Leaks: memory or handles that only grow, told from noise, from sawtooth and from a process warming up.

Rule: what is judged are the lowest values of equal stretches of time, so that what is given back does not
count; a gap, or a process that begins anew, begins anew here.
Rule: growth is a leak when it is far beyond what a random walk with the same steps would reach (t of the
steps), is large enough to matter, and goes on in the last third of the time (else it was a warm-up).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

#: Five standard errors: one in a hundred thousand random walks of thirty steps comes so far.
T_LEAK = 5.0
LAST_THIRD_SHARE = 0.2
GROWTH_SHARE = 0.1
LEAST_STRETCHES = 20


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a stretch is, and how many are looked at: fine scales are fast, coarse ones see rare steps."""

    stretch_s: float
    stretches: int


SCALES = (Scale(60.0, 30), Scale(600.0, 36))


@dataclass(frozen=True, slots=True)
class Growth:
    """A leak: from `low` to `high` in `over_s` seconds."""

    low: float
    high: float
    over_s: float


def leak_in(minima: Sequence[float], least_growth: float) -> bool:
    """Tell whether `minima`, lowest values of equal stretches of time, are those of a leak."""
    if len(minima) < LEAST_STRETCHES:
        return False
    growth = minima[-1] - minima[0]
    if growth < max(least_growth, GROWTH_SHARE * abs(minima[0])):
        return False
    third = len(minima) // 3
    if minima[-1] - minima[-1 - third] < LAST_THIRD_SHARE * growth:
        return False
    steps = [after - before for before, after in pairwise(minima)]
    mean = growth / len(steps)
    variance = sum((step - mean) ** 2 for step in steps) / (len(steps) - 1)
    return growth >= T_LEAK * sqrt(variance * len(steps))


class GrowthWatch:
    """Follows one figure of one process; `least_growth` is what is too little to be told."""

    def __init__(self, least_growth: float, scales: Sequence[Scale] = SCALES) -> None:
        self._least_growth = least_growth
        self._rows = [_Minima(scale) for scale in scales]

    def add(self, at_s: float, value: float) -> None:
        """Take the `value` at `at_s` of a clock that never jumps back."""
        for row in self._rows:
            row.add(at_s, value)

    def leak(self) -> Growth | None:
        """Return the leak that is going on, None if there is none."""
        for row in self._rows:
            if leak_in(row.minima, self._least_growth):
                over_s = (len(row.minima) - 1) * row.scale.stretch_s
                return Growth(row.minima[0], row.minima[-1], over_s)
        return None


class _Minima:
    """The lowest values of the last stretches that are over."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.minima: deque[float] = deque(maxlen=scale.stretches)
        self._ends_s = -inf
        self._lowest = inf

    def add(self, at_s: float, value: float) -> None:
        if at_s >= self._ends_s:
            if at_s >= self._ends_s + self.scale.stretch_s:  # nothing for a whole stretch: a gap
                self.minima.clear()
                self._ends_s = at_s
            else:
                self.minima.append(self._lowest)
            self._ends_s += self.scale.stretch_s
            self._lowest = inf
        self._lowest = min(self._lowest, value)
