"""The history of changes as doors follow it: each inode once, at the slot of its newest change.

Rule: what this life of the keeper saw is kept here in order of slots, bounded; what came before is told by
the index of slots, which knows where every inode that exists stands.
Rule: removals are kept apart, bounded; who asks for some that are forgotten must list everything anew.
"""

from collections import OrderedDict
from collections.abc import Iterable

from trivet.errors import ChangesExpired
from trivet.volume.interface import Change

KEPT_CHANGES = 65_536
KEPT_REMOVALS = 32_768


class ChangeLog:
    """Changes of inodes by slot, complete behind slot `complete_from`."""

    __slots__ = ("_gone", "_gone_floor", "_live", "complete_from")

    def __init__(self, head_slot: int, gone_floor: int, gone: Iterable[tuple[int, int]]) -> None:
        self.complete_from = head_slot
        # A plain dict is slow to tell its oldest key once many before that are gone.
        self._live: OrderedDict[int, int] = OrderedDict()
        self._gone: OrderedDict[int, int] = OrderedDict()
        self._gone_floor = gone_floor
        for slot, ino in gone:
            self._gone.pop(ino, None)
            self._gone[ino] = slot

    def changed(self, slot: int, ino: int) -> None:
        """Note that an inode changed at `slot`, which is none before those noted."""
        live = self._live
        live.pop(ino, None)
        live[ino] = slot
        if len(live) > KEPT_CHANGES:
            _, oldest = live.popitem(last=False)
            self.complete_from = max(self.complete_from, oldest)

    def removed(self, slot: int, ino: int) -> None:
        """Note that an inode is gone since `slot`."""
        self._live.pop(ino, None)
        self._gone[ino] = slot
        if len(self._gone) > KEPT_REMOVALS:
            _, oldest = self._gone.popitem(last=False)
            self._gone_floor = max(self._gone_floor, oldest)

    def newest_slot(self) -> int:
        """Return the slot of the newest change known here, 0 for none."""
        live = next(reversed(self._live.values()), 0)
        return max(live, next(reversed(self._gone.values()), 0))

    def behind(self, after_slot: int, older: Iterable[tuple[int, int]]) -> list[Change]:
        """Return all changes behind `after_slot` in order of slots.

        `older` are (slot, inode number) of what the index tells, empty if `after_slot` is not before
        `complete_from`. Raises ChangesExpired when removals behind `after_slot` are forgotten.
        """
        if after_slot < self._gone_floor:
            raise ChangesExpired(
                f"removals up to slot {self._gone_floor} are forgotten: list everything anew"
            )
        found = {ino: Change(slot, ino, False) for slot, ino in older if slot > after_slot}
        for changes, removed in ((self._live, False), (self._gone, True)):
            for ino, slot in reversed(changes.items()):
                if slot <= after_slot:
                    break
                found[ino] = Change(slot, ino, removed)
        return sorted(found.values(), key=lambda change: (change.slot, change.ino))


def first_changes(changes: list[Change], limit: int) -> list[Change]:
    """Return the first `limit` changes and those that share the last one's slot."""
    end = limit
    while 0 < end < len(changes) and changes[end].slot == changes[end - 1].slot:
        end += 1
    return changes[:end]
