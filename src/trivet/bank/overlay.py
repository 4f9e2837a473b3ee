"""Entries of the journal that the records do not show yet, and what they make of each key.

Rule: an entry's body is decoded at most once, when somebody reads or applies, never while it is appended.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from trivet.wire.entries import Entry


class Change(msgspec.Struct, frozen=True):
    """What slot `slot` made of a key; `value` None deleted it."""

    slot: int
    value: bytes | None


class Overlay:
    """The entries behind the slot the records show, in order; `head` is the last one."""

    def __init__(self) -> None:
        self._undecoded: deque[Entry] = deque()
        self._decoded: deque[tuple[int, list[tuple[bytes, Change]], int]] = deque()
        self._newest: dict[bytes, Change] = {}
        self.head = 0
        self.size_bytes = 0

    def begin(self, slot: int) -> None:
        """Forget everything; the records show `slot`."""
        self._undecoded.clear()
        self._decoded.clear()
        self._newest.clear()
        self.head = slot
        self.size_bytes = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Take in the next entries; those up to `head` are known."""
        for entry in entries:
            if entry.slot > self.head:
                self._undecoded.append(entry)
                self.head = entry.slot
                self.size_bytes += len(entry.raw)

    def newest(self, key: bytes) -> Change | None:
        """Return the last change of `key` among the entries, None if none of them changes it."""
        self._decode()
        return self._newest.get(key)

    def keys_with(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix` among those the entries change."""
        self._decode()
        return [key for key in self._newest if key.startswith(prefix)]

    def through(self, slot: int, max_bytes: int) -> tuple[int, dict[bytes, Change]]:
        """Return the last change of each key by the entries up to `slot`, about `max_bytes` of them.

        The first of the pair is the slot they lead to, -1 if there is no such entry.
        """
        self._decode()
        last, size = -1, 0
        changes: dict[bytes, Change] = {}
        for entry_slot, changed, entry_bytes in self._decoded:
            if entry_slot > slot or size >= max_bytes:
                break
            last = entry_slot
            size += entry_bytes
            changes.update(changed)
        return last, changes

    def settle(self, slot: int, changes: dict[bytes, Change]) -> None:
        """Forget the entries up to `slot` and their `changes`: the records show them now."""
        while self._decoded and self._decoded[0][0] <= slot:
            self.size_bytes -= self._decoded.popleft()[2]
        for key, change in changes.items():
            if self._newest.get(key) is change:
                del self._newest[key]

    def _decode(self) -> None:
        while self._undecoded:
            entry = self._undecoded.popleft()
            slot = entry.slot
            changed = [(op.key, Change(slot, op.value)) for op in entry.body.ops]
            self._decoded.append((slot, changed, len(entry.raw)))
            self._newest.update(changed)
