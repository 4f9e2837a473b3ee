"""How far the refilling of servers has come, for whoever looks at status.

Rule: bytes count when their copy was read back right, or was given up.
"""

from trivet.wire.control_messages import Refill

_TELL_RATE_AFTER_S = 0.5


class Refilling:
    """Counts bytes of copies that are to be written; begins anew whenever nothing is left to do."""

    def __init__(self) -> None:
        self._done = self._total = 0
        self._began_s = 0.0

    def expect(self, size_bytes: int, now_s: float) -> None:
        """Note that so much more is to be written."""
        if self._done == self._total:
            self._done = self._total = 0
            self._began_s = now_s
        self._total += size_bytes

    def done(self, size_bytes: int) -> None:
        """Note that so much of it is done."""
        self._done += size_bytes

    def told(self, now_s: float) -> Refill | None:
        """Return how it stands, None while nothing is to be written."""
        if self._done == self._total:
            return None
        took_s = now_s - self._began_s
        rate = self._done / took_s if took_s > _TELL_RATE_AFTER_S else 0.0
        left_s = (self._total - self._done) / rate if rate else None
        return Refill(self._done, self._total, rate, left_s)
