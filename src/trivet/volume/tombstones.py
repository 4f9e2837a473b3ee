"""Tombstones: the inodes that were removed last, as records, so that their removal can be told later.

A tombstone record stands under `c/gone/`place; its value is the number of its block, then inode numbers (u64
each, big endian). Blocks are written one behind another into a ring of places. Which slot a removal has is
told by the record, for all of a block the last one: told once too often after a restart, never not at all.
"""

from array import array
from collections.abc import Callable

PREFIX = b"c/gone/"
BLOCK_INODES = 128
RING_BLOCKS = 256


def _key(block: int) -> bytes:
    return PREFIX + (block % RING_BLOCKS).to_bytes(2, "big")


class Tombstones:
    """The ring of blocks; loading feeds it with `add`, afterwards `bury` goes on with a new block."""

    __slots__ = ("_block", "_inodes", "_loaded")

    def __init__(self) -> None:
        self._loaded: dict[int, list[int]] = {}
        self._block = 0
        self._inodes = array("Q")

    def add(self, value: bytes) -> None:
        """Take in one record while loading."""
        numbers = [int.from_bytes(value[at : at + 8], "big") for at in range(0, len(value), 8)]
        self._loaded[numbers[0]] = numbers[1:]
        self._block = max(self._block, numbers[0] + 1)

    def take_loaded(self, slot_of: Callable[[bytes], int]) -> tuple[int, list[tuple[int, int]]]:
        """Hand over (floor, [(slot, inode number)] in order): some up to slot `floor` may be forgotten."""
        blocks = sorted(self._loaded)
        found = [(slot_of(_key(block)), ino) for block in blocks for ino in self._loaded[block]]
        floor = slot_of(_key(blocks[0])) if blocks and blocks[0] else 0
        self._loaded = {}
        return floor, found

    def bury(self, ino: int) -> tuple[bytes, bytes]:
        """Note a removal; return the record (key, value) that tells it."""
        if len(self._inodes) == BLOCK_INODES:
            self._block += 1
            self._inodes = array("Q")
        self._inodes.append(ino)
        swapped = array("Q", (self._block, *self._inodes))
        swapped.byteswap()
        return _key(self._block), swapped.tobytes()
