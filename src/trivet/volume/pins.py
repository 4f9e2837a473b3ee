"""Pins: blobs that somebody reads as a whole version, which are not deleted meanwhile even if set free.

Rule: pins are counted, so that many may read the same version; they last as long as this process at most.
"""

from collections import Counter
from collections.abc import Iterable


class Pins:
    """How many readers hold each blob."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def __contains__(self, name: int) -> bool:
        return name in self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def hold(self, names: Iterable[int]) -> None:
        """Keep the blobs `names` from being deleted."""
        self._counts.update(names)

    def let_go(self, names: Iterable[int]) -> None:
        """End one `hold` of the same names."""
        counts = self._counts
        for name in names:
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
