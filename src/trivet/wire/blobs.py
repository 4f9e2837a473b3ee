"""Blobs: immutable bytes under a name used once, checked by 16 KiB pieces and one root.

Each 16 KiB piece has a sub-hash (BLAKE3, 16 bytes); the root (16 bytes) covers size and sub-hashes and
stands in the record that names the blob, so a copy needs nobody's word to be judged.
"""

import struct
from collections.abc import Iterator

import msgspec
from blake3 import blake3

PIECE_BYTES = 16 << 10
HASH_BYTES = 16
MAX_BLOB_BYTES = 1 << 20
_SIZE = struct.Struct(">I")


class BlobRef(msgspec.Struct, array_like=True, frozen=True):
    """What a record keeps of a blob."""

    name: int
    size: int
    root: bytes


def sub_hashes(data: bytes | memoryview) -> bytes:
    """Return the sub-hashes of `data`, 16 bytes for each 16 KiB begun."""
    view = memoryview(data)
    pieces = (view[at : at + PIECE_BYTES] for at in range(0, len(view), PIECE_BYTES))
    return b"".join(blake3(piece).digest(length=HASH_BYTES) for piece in pieces)


def root_of(size: int, hashes: bytes) -> bytes:
    """Return the root of a blob of `size` bytes with these sub-hashes."""
    return blake3(b"blob" + _SIZE.pack(size) + hashes).digest(length=HASH_BYTES)


def piece_range(size: int, offset: int, length: int) -> tuple[int, int]:
    """Return (start, end) of the whole pieces that cover `length` bytes at `offset` of a blob of `size`."""
    start = offset // PIECE_BYTES * PIECE_BYTES
    end = -(-(offset + length) // PIECE_BYTES) * PIECE_BYTES
    return start, min(end, size)


def wrong_pieces(hashes: bytes, start: int, data: bytes | memoryview) -> Iterator[int]:
    """Yield the offset of every piece of `data` (which begins at `start`, a whole piece) that is damaged."""
    view = memoryview(data)
    for at in range(0, len(view), PIECE_BYTES):
        place = (start + at) // PIECE_BYTES * HASH_BYTES
        if (
            blake3(view[at : at + PIECE_BYTES]).digest(length=HASH_BYTES)
            != hashes[place : place + HASH_BYTES]
        ):
            yield start + at


def is_intact(ref: BlobRef, hashes: bytes, start: int, data: bytes | memoryview) -> bool:
    """Tell whether `data`, read from `start` (where a piece begins), is what `ref` names, trusting nobody."""
    pieces = -(-ref.size // PIECE_BYTES)
    if len(hashes) != pieces * HASH_BYTES or root_of(ref.size, hashes) != ref.root:
        return False
    whole = start + len(data) == ref.size or len(data) % PIECE_BYTES == 0
    return whole and start + len(data) <= ref.size and next(wrong_pieces(hashes, start, data), None) is None
