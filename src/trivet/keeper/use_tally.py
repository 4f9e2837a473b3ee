"""How often each file was opened: what keeps bodies of a vendor that are used often in the banks.

Rule: bounded; of what nobody takes the oldest is forgotten.
"""

KEPT_FILES = 16_384


class UseTally:
    """Counts by inode, taken as a whole by the one who wants to know."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def note(self, ino: int) -> None:
        """Count that `ino` was opened."""
        counts = self._counts
        counts[ino] = counts.get(ino, 0) + 1
        if len(counts) > KEPT_FILES:
            del counts[next(iter(counts))]

    def take(self) -> list[tuple[int, int]]:
        """Return (inode, count) of all since this was asked last."""
        counts, self._counts = self._counts, {}
        return list(counts.items())
