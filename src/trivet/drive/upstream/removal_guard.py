"""When so much is removed in a short time that somebody should be asked first.

Rule: more than `files_max` files within `window_s`, or more than half of a tree of some size, is not carried
out at the vendor before somebody has allowed it.
"""

import msgspec

#: A tree with fewer removals than this is never held for its share.
FEW = 10


class RemovalLimits(msgspec.Struct, frozen=True):
    """What is removed at the vendor without asking; `files_max` None = anything."""

    files_max: int | None = 100
    window_s: float = 600.0

    def holds(self, removed: int, files: int) -> bool:
        """Tell whether `removed` files of a tree that has `files` left are too many."""
        if self.files_max is None:
            return False
        return removed > self.files_max or (removed >= FEW and removed > files)
