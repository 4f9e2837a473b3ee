"""The leader's own copy of the log above the floor, from which every bank that lags is served.

Rule: gap-free and chained; the keeper trims it often enough that it stays some MiB long.
Rule: the newest CONFIG and the newest anchor stay, so that every log tells its voters and its sums.
"""

from trivet.quorum.membership import CONFIG_KEY, Config, decode_config
from trivet.wire.entries import GENESIS_HASH, Entry


class LeaderLog:
    """Entries `floor`+1..`head`, the newest CONFIG and the slots of it and of the newest anchor (0: none)."""

    __slots__ = ("anchor_slot", "config", "config_slot", "entries", "floor", "floor_hash", "size_bytes")

    def __init__(self, floor: int = 0, floor_hash: bytes = GENESIS_HASH) -> None:
        self.floor = floor
        self.floor_hash = floor_hash
        self.entries: list[Entry] = []
        self.size_bytes = 0
        self.config: Config | None = None
        self.config_slot = 0
        self.anchor_slot = 0

    @property
    def keep_from(self) -> int:
        """The first slot that may not be trimmed; the log of a new volume is its own anchor."""
        return min(self.head, self.config_slot, self.anchor_slot)

    @property
    def head(self) -> int:
        """The last slot."""
        return self.floor + len(self.entries)

    @property
    def head_hash(self) -> bytes:
        """The hash of the last slot."""
        return self.entries[-1].hash if self.entries else self.floor_hash

    def hash_at(self, slot: int) -> bytes:
        """Return the hash of `slot`, which lies between floor and head."""
        assert self.floor <= slot <= self.head
        return self.entries[slot - self.floor - 1].hash if slot > self.floor else self.floor_hash

    def joins(self, slot: int, slot_hash: bytes) -> bool:
        """Tell whether `slot` is in the log under `slot_hash`."""
        return self.floor <= slot <= self.head and self.hash_at(slot) == slot_hash

    def follows(self, entry: Entry) -> bool:
        """Tell whether `entry` is the next one."""
        return entry.slot == self.head + 1 and entry.previous_hash == self.head_hash

    def add(self, entry: Entry) -> None:
        """Add the next entry."""
        assert self.follows(entry)
        self.entries.append(entry)
        self.size_bytes += len(entry.raw)

    def find_landmarks(self) -> None:
        """Read the newest CONFIG and the newest anchor out of the entries."""
        self.config, self.config_slot, self.anchor_slot = None, 0, 0
        for entry in reversed(self.entries):
            body = entry.body
            if body.sums and not self.anchor_slot:
                self.anchor_slot = entry.slot
            for op in body.ops:
                if op.key == CONFIG_KEY and op.value is not None and self.config is None:
                    self.config, self.config_slot = decode_config(op.value), entry.slot
            if self.config is not None and self.anchor_slot:
                return

    def part(self, after: int, max_bytes: int) -> tuple[bytes, int]:
        """Return (raw entries behind slot `after`, the last slot among them): at least one, if there is."""
        start = end = after - self.floor
        size = 0
        while end < len(self.entries) and (size == 0 or size + len(self.entries[end].raw) <= max_bytes):
            size += len(self.entries[end].raw)
            end += 1
        return b"".join(entry.raw for entry in self.entries[start:end]), self.floor + end

    def above(self, slot: int) -> list[Entry]:
        """Return the entries above `slot`."""
        return self.entries[max(slot - self.floor, 0) :]

    def cut(self, head: int) -> None:
        """Forget the entries above `head` (only before a takeover has installed them)."""
        del self.entries[head - self.floor :]
        self.size_bytes = sum(len(entry.raw) for entry in self.entries)
        self.find_landmarks()

    def trim(self, floor: int) -> None:
        """Forget the entries up to `floor`."""
        assert self.floor <= floor < self.keep_from
        gone = self.entries[: floor - self.floor]
        self.floor_hash = self.hash_at(floor)
        self.floor = floor
        del self.entries[: len(gone)]
        self.size_bytes -= sum(len(entry.raw) for entry in gone)
