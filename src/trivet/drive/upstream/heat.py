"""How warm a body is: how lately and how often it was used, as one number that needs no ageing.

Rule: a use counts half as much after HALF_LIFE_S; the coldest body goes first.
Source: the policy "least recently or frequently used" (LRFU) of Lee et al., IEEE Trans. Computers 50(12).
"""

from math import log2

HALF_LIFE_S = 6 * 3600.0


def warmed(heat_s: float | None, now_s: float, uses: int = 1) -> float:
    """Return the heat of a body after `uses` at `now_s`; `heat_s` is what it was, None before the first.

    A heat is a moment: that at which a body used once would be as warm. Twice as many uses are worth
    HALF_LIFE_S more of it, whenever heats are compared.
    """
    fresh_s = now_s + HALF_LIFE_S * log2(uses)
    if heat_s is None:
        return fresh_s
    high, low = max(heat_s, fresh_s), min(heat_s, fresh_s)
    return high + HALF_LIFE_S * log2(1.0 + 2.0 ** ((low - high) / HALF_LIFE_S))
