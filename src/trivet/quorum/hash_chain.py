"""The hashes of a journal's entries above its floor: what an acceptor needs to know of its own log.

Rule: gap-free; slot `floor` itself is known by its hash only (the entry behind it names it).
"""

from collections.abc import Iterable

from trivet.wire.entries import GENESIS_HASH, HASH_BYTES, Entry


class HashChain:
    """Hashes of the slots `floor`..`head`, 32 bytes each."""

    __slots__ = ("_hashes", "floor")

    def __init__(self, floor: int = 0, floor_hash: bytes = GENESIS_HASH) -> None:
        self.floor = floor
        self._hashes = bytearray(floor_hash)

    @property
    def head(self) -> int:
        """The last slot."""
        return self.floor + len(self._hashes) // HASH_BYTES - 1

    @property
    def head_hash(self) -> bytes:
        """The hash of the last slot."""
        return bytes(self._hashes[-HASH_BYTES:])

    @property
    def floor_hash(self) -> bytes:
        """The hash of the slot that the first entry follows."""
        return bytes(self._hashes[:HASH_BYTES])

    def joins(self, slot: int, slot_hash: bytes) -> bool:
        """Tell whether `slot` is in the chain under `slot_hash`."""
        at = (slot - self.floor) * HASH_BYTES
        return 0 <= at < len(self._hashes) and self._hashes[at : at + HASH_BYTES] == slot_hash

    def hash_at(self, slot: int) -> bytes:
        """Return the hash of `slot`, which lies between floor and head."""
        assert self.floor <= slot <= self.head
        at = (slot - self.floor) * HASH_BYTES
        return bytes(self._hashes[at : at + HASH_BYTES])

    def follows(self, entries: Iterable[Entry]) -> bool:
        """Tell whether `entries` are the next ones, each naming the one before."""
        slot, previous = self.head, self.head_hash
        for entry in entries:
            if entry.slot != slot + 1 or entry.previous_hash != previous:
                return False
            slot, previous = entry.slot, entry.hash
        return True

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add `entries`, which must follow."""
        for entry in entries:
            self._hashes += entry.hash

    def append_chain(self, other: "HashChain") -> None:
        """Add the slots of `other`, whose floor is this chain's head."""
        assert other.floor == self.head
        self._hashes += other._hashes[HASH_BYTES:]

    def cut(self, head: int) -> None:
        """Forget what stands above `head`."""
        assert head >= self.floor
        del self._hashes[(head - self.floor + 1) * HASH_BYTES :]

    def trim(self, floor: int) -> None:
        """Forget what stands below `floor`, keeping its hash."""
        assert self.floor <= floor <= self.head
        del self._hashes[: (floor - self.floor) * HASH_BYTES]
        self.floor = floor
