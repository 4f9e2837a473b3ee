"""The lease: how long a leader may go on reading without having heard from two banks.

Rule: for reads only; commits are safe without it. Times are of a clock that counts suspended time.
"""

from collections.abc import Iterable

LEASE_S = 5.0
HEARTBEAT_S = 1.0
DRIFT = 0.1


class Lease:
    """Lasts from when two banks' last answered messages were sent, shortened by the drift of clocks."""

    __slots__ = ("_answered", "_majority")

    def __init__(self, banks: Iterable[int]) -> None:
        self._answered = dict.fromkeys(banks, float("-inf"))
        self._majority = len(self._answered) // 2 + 1

    def answered(self, bank: int, sent_at: float) -> None:
        """Note that `bank`, counting as voter, answered what was sent at `sent_at`."""
        if sent_at > self._answered[bank]:
            self._answered[bank] = sent_at

    def end(self) -> float:
        """Return when the lease ends."""
        return sorted(self._answered.values())[-self._majority] + LEASE_S * (1 - DRIFT)

    def holds(self, now: float) -> bool:
        """Tell whether reads at `now` are sure to be of the last state."""
        return now < self.end()


def wait_out_s() -> float:
    """Return how long a new leader waits after two banks promised, before it acknowledges anything."""
    return LEASE_S * (1 + DRIFT)
