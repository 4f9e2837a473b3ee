"""The table of a snapshot: rows of records as a file, first those listed, then the changes laid over them.

The file is frames, then the references of blobs. A frame is `head bytes u32 | body bytes u32 | head | body`,
big endian; the head is msgpack of (key, slot, value) rows, where the value of a page record is the number of
its bytes, which stand in the body one behind another, and None deletes. Behind the last frame stand the blobs
named, 28 bytes each: name u64, size u32, root 16, little endian.

Rule: where frames end and references begin is told by the note beside the file, an extended attribute of it.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from trivet.errors import CorruptReplica
from trivet.wire.blobs import BlobRef

#: The attribute of a table that holds its SnapshotNote.
NOTE = b"trusted.trivet.snapshot"
#: The folder of tables in the private directory, and the name of one that is not whole yet.
SNAPSHOTS, UNFINISHED = b"snapshots", b".unfinished"
HEAD_BYTES = 8
_HEAD = struct.Struct(">II")
_REF = struct.Struct("<QI16s")
REF_BYTES = _REF.size


class SnapshotNote(msgspec.Struct, frozen=True):
    """What is told of a snapshot: the state at `slot`, noted at `made_s` (Unix time).

    `files` counts inodes, folders too, `size_bytes` what regular files hold; `frames_bytes` is where frames
    end, `blobs` how many references follow.
    """

    slot: int
    made_s: float
    files: int
    size_bytes: int
    frames_bytes: int
    blobs: int


class TableRow(NamedTuple):
    """One row; `value` is None where the record is deleted, and for pages, whose bytes stand at `place`."""

    key: bytes
    slot: int
    value: bytes | None
    place: tuple[int, int] | None


_Rows = list[tuple[bytes, int, bytes | int | None]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Rows).decode


def pack_frame(rows: Iterable[tuple[bytes, int, bytes | None]]) -> bytes:
    """Return the frame of `rows` (key, slot, value)."""
    head: _Rows = []
    bodies = []
    for key, slot, value in rows:
        if value is not None and key.startswith(b"b/"):
            bodies.append(value)
            head.append((key, slot, len(value)))
        else:
            head.append((key, slot, value))
    packed, body = _encode(head), b"".join(bodies)
    return b"".join((_HEAD.pack(len(packed), len(body)), packed, body))


def frame_sizes(head: bytes) -> tuple[int, int]:
    """Return (head bytes, body bytes) of the frame that begins with HEAD_BYTES `head`."""
    sizes = _HEAD.unpack(head)
    return int(sizes[0]), int(sizes[1])


def unpack_frame(packed: bytes, body_at: int) -> Iterator[TableRow]:
    """Yield the rows of a frame's head, whose body stands at `body_at` of the file; raises CorruptReplica."""
    try:
        rows = _decode(packed)
    except msgspec.DecodeError as error:
        raise CorruptReplica("the table of a snapshot makes no sense") from error
    for key, slot, value in rows:
        if isinstance(value, int):
            yield TableRow(key, slot, None, (body_at, value))
            body_at += value
        else:
            yield TableRow(key, slot, value, None)


def pack_refs(refs: Iterable[BlobRef]) -> bytes:
    """Return references as they stand behind the frames."""
    return b"".join(_REF.pack(ref.name, ref.size, ref.root) for ref in refs)


def unpack_refs(packed: bytes) -> list[BlobRef]:
    """Return the references in `packed`."""
    return [BlobRef(*fields) for fields in _REF.iter_unpack(packed)]
