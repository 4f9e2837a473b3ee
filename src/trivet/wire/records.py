"""Records: the keys metadata stands under, and the MAC that ties a value to its key and slot.

Keys order as bytes: `i/`ino attributes, `d/`ino name, `e/`ino MiB extents, `b/`ino page body,
`x/`ino name xattr, `o/`ino open but unlinked, `c/`name configuration of the volume.
"""

import struct
from zlib import crc32

import msgspec
from blake3 import blake3

#: What stands before a client's id in the key of what it asked for and was answered.
ASKED = b"c/asked/"
MAC_BYTES = 16
BUCKETS = 256
_INO = struct.Struct(">Q")
_INO_PART = struct.Struct(">QI")
_LENGTH_SLOT = struct.Struct(">IQ")
_SLOT = struct.Struct(">Q")
_SUM_MODULUS = 1 << 128


class Row(msgspec.Struct, array_like=True, frozen=True):
    """One record as a bank stores it: `value` is what slot `slot` of the journal gave `key`."""

    key: bytes
    slot: int
    value: bytes
    mac: bytes


def inode_key(ino: int) -> bytes:
    """Return the key of an inode's attributes."""
    return b"i/" + _INO.pack(ino)


def entry_key(parent: int, name: bytes) -> bytes:
    """Return the key of one name in the directory `parent`."""
    return b"d/" + _INO.pack(parent) + name


def extents_key(ino: int, mib: int) -> bytes:
    """Return the key of the extents of the `mib`-th MiB of a file."""
    return b"e/" + _INO_PART.pack(ino, mib)


def page_key(ino: int, page: int) -> bytes:
    """Return the key of the body of one 4 KiB page."""
    return b"b/" + _INO_PART.pack(ino, page)


def xattr_key(ino: int, name: bytes) -> bytes:
    """Return the key of one extended attribute."""
    return b"x/" + _INO.pack(ino) + name


def orphan_key(ino: int) -> bytes:
    """Return the key that marks an inode as open but unlinked."""
    return b"o/" + _INO.pack(ino)


def ino_of(key: bytes) -> int:
    """Return the inode number in any key but `c/`."""
    return int(_INO.unpack_from(key, 2)[0])


def part_of(key: bytes) -> int:
    """Return the MiB of an `e/` key or the page of a `b/` key."""
    return int(_INO_PART.unpack_from(key, 2)[1])


def name_of(key: bytes) -> bytes:
    """Return the name in a `d/` or `x/` key."""
    return key[2 + _INO.size :]


def is_key(key: bytes) -> bool:
    """Tell whether `key` has the form of some record's key; damage makes others."""
    if key[:2] in (b"e/", b"b/"):
        return len(key) == 2 + _INO_PART.size
    if key[:2] in (b"i/", b"o/"):
        return len(key) == 2 + _INO.size
    return key[:2] == b"c/" or (key[:2] in (b"d/", b"x/") and len(key) > 2 + _INO.size)


def record_mac(volume_key: bytes, key: bytes, slot: int, value: bytes) -> bytes:
    """Return the MAC (16 bytes) that ties `value` to `key` and `slot` in this volume."""
    message = b"record" + _LENGTH_SLOT.pack(len(key), slot) + key + value
    return blake3(message, key=volume_key).digest(length=MAC_BYTES)


def row_is_valid(volume_key: bytes, row: Row) -> bool:
    """Tell whether `row` holds what a keeper of this volume once wrote."""
    return record_mac(volume_key, row.key, row.slot, row.value) == row.mac


def bucket_of(key: bytes) -> int:
    """Return which of the 256 digests covers `key`."""
    return crc32(key) & (BUCKETS - 1)


def digest_term(key: bytes, slot: int) -> int:
    """Return what the row (`key`, `slot`) adds to its bucket's sum, modulo 2^128.

    The value needs no place in it: (key, slot) names one value, and the row's MAC holds it to that.
    """
    return int.from_bytes(blake3(_SLOT.pack(slot) + key).digest(length=16), "big")


def add_terms(total: int, term: int) -> int:
    """Return `total` + `term` modulo 2^128; a negative `term` takes away."""
    return (total + term) % _SUM_MODULUS
