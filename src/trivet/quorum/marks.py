"""The two marks of the log: acked (with the operating systems of two banks) and durable (synced there).

Rule: positions count distinct banks; a bank counts for an entry only if it holds that entry's blobs, and
for durable only if every server of it has synced them before.
Rule: marks only grow.
"""

from bisect import insort
from collections.abc import Collection, Iterable


class Marks:
    """Positions per bank and the marks they give; `start` is a slot known to be durable."""

    __slots__ = (
        "_dirty", "_heads", "_holes", "_majority", "_open", "_synced", "_synced_moved", "acked", "durable",
    )  # fmt: skip

    def __init__(self, banks: Iterable[int], start: int) -> None:
        self._heads = dict.fromkeys(banks, -1)
        self._synced = dict.fromkeys(self._heads, -1)
        self._dirty: dict[int, list[int]] = {bank: [] for bank in self._heads}
        self._holes: dict[int, set[int]] = {}
        self._open: list[int] = []
        self._majority = len(self._heads) // 2 + 1
        self._synced_moved = True
        self.acked = self.durable = start

    def holds(self, bank: int, head: int, synced: int) -> None:
        """Note that `bank` has the log up to `head` and synced its journal up to `synced`."""
        self._heads[bank] = head
        if self._synced[bank] != synced:
            self._synced[bank] = synced
            self._synced_moved = True

    def lost(self, bank: int) -> None:
        """Note that `bank` counts for nothing until it says again what it holds."""
        self.holds(bank, -1, -1)

    def new_blobs(self, slot: int, missing: Iterable[int]) -> None:
        """Note that the entry at `slot` names new blobs, that the banks in `missing` do not hold them."""
        lacking = set(missing)
        self._open.append(slot)
        for bank, slots in self._dirty.items():
            if bank not in lacking:
                slots.append(slot)
        if lacking:
            self._holes[slot] = lacking

    def unsynced_blobs(self, slot: int) -> None:
        """Note that every bank may have blobs of entries up to `slot` that it has not synced."""
        for slots in self._dirty.values():
            slots.append(slot)

    def blobs_stored(self, bank: int, slot: int) -> None:
        """Note that `bank` holds (not yet synced) all blobs of the entry at `slot` now."""
        lacking = self._holes.get(slot)
        if lacking is not None and bank in lacking:
            lacking.remove(bank)
            if not lacking:
                del self._holes[slot]
            insort(self._dirty[bank], slot)
            self._synced_moved = True

    def blobs_synced(self, bank: int, through: int, stored_meanwhile: Collection[int] = ()) -> None:
        """Note that every server of `bank` has synced the blobs it held of entries up to `through`.

        Those of the slots `stored_meanwhile` came when that sync was under way: they wait for the next.
        """
        slots = self._dirty[bank]
        self._dirty[bank] = [slot for slot in slots if slot > through or slot in stored_meanwhile]
        self._synced_moved = True

    def blobs_lost(self, bank: int) -> None:
        """Note that `bank` may have lost blobs of entries that are not durable."""
        self._dirty[bank] = [slot for slot in self._dirty[bank] if slot not in self._open]
        for slot in self._open:
            self._holes.setdefault(slot, set()).add(bank)
        self._synced_moved = True

    def holes(self, bank: int) -> list[int]:
        """Return the slots, not durable, whose blobs `bank` lacks."""
        return [slot for slot, lacking in self._holes.items() if bank in lacking]

    def dirty_through(self, bank: int) -> int:
        """Return the last slot whose blobs `bank` has yet to sync, 0 if there is none."""
        slots = self._dirty[bank]
        return slots[-1] if slots else 0

    def advance(self) -> bool:
        """Move the marks as far as the positions allow; tell whether one moved."""
        heads = sorted(self._heads.values())[-self._majority]
        if heads <= self.acked and self.durable == self.acked:
            return False
        acked = self._cap(self.acked, heads, self._heads)
        durable = self._durable() if self._synced_moved else self.durable
        moved = acked > self.acked or durable > self.durable
        self.acked = max(self.acked, acked, durable)
        self.durable = max(self.durable, durable)
        if moved and self._open and self._open[0] <= self.durable:
            for slot in [slot for slot in self._open if slot <= self.durable]:
                self._holes.pop(slot, None)
            self._open = [slot for slot in self._open if slot > self.durable]
        return moved

    def _durable(self) -> int:
        self._synced_moved = False
        synced = {
            bank: min(position, slots[0] - 1) if (slots := self._dirty[bank]) else position
            for bank, position in self._synced.items()
        }
        return self._cap(self.durable, sorted(synced.values())[-self._majority], synced)

    def _cap(self, mark: int, reach: int, positions: dict[int, int]) -> int:
        """Return `reach`, or the slot before the first entry whose blobs too few banks hold."""
        if not self._holes:
            return reach
        for slot in sorted(self._holes):
            if mark < slot <= reach:
                lacking = self._holes[slot]
                holders = sum(p >= slot for bank, p in positions.items() if bank not in lacking)
                if holders < self._majority:
                    return slot - 1
        return reach
