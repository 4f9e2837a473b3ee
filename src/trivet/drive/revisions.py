"""Old versions of a file: which are kept.

Rule: what somebody keeps forever is kept; of the rest the newest hundred of the last thirty days, and always
the newest one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

KEEP_COUNT = 100
KEEP_S = 30 * 24 * 3600.0
KEEP_FOREVER_MAX = 200


@dataclass(frozen=True, slots=True)
class OldVersion:
    """One old version: its revision id and inode, and since when it is old."""

    revision: str
    ino: int
    replaced_s: float
    keep_forever: bool


def expired(versions: Sequence[OldVersion], now_s: float) -> list[OldVersion]:
    """Return those of `versions` (of one file) that are to go at `now_s`."""
    newest_first = sorted(versions, key=lambda one: (one.replaced_s, one.ino), reverse=True)
    return [
        one
        for place, one in enumerate(newest_first)
        if not one.keep_forever and place > 0 and (place >= KEEP_COUNT or now_s - one.replaced_s > KEEP_S)
    ]
