"""A store of trees: a folder of plain files that any machine can keep and another drive can read.

`trivet-store` says what it is. `pieces/ab/abcd...` are bytes of files, at most 1 MiB, each under its BLAKE3;
what is there already is not written again. `trees/NAME` lists one tree: entries as msgpack, each behind its
length (u32, big endian), then a length of 0 and the BLAKE3 of all before it.

Rule: a tree gets its name last, when its pieces are on the disk: one that was cut off is no tree.
Rule: nothing of a store is believed: pieces are checked against their names, a list against its end.
"""

import os
import struct
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from blake3 import blake3

from trivet.client.backup.tree_entry import TreeEntry
from trivet.errors import Conflict, InputError, NotFound
from trivet.volume.interface import Attributes

PIECE_BYTES = 1 << 20
#: What a tree is called when nobody says: the time, UTC.
STAMP = "%Y-%m-%dT%H.%M.%SZ"
ENTRY_MAX_BYTES = 64 << 20
_MARK, _MARK_TEXT = "trivet-store", "a store of trees, version 1\n"
_LENGTH = struct.Struct(">I")
_HASH_BYTES = 32


class _Listed(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a list; `pieces` are (offset, size, BLAKE3) of its bytes."""

    path: bytes
    attributes: Attributes
    target: bytes
    link: bytes | None
    xattrs: dict[bytes, bytes]
    pieces: list[tuple[int, int, bytes]]


class Stored(msgspec.Struct, frozen=True):
    """What was written: pieces that were there already (`known`) cost nothing."""

    name: str
    files: int
    pieces_new: int
    pieces_known: int
    bytes_new: int


class Store:
    """The store in the folder `place`."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._pieces = place / "pieces"
        self._trees = place / "trees"

    def names(self) -> list[str]:
        """Return the names of its trees, the oldest first; raises InputError where there is no store."""
        try:
            if (self._place / _MARK).read_text() != _MARK_TEXT:
                raise InputError(f"{self._place} is a store of another version than this program reads")
            listed = [one for one in self._trees.iterdir() if not one.name.startswith(".")]
            return [one.name for one in sorted(listed, key=lambda one: one.stat().st_mtime_ns)]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{self._place} holds no store; `trivet export --store` makes one") from error

    # -- writing

    async def write(self, name: str, entries: AsyncIterator[TreeEntry]) -> Stored:
        """Add a tree; raises Conflict if it has one of this name."""
        await to_thread(self._prepare, name)
        whole = blake3()
        files = new = known = bytes_new = 0
        unfinished = self._trees / f".{name}.unfinished"

        def put(file: BinaryIO, data: bytes) -> None:
            whole.update(data)
            file.write(data)

        with unfinished.open("wb") as file:
            async for entry in entries:
                pieces = []
                for start, end in entry.spans:
                    for at in range(start, end, PIECE_BYTES):
                        data = await entry.read(at, min(PIECE_BYTES, end - at))
                        digest = blake3(data).digest()
                        is_new = await to_thread(self._put_piece, digest, data)
                        new, known = new + is_new, known + (not is_new)
                        bytes_new += len(data) if is_new else 0
                        pieces.append((at, len(data), digest))
                listed = _Listed(
                    entry.path, entry.attributes, entry.target, entry.link, dict(entry.xattrs), pieces
                )
                packed = msgspec.msgpack.encode(listed)
                put(file, _LENGTH.pack(len(packed)) + packed)
                files += 1
            put(file, _LENGTH.pack(0))
            file.write(whole.digest())
        await to_thread(self._name, unfinished, name)
        return Stored(name, files, new, known, bytes_new)

    def _prepare(self, name: str) -> None:
        if "/" in name or name.startswith("."):
            raise InputError(f"{name!r} can't be the name of a tree: no slash, no dot at its beginning")
        mark = self._place / _MARK
        if self._place.is_dir() and not mark.exists() and any(self._place.iterdir()):
            raise InputError(f"{self._place} holds something else; name an empty or a new folder")
        for folder in (self._pieces, self._trees):
            folder.mkdir(parents=True, exist_ok=True)
        if not mark.exists():
            mark.write_text(_MARK_TEXT)
        if name in self.names():
            raise Conflict(f"{self._place} has a tree {name} already")

    def _put_piece(self, digest: bytes, data: bytes) -> bool:
        """Write a piece that is not there, or not as long as it should be; tell whether it was written."""
        path = self._piece(digest)
        try:
            if path.stat().st_size == len(data):
                return False
        except FileNotFoundError:
            path.parent.mkdir(exist_ok=True)
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_bytes(data)
        unfinished.rename(path)
        return True

    def _piece(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._pieces / name[:2] / name

    def _name(self, unfinished: Path, name: str) -> None:
        os.sync()
        unfinished.rename(self._trees / name)
        os.sync()

    # -- reading

    async def read(self, name: str) -> AsyncIterator[TreeEntry]:
        """Yield a tree; raises InputError where its list or one of its pieces is damaged."""
        if name not in await to_thread(self.names):
            raise NotFound(f"{self._place} has no tree {name}")
        with (self._trees / name).open("rb") as file:
            for listed in self._listed(file, name):
                yield self._entry(listed)

    def _listed(self, file: BinaryIO, name: str) -> Iterator[_Listed]:
        whole = blake3()
        try:
            while True:
                head = file.read(_LENGTH.size)
                whole.update(head)
                (length,) = _LENGTH.unpack(head)
                if not length:
                    break
                packed = file.read(length) if length <= ENTRY_MAX_BYTES else b""
                whole.update(packed)
                yield msgspec.msgpack.decode(packed, type=_Listed)
            if file.read() == whole.digest():
                return
        except (struct.error, msgspec.DecodeError) as error:
            raise InputError(f"the list of tree {name} in {self._place} is damaged") from error
        raise InputError(f"the list of tree {name} in {self._place} is damaged")

    def _entry(self, listed: _Listed) -> TreeEntry:
        places = {at: (size, digest) for at, size, digest in listed.pieces}
        spans = [(at, at + size) for at, size, _ in listed.pieces]

        async def read(offset: int, size: int) -> bytes:
            expected, digest = places[offset]
            assert size == expected, "pieces are read one by one"
            data = await to_thread(self._get_piece, digest)
            if len(data) != size:
                raise InputError(f"piece {digest.hex()} in {self._place} is damaged")
            return data

        return TreeEntry(
            listed.path, listed.attributes, listed.target, listed.link, listed.xattrs, spans, read
        )

    def _get_piece(self, digest: bytes) -> bytes:
        """Return a piece; raises InputError if it is not what its name says."""
        try:
            data = self._piece(digest).read_bytes()
        except FileNotFoundError as error:
            raise InputError(f"piece {digest.hex()} in {self._place} is missing") from error
        if blake3(data).digest() != digest:
            raise InputError(f"piece {digest.hex()} in {self._place} is damaged")
        return data
