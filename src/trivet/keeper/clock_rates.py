"""How fast the clocks of servers run beside the keeper's own: a lease relies on them.

Rule: clocks are compared by how far each went, never by what they show.
Rule: two clocks alone can't say which of them is wrong; when those of two banks agree, the third is.
"""

from collections import deque
from collections.abc import Mapping
from statistics import median

from trivet.quorum.lease import DRIFT

_ASKED_WITHIN_S = 0.2
_LONG_ENOUGH_S = 5.0
_LOOKED_AT_S = 20.0


class ClockRate:
    """Takes in what one server's clock shows, and tells how fast it runs."""

    def __init__(self) -> None:
        self._shown: deque[tuple[float, float]] = deque()

    def note(self, asked_s: float, answered_s: float, shown_s: float) -> None:
        """Note what the clock showed between `asked_s` and `answered_s` of the keeper's; all in seconds."""
        if answered_s - asked_s > _ASKED_WITHIN_S:
            return  # nobody can say when in between it was read
        shown, own_s = self._shown, (asked_s + answered_s) / 2
        if shown and shown_s < shown[-1][1]:
            shown.clear()  # another machine, or one that was started anew
        shown.append((own_s, shown_s))
        while own_s - shown[0][0] > _LOOKED_AT_S:
            shown.popleft()

    def rate(self) -> float | None:
        """Return how many of its seconds pass in one of the keeper's; None while nobody can tell."""
        if not self._shown:
            return None
        (own_0, shown_0), (own_1, shown_1) = self._shown[0], self._shown[-1]
        return (shown_1 - shown_0) / (own_1 - own_0) if own_1 - own_0 >= _LONG_ENOUGH_S else None


def clock_notes(rates: Mapping[int, float | None]) -> list[str]:
    """Return a sentence for each clock that drifts further than a lease allows for; `rates` by port."""
    known = {port: rate for port, rate in rates.items() if rate is not None}
    wrong = {port: rate for port, rate in known.items() if abs(rate - 1) > DRIFT}
    usual = median(known.values()) if known else 1.0
    if len(wrong) > 1 and abs(usual - 1) > DRIFT:
        return [f"the keeper's clock runs {1 / usual:.2f} times as fast as the servers': no lease is sure"]
    return [
        f"the clock of server {port} runs {rate:.2f} times as fast as the keeper's: no lease is sure"
        for port, rate in sorted(wrong.items())
    ]
