"""The history of changes: which inode changed at which slot, told to those who follow the volume.

Rule: only what is durable is told, so that nothing told is ever taken back.
Rule: what happened before this keeper began is looked up in the index, a part at a time.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

from trivet.errors import ChangesExpired
from trivet.keeper.stores import CommitPort, Ticket
from trivet.volume.change_log import ChangeLog, first_changes
from trivet.volume.interface import Change
from trivet.volume.namespace import Namespace
from trivet.wire.records import ino_of, inode_key

_LOOKED_UP_AT_ONCE = 4096


class ChangeHistory:
    """Follows what is submitted; `happened` is set each time something was."""

    def __init__(self, space: Namespace, commit: CommitPort) -> None:
        floor, gone = space.tombstones.take_loaded(commit.slot_of)
        self._log = ChangeLog(commit.head_slot, floor, gone)
        self._space = space
        self._commit = commit
        self._unsealed: deque[tuple[Ticket, list[tuple[int, bool]]]] = deque()
        self.happened = asyncio.Event()

    def note(self, ticket: Ticket, records: Mapping[bytes, bytes | None]) -> None:
        """Take in the records of a change set that goes into the entry of `ticket`."""
        inodes = [(ino_of(key), value is None) for key, value in records.items() if key[:2] == b"i/"]
        self._unsealed.append((ticket, inodes))
        self._settle()
        self.happened.set()

    def _settle(self) -> None:
        """Take over what has its slot by now."""
        while self._unsealed and (slot := self._unsealed[0][0].slot) is not None:
            for ino, removed in self._unsealed.popleft()[1]:
                if removed:
                    self._log.removed(slot, ino)
                else:
                    self._log.changed(slot, ino)

    def has_news(self, after_slot: int) -> bool:
        """Tell whether something durable happened behind `after_slot`."""
        self._settle()
        known = self._log.newest_slot()
        if after_slot < self._log.complete_from:
            return True
        return after_slot < known and after_slot < self._commit.durable_slot

    async def behind(self, after_slot: int, limit: int) -> tuple[list[Change], int]:
        """Return what is durable behind `after_slot`, about `limit` changes, and the slot to go on from.

        Raises ChangesExpired if removals are forgotten, or if no history of this volume got that far.
        """
        older = await self._look_up(after_slot) if after_slot < self._log.complete_from else []
        self._settle()
        durable = self._commit.durable_slot
        if after_slot > durable:
            raise ChangesExpired(f"the volume has not got to slot {after_slot}: list everything anew")
        changes = [change for change in self._log.behind(after_slot, older) if change.slot <= durable]
        told = first_changes(changes, limit)
        return told, told[-1].slot if len(told) < len(changes) else durable

    async def _look_up(self, after_slot: int) -> list[tuple[int, int]]:
        found = []
        slot_of = self._commit.slot_of
        for count, ino in enumerate(list(self._space.inodes), 1):
            slot = slot_of(inode_key(ino))
            if slot > after_slot:
                found.append((slot, ino))
            if count % _LOOKED_UP_AT_ONCE == 0:
                await asyncio.sleep(0)
        return found
