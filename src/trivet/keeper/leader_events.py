"""Who the leader's shell tells what becomes of the log.

Rule: all but the two coroutines are called on the loop and must not block.
"""

from typing import Protocol

from trivet.wire.entries import Entry

#: (first slot with a blob nobody has, whether all servers were asked, the (base, slot) that may lack one).
Secured = tuple[int, bool, list[tuple[int, int]]]


class LeaderEvents(Protocol):
    """Who is told what becomes of the log."""

    def sealed(self, entry: Entry) -> None:
        """The leader authored `entry` itself."""

    def acked(self, slot: int) -> None:
        """Everything up to `slot` is with two banks' systems."""

    def durable(self, slot: int) -> None:
        """Everything up to `slot` is synced on two banks."""

    def serving(self) -> None:
        """The takeover is complete."""

    def enthroned(self) -> None:
        """People may be answered."""

    def stuck(self, reason: str) -> None:
        """The takeover can't go on."""

    def deposed(self) -> None:
        """Another keeper took over."""

    def doubted(self, base: int, reason: str) -> None:
        """Records and blobs of the bank at `base` must be compared."""

    def log_mended(self, base: int) -> None:
        """The journal of the bank at `base` was damaged, and is whole again."""

    async def secure_blobs(self, blobs: list[tuple[int, int, int, bytes]]) -> Secured:
        """Return the first slot of `blobs` (slot, name, size, root) whose blob nobody has (0: none).

        And whether all servers that could have it were asked, and the (bank, slot) that may lack one.
        """

    async def copy_records(self, base: int) -> None:
        """Copy all records to the acceptor of the bank at `base`; raises ReplicaError when that fails."""
