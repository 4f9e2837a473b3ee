"""Checks of unfinished uploads, kept between the requests of one worker so that no byte is hashed twice.

Rule: a check belongs to exactly so many bytes; taken by whoever goes on, closed when nobody does.
"""

from collections import OrderedDict

from trivet.gateway.content_check import ContentCheck

KEPT_MAX = 64


class KeptChecks:
    """At most KEPT_MAX checks; the one kept longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, ContentCheck]] = OrderedDict()

    def keep(self, key: str, held: int, check: ContentCheck) -> None:
        """Keep the `check` of an upload that has been fed `held` bytes."""
        self.drop(key)
        self._kept[key] = (held, check)
        while len(self._kept) > KEPT_MAX:
            self.drop(next(iter(self._kept)))

    def take(self, key: str, held: int) -> ContentCheck | None:
        """Return the check of an upload that was fed exactly `held` bytes; it is the caller's then."""
        if key in self._kept and self._kept[key][0] == held:
            return self._kept.pop(key)[1]
        self.drop(key)
        return None

    def drop(self, key: str) -> None:
        """Close the check of an upload, if there is one."""
        found = self._kept.pop(key, None)
        if found is not None:
            found[1].close()

    def close(self) -> None:
        """Close all."""
        for key in list(self._kept):
            self.drop(key)
