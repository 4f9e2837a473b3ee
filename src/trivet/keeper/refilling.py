"""How far the refilling of servers has come, for whoever looks at status, and how fast it may go.

Rule: bytes count when their copy was read back right (of a move: was written), or was given up.
Rule: what is written to servers that lack it is spread evenly, so that people who work are not kept waiting.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from trivet.io.clock import steady_s
from trivet.wire.refill_messages import Refill

_TELL_RATE_AFTER_S = 0.5
REFILL_BYTES_PER_S = 80_000_000


class Pacing:
    """Lets copies be written at `limit_bytes_s`, one after the other."""

    def __init__(self) -> None:
        self.limit_bytes_s = REFILL_BYTES_PER_S
        self._next_s = 0.0

    async def turn(self, size_bytes: int) -> None:
        """Wait until so much more may be written."""
        now_s = steady_s()
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + size_bytes / self.limit_bytes_s
        if at_s > now_s:
            await asyncio.sleep(at_s - now_s)


class Refilling:
    """Counts bytes of copies that are to be written; begins anew whenever nothing is left to do."""

    def __init__(self, pacing: Pacing) -> None:
        self.pacing = pacing
        self._done = self._total = 0
        self._servers: set[int] = set()
        self._began_s = 0.0

    def expect(self, size_bytes: int, now_s: float, servers: Iterable[int] = ()) -> None:
        """Note that so much more is to be written to `servers`."""
        if self._done == self._total:
            self._done = self._total = 0
            self._began_s = now_s
            self._servers = set()
        self._total += size_bytes
        self._servers |= set(servers)

    def done(self, size_bytes: int) -> None:
        """Note that so much of it is done."""
        self._done += size_bytes

    @contextmanager
    def under_way(self, size_bytes: int, servers: Iterable[int]) -> Iterator[Callable[[int], None]]:
        """Expect so much while the block runs, which counts what is done; the rest counts as given up."""
        self.expect(size_bytes, steady_s(), servers)
        left = size_bytes

        def count(done_bytes: int) -> None:
            nonlocal left
            left -= done_bytes
            self.done(done_bytes)

        try:
            yield count
        finally:
            self.done(left)

    def told(self, now_s: float) -> Refill | None:
        """Return how it stands, None while nothing is to be written."""
        if self._done == self._total:
            return None
        took_s = now_s - self._began_s
        rate = self._done / took_s if took_s > _TELL_RATE_AFTER_S else 0.0
        left_s = (self._total - self._done) / rate if rate else None
        limit = self.pacing.limit_bytes_s
        return Refill(self._done, self._total, rate, left_s, sorted(self._servers), limit)
