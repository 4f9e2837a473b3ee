"""How a journal lies in files: a list of files that says which bytes of which count, and a mark beside them.

Rule: a journal file begins with HEADER_BYTES that tie it to its volume and its number; entries follow.
Rule: the list is stored with the acceptor's meta, so that a log is swapped in, cut or dropped in one step.
Rule: the mark is written after every append without a sync: it outlives a kill, and says what must be there.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from trivet.wire.entries import GENESIS_HASH, HASH_BYTES

FILE_BYTES = 64 << 20
HEADER_BYTES = 64
_MAGIC = b"TRVJRNL1"
_NUMBERS = struct.Struct(">QQ")
_MARK = struct.Struct(f">QQ{HASH_BYTES}s")
_MAC_BYTES = 16
MARK_BYTES = _MARK.size + _MAC_BYTES


class JournalPart(msgspec.Struct, array_like=True, frozen=True):
    """The file `number` holds entries from slot `first` on; those that begin at `end` or later don't count.

    `end` 0 stands for the whole file.
    """

    number: int
    first: int
    end: int = 0


class JournalList(msgspec.Struct, array_like=True, frozen=True):
    """The files of a journal in order, and where it ended when this was written.

    `change` counts how often a log was installed, cut or dropped. Files that were begun since then carry it
    in their header and go on behind the last part; a mark speaks of this list only if it carries it too.
    """

    parts: list[JournalPart] = []
    change: int = 0
    head: int = 0
    head_hash: bytes = GENESIS_HASH


class Mark(msgspec.Struct, frozen=True):
    """Where the journal ended after the last append."""

    change: int
    head: int
    head_hash: bytes


class Stretch(NamedTuple):
    """Where the entries of the slots `first` to `last` stand in the journal file `number`."""

    number: int
    first: int
    last: int
    begin: int
    end: int


def numbers_in(folder: Path) -> list[int]:
    """Return the numbers of the journal files in `folder`, in order."""
    stems = (path.stem for path in folder.glob("*.log"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def part_path(folder: Path, number: int) -> Path:
    """Return where the journal file `number` is kept."""
    return folder / f"{number:08d}.log"


def pack_file_header(volume_key: bytes, number: int, change: int) -> bytes:
    """Return what the journal file `number`, begun under the list of that `change`, begins with."""
    said = _MAGIC + _NUMBERS.pack(number, change)
    return (said + _mac(volume_key, said)).ljust(HEADER_BYTES, b"\0")


def change_of(volume_key: bytes, number: int, header: bytes) -> int | None:
    """Return the change that the file `number` was begun under, None if the header is not its own."""
    if len(header) < len(_MAGIC) + _NUMBERS.size:
        return None
    change = int(_NUMBERS.unpack_from(header, len(_MAGIC))[1])
    return change if header == pack_file_header(volume_key, number, change) else None


def pack_mark(volume_key: bytes, mark: Mark) -> bytes:
    """Return a mark as it is stored."""
    said = _MARK.pack(mark.change, mark.head, mark.head_hash)
    return said + _mac(volume_key, said)


def read_mark(volume_key: bytes, data: bytes) -> Mark | None:
    """Return the stored mark, None if it is damaged or missing."""
    said, mac = data[: _MARK.size], data[_MARK.size : MARK_BYTES]
    return Mark(*_MARK.unpack(said)) if len(said) == _MARK.size and _mac(volume_key, said) == mac else None


def _mac(volume_key: bytes, said: bytes) -> bytes:
    return bytes(blake3(b"journal" + said, key=volume_key).digest(length=_MAC_BYTES))
