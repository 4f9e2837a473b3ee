"""What stands before each blob in a segment: its name, size and sub-hashes, tied to the place it stands at.

Form: `magic 8 | mac 16 | name u64 | size u32 | sub-hashes`, the bytes of the blob right behind it, the whole
padded to BLOCK_BYTES. The MAC is keyed with the volume key and covers segment and offset, so that the bytes
of a user's file that happens to be a segment are never taken for headers.
"""

import struct
from dataclasses import dataclass

from blake3 import blake3

from trivet.wire.blobs import HASH_BYTES, MAX_BLOB_BYTES, PIECE_BYTES, root_of

BLOCK_BYTES = 4096
MAGIC = b"TRVBLOB1"
MAC_BYTES = 16
_NAME_SIZE = struct.Struct(">QI")
_PLACE = struct.Struct(">IQ")
_HASHES_AT = len(MAGIC) + MAC_BYTES + _NAME_SIZE.size
MAX_HEADER_BYTES = _HASHES_AT + MAX_BLOB_BYTES // PIECE_BYTES * HASH_BYTES


@dataclass(frozen=True, slots=True)
class BlobHeader:
    """A header that was found whole."""

    name: int
    size: int
    hashes: bytes

    @property
    def root(self) -> bytes:
        """The root that the record naming this blob should hold."""
        return root_of(self.size, self.hashes)


def hashes_bytes(size: int) -> int:
    """Return how many bytes of sub-hashes a blob of `size` bytes has."""
    return -(-size // PIECE_BYTES) * HASH_BYTES


def header_bytes(size: int) -> int:
    """Return how many bytes stand before the bytes of a blob of `size` bytes."""
    return _HASHES_AT + hashes_bytes(size)


def stored_bytes(size: int) -> int:
    """Return how many bytes of a segment a blob of `size` bytes takes, whole blocks."""
    return -(-(header_bytes(size) + size) // BLOCK_BYTES) * BLOCK_BYTES


def pack_header(volume_key: bytes, segment: int, offset: int, name: int, size: int, hashes: bytes) -> bytes:
    """Return the header of a blob that will stand at `offset` of `segment`."""
    said = _NAME_SIZE.pack(name, size) + hashes
    return MAGIC + _mac(volume_key, segment, offset, said) + said


def read_header(volume_key: bytes, segment: int, offset: int, data: bytes) -> BlobHeader | None:
    """Return the header that `data`, read at `offset` of `segment`, begins with; None if there is none."""
    if len(data) < _HASHES_AT or not data.startswith(MAGIC):
        return None
    said_at = len(MAGIC) + MAC_BYTES
    name, size = _NAME_SIZE.unpack_from(data, said_at)
    end = header_bytes(size)
    if not 0 < size <= MAX_BLOB_BYTES or len(data) < end:
        return None
    if _mac(volume_key, segment, offset, data[said_at:end]) != data[len(MAGIC) : said_at]:
        return None
    return BlobHeader(name, size, data[_HASHES_AT:end])


def _mac(volume_key: bytes, segment: int, offset: int, said: bytes) -> bytes:
    message = b"segment" + _PLACE.pack(segment, offset) + said
    return blake3(message, key=volume_key).digest(length=MAC_BYTES)
