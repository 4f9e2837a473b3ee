"""Chances under the null hypothesis "independent requests": Poisson tails and circular statistics.

Rule: logarithms inside, plain probabilities outside; nothing here knows what is counted.
"""

from math import exp, lgamma, log

import numpy as np
from numpy.typing import NDArray


def poisson_between(low: int, high: int, mean: float) -> float:
    """Return P(`low` <= X <= `high`) for a Poisson X of the given `mean`."""
    if mean <= 0:
        return 1.0 if low <= 0 <= high else 0.0
    return sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(max(low, 0), high + 1))


def rayleigh_z(phases: NDArray[np.float64]) -> float:
    """Return n*|mean exp(i*phase)|^2 of `phases` (radians); about Exp(1) when they are uniform."""
    return float(len(phases) * resultant(phases) ** 2) if len(phases) else 0.0


def resultant(phases: NDArray[np.float64]) -> float:
    """Return R = |mean exp(i*phase)|: 1 when all `phases` (radians) agree, near 0 when they are spread."""
    return float(abs(np.exp(1j * phases).mean())) if len(phases) else 0.0


def densest_arc(phases: NDArray[np.float64], width: float) -> tuple[NDArray[np.int64], float]:
    """Return which of `phases` (cycles, 0 to 1) lie in the fullest arc of `width` cycles, and how likely.

    The chance is the union bound over arcs that start at a point: n * P(at least k-1 of n-1 fall in).
    """
    order = np.argsort(phases)
    ordered = phases[order]
    n = len(ordered)
    around = np.concatenate([ordered, ordered + 1])
    reach = np.searchsorted(around, ordered + width, side="right") - np.arange(n)
    start, k = int(np.argmax(reach)), int(min(reach.max(), n))
    inside = order[np.arange(start, start + k) % n]
    return inside, min(1.0, n * binomial_tail(k - 1, n - 1, width))


def binomial_tail(k: int, n: int, p: float) -> float:
    """Return P(X >= `k`) for X of `n` trials with chance `p` each."""
    return sum(
        exp(lgamma(n + 1) - lgamma(j + 1) - lgamma(n - j + 1) + j * log(p) + (n - j) * log(1 - p))
        for j in range(max(k, 0), n + 1)
    )
