"""How fast and from where background checks go on: budgets, positions and what is left.

Rule: comparing records takes at most a share of a core on a bank; of a volume too large for that each
refresh takes the next buckets, round and round, and status tells how old the oldest is.
Rule: reading bytes stays under its rate, and far under it while people wait.
"""

import msgspec

from trivet.wire.records import BUCKETS

COMPARE_SHARE = 0.05
SCRUB_BYTES_PER_S = 20 << 20
BUSY_SHARE = 0.1
BURST_S = 1.0


class ShardTurn(msgspec.Struct, array_like=True, frozen=True):
    """Which buckets the next refresh compares: from `position` on; the round began at `began_at`."""

    position: int = 0
    began_at: float = 0.0

    def take(self, bucket_s: float, period_s: float) -> range:
        """Return the buckets to compare now, one taking `bucket_s`, a refresh every `period_s`.

        All 256 if they fit into the share, at least one.
        """
        budget_s = COMPARE_SHARE * period_s
        count = BUCKETS if bucket_s * BUCKETS <= budget_s else max(int(budget_s / bucket_s), 1)
        start = 0 if count == BUCKETS else self.position
        return range(start, min(start + count, BUCKETS))

    def after(self, taken: range, now: float) -> "ShardTurn":
        """Return the turn after the buckets `taken` were compared."""
        if taken.stop >= BUCKETS:
            return ShardTurn(0, now)
        return ShardTurn(taken.stop, self.began_at)


class ScrubPosition(msgspec.Struct, array_like=True, frozen=True):
    """Where a server's scrub stands: blobs up to the name `after` are checked in this pass.

    `checked_bytes` counts this pass, `passes` the finished ones, `finished_at` when the last one ended
    (seconds of the epoch, for people; 0: never).
    """

    after: int = 0
    checked_bytes: int = 0
    passes: int = 0
    finished_at: float = 0.0

    def advanced(self, last: int, size_bytes: int, *, more: bool, wall_time: float) -> "ScrubPosition":
        """Return the position after blobs up to `last` were checked; without `more` a new pass begins."""
        if more:
            return ScrubPosition(last, self.checked_bytes + size_bytes, self.passes, self.finished_at)
        return ScrubPosition(0, 0, self.passes + 1, wall_time)

    def left_s(self, total_bytes: int, bytes_per_s: float) -> float | None:
        """Return how long the rest of this pass takes at `bytes_per_s`, None while the scrub stands."""
        if bytes_per_s <= 0:
            return None
        return max(total_bytes - self.checked_bytes, 0) / bytes_per_s


class Pace:
    """A bucket of bytes filled at `bytes_per_s` (0: paused); it holds one second's worth."""

    __slots__ = ("_at", "_bytes", "bytes_per_s")

    def __init__(self, now: float, bytes_per_s: float = SCRUB_BYTES_PER_S) -> None:
        self.bytes_per_s = bytes_per_s
        self._at = now
        self._bytes = 0.0

    def allowed(self, now: float, *, busy: bool) -> int:
        """Return how many bytes may be read now; slower while `busy` (people wait for the drive)."""
        rate = self.bytes_per_s * (BUSY_SHARE if busy else 1.0)
        self._bytes = min(self._bytes + (now - self._at) * rate, self.bytes_per_s * BURST_S)
        self._at = now
        return max(int(self._bytes), 0)

    def spent(self, size_bytes: int) -> None:
        """Take what was read off; more than was allowed is made up for by waiting."""
        self._bytes -= size_bytes
