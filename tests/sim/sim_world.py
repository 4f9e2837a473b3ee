"""Virtual time: events in order of time, one source of chance, and a trace whose hash names the run."""

import heapq
import random
from collections.abc import Callable
from hashlib import blake2b


class World:
    """Everything that happens in one run; the run is a pure function of `seed`."""

    def __init__(self, seed: int, *, tell: Callable[[str], None] | None = None) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.steps = 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0
        self._hash = blake2b(digest_size=16)
        self._tell = tell

    def after(self, delay: float, act: Callable[..., None], *args: object) -> None:
        """Let `act` happen `delay` seconds from now."""
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, act, args))

    def run(self, until: float) -> None:
        """Let everything happen that is due before `until`."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, act, args = heapq.heappop(events)
            self.steps += 1
            act(*args)
        self.now = until

    def trace(self, what: str) -> None:
        """Note that something happened."""
        self._hash.update(b"%.6f %s\n" % (self.now, what.encode()))
        if self._tell is not None:
            self._tell(f"{self.now:10.4f}  {what}")

    def trace_hash(self) -> str:
        """Return the hash of all that was noted."""
        return self._hash.hexdigest()
