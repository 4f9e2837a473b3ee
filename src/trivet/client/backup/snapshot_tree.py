"""The tree of a snapshot as a client reads it: names and attributes in memory, bodies from table and blobs.

Rule: only what the root leads to is there: what doors keep for themselves is no part of what people get back.
Rule: bodies are never resident: of a page it is remembered where it stands in the table.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from stat import S_ISDIR, S_ISREG
from typing import TypeVar

import msgspec

from trivet.client.backup.tree_entry import TreeEntry, spans_of
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import FileSystemError, InputError, NotFound
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES, Inode, unpack_inode
from trivet.volume.entry_names import find_path
from trivet.volume.interface import AWAY, PRIVATE_INO
from trivet.volume.stored_body import StoredBody
from trivet.wire.path_text import path_bytes, path_text
from trivet.wire.records import ino_of, name_of, part_of
from trivet.wire.snapshot_table import (
    HEAD_BYTES,
    NOTE,
    SNAPSHOTS,
    SnapshotNote,
    TableRow,
    frame_sizes,
    unpack_frame,
)

WINDOW_BYTES = 1 << 20
WINDOWS = 8

Key = TypeVar("Key")
Value = TypeVar("Value")


class SnapshotTree:
    """One snapshot, opened for reading; `load` it, `close` it."""

    def __init__(self, volume: RemoteVolume, name: str) -> None:
        self.name = name
        self.left_out: list[tuple[bytes, str]] = []
        self.directories: dict[int, dict[bytes, int]] = {}
        self.xattrs: dict[int, dict[bytes, bytes]] = {}
        self._volume = volume
        self._handle = 0
        self._inodes: dict[int, bytes] = {}
        self._extents: dict[int, dict[int, bytes]] = {}
        self._pages: dict[int, dict[int, tuple[int, int]]] = {}
        self._windows: OrderedDict[int, bytes] = OrderedDict()

    async def load(self) -> SnapshotNote:
        """Read the table; raises NotFound if there is no such snapshot."""
        volume = self._volume
        try:
            folder = await volume.lookup(PRIVATE_INO, SNAPSHOTS)
            ino = (await volume.lookup(folder.ino, path_bytes(self.name))).ino
        except FileSystemError as error:
            raise NotFound(
                f"there is no snapshot {self.name}; `trivet snapshot list` shows them all"
            ) from error
        note = msgspec.json.decode(await volume.getxattr(ino, NOTE), type=SnapshotNote)
        self._handle = (await volume.open_snapshot(ino)).handle
        at = 0
        while at < note.frames_bytes:
            head_bytes, body_bytes = frame_sizes(await self._table(at, HEAD_BYTES))
            head = await self._table(at + HEAD_BYTES, head_bytes)
            body_at = at + HEAD_BYTES + head_bytes
            for row in unpack_frame(head, body_at):
                self._take(row)
            at = body_at + body_bytes
        return note

    async def close(self) -> None:
        """Let go of the table."""
        if self._handle:
            await self._volume.release(self._handle)

    def _take(self, row: TableRow) -> None:
        """Take in a row, over what an earlier one said."""
        kind, key = row.key[:2], row.key
        if kind in (b"c/", b"o/"):
            return
        ino = ino_of(key)
        if kind == b"i/":
            _put(self._inodes, ino, row.value)
        elif kind == b"d/":
            number = None if row.value is None else int.from_bytes(row.value, "big")
            _put(self.directories.setdefault(ino, {}), name_of(key), number)
        elif kind == b"x/":
            _put(self.xattrs.setdefault(ino, {}), name_of(key), row.value)
        elif kind == b"e/":
            _put(self._extents.setdefault(ino, {}), part_of(key), row.value)
        elif kind == b"b/":
            _put(self._pages.setdefault(ino, {}), part_of(key), row.place)

    def inode(self, ino: int) -> Inode:
        """Return an inode as it was."""
        return unpack_inode(ino, self._inodes[ino])

    def find(self, path: str) -> int:
        """Return what stood at `path`, links not followed; raises NotFound."""
        return find_path(self.directories, path, f"snapshot {self.name}")

    def held_bytes(self, ino: int) -> int:
        """Return about how much of a body was stored, told by pages and whole MiBs."""
        return len(self._pages.get(ino, ())) * PAGE_BYTES + len(self._extents.get(ino, ())) * MIB_BYTES

    async def body(self, inode: Inode) -> StoredBody:
        """Return where the bytes of a file are, those of its pages with it."""
        places = self._pages.get(inode.ino, {})
        pages = {page: await self._table(*place) for page, place in sorted(places.items())}
        return StoredBody(inode.size, self._extents.get(inode.ino, {}), pages)

    async def walk(self, path: str) -> AsyncIterator[TreeEntry]:
        """Yield what stood at `path`, a folder as the empty path, all else by its name, and all below."""
        top = self.find(path)
        first_names: dict[int, bytes] = {}
        name = b"" if top in self.directories or self.inode(top).is_directory else path_bytes(path)
        waiting = [(name.rstrip(b"/").rpartition(b"/")[2], top)]
        while waiting:
            path_here, ino = waiting.pop()
            inode = self.inode(ino)
            if AWAY in self.xattrs.get(ino, {}):
                self.left_out.append((path_here, "its content was at its vendor"))
                continue
            if S_ISDIR(inode.mode):
                names = self.directories.get(ino, {})
                prefix = path_here + b"/" if path_here else b""
                waiting += [(prefix + name, number) for name, number in reversed(names.items())]
            elif ino in first_names:
                yield TreeEntry(path_here, inode.attributes(), link=first_names[ino])
                continue
            elif inode.nlink > 1:
                first_names[ino] = path_here
            yield await self._entry(path_here, inode, self.xattrs.get(ino, {}))

    async def _entry(self, path: bytes, inode: Inode, xattrs: Mapping[bytes, bytes]) -> TreeEntry:
        if not S_ISREG(inode.mode):
            return TreeEntry(path, inode.attributes(), inode.target, xattrs=xattrs)
        body = await self.body(inode)

        async def read(offset: int, size: int) -> bytes:
            return await self._volume.read_stored(body, offset, size)

        return TreeEntry(path, inode.attributes(), xattrs=xattrs, spans=spans_of(body), read=read)

    async def _table(self, offset: int, size: int) -> bytes:
        """Return bytes of the table; what is read lies close together, so whole windows are kept."""
        parts = []
        while size:
            window, start = divmod(offset, WINDOW_BYTES)
            held = self._windows.get(window)
            if held is None:
                held = await self._volume.read(self._handle, window * WINDOW_BYTES, WINDOW_BYTES)
                self._windows[window] = held
                if len(self._windows) > WINDOWS:
                    self._windows.popitem(last=False)
            part = held[start : start + size]
            if not part:
                raise InputError(f"the table of snapshot {path_text(path_bytes(self.name))} ends early")
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)


def _put(held: dict[Key, Value], key: Key, value: Value | None) -> None:
    """Put a value, or take it away (None)."""
    if value is None:
        held.pop(key, None)
    else:
        held[key] = value
