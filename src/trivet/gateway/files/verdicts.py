"""What a worker has found of contents that were not checked on their way in, for as long as they stay.

Rule: a key names content and promise; whatever changes either makes another key.
"""

from collections import OrderedDict

KEPT_VERDICTS = 4096


class Verdicts:
    """What was found of KEPT_VERDICTS contents, "" for nothing wrong; the oldest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], str] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> str | None:
        """Return what was found, None if nobody has looked."""
        return self._kept.get(key)

    def note(self, key: tuple[object, ...], fault: str | None) -> None:
        """Keep what was found."""
        self._kept[key] = fault or ""
        while len(self._kept) > KEPT_VERDICTS:
            self._kept.popitem(last=False)
