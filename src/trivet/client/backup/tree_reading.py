"""Walks a volume: every name below a folder as a TreeEntry, each file held still while it is read.

Rule: what goes away meanwhile is told in `left_out`; everything else that fails ends the walk.
Rule: of the names, only folders on the way and files with several names are remembered.
"""

import getpass
from collections.abc import AsyncIterator
from errno import ENOENT, ENOTDIR
from stat import S_ISDIR, S_ISLNK, S_ISREG

from trivet.client.backup.tree_entry import Span, TreeEntry, spans_of
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import ContentAway, FileSystemError
from trivet.io.away_files import AwayFiles
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import AWAY, Attributes, Snapshot

LISTED_AT_ONCE = 1000
_GONE = (ENOENT, ENOTDIR)


class TreeReader:
    """Yields what a volume holds; `left_out` says what could not be carried, as (path, why)."""

    def __init__(self, volume: RemoteVolume, folder: VolumeFolder) -> None:
        self.left_out: list[tuple[bytes, str]] = []
        self._volume = volume
        self._away = AwayFiles(folder)
        self._first_names: dict[int, bytes] = {}

    async def walk(self, top: Attributes, name: bytes) -> AsyncIterator[TreeEntry]:
        """Yield `top` (as `name` if it is no folder, else as the empty path) and all below it."""
        if not S_ISDIR(top.mode):
            async for entry in self._entry(name, top):
                yield entry
            return
        waiting = [(b"", top)]
        while waiting:
            path, folder = waiting.pop()
            yield TreeEntry(path, folder, xattrs=await self._xattrs(folder.ino))
            below = []
            cookie = 0
            try:
                while listed := await self._volume.listing(folder.ino, cookie, LISTED_AT_ONCE):
                    cookie = listed[-1].cookie
                    for one in listed:
                        inside = path + b"/" + one.name if path else one.name
                        if S_ISDIR(one.attributes.mode):
                            below.append((inside, one.attributes))
                            continue
                        async for entry in self._entry(inside, one.attributes):
                            yield entry
            except FileSystemError as error:
                self._gone(path, error)
            waiting += reversed(below)

    async def _entry(self, path: bytes, found: Attributes) -> AsyncIterator[TreeEntry]:
        """Yield the entry of what is no folder, or nothing if it is gone."""
        try:
            first = self._first_names.get(found.ino)
            if first is not None:
                yield TreeEntry(path, found, link=first)
                return
            if found.nlink > 1:
                self._first_names[found.ino] = path
            xattrs = await self._xattrs(found.ino)
            if S_ISLNK(found.mode):
                yield TreeEntry(path, found, await self._volume.readlink(found.ino), xattrs=xattrs)
            elif S_ISREG(found.mode):
                async for entry in self._file(path, found, xattrs):
                    yield entry
            else:
                yield TreeEntry(path, found, xattrs=xattrs)
        except FileSystemError as error:
            self._gone(path, error)

    async def _file(
        self, path: bytes, found: Attributes, xattrs: dict[bytes, bytes]
    ) -> AsyncIterator[TreeEntry]:
        held = await self._held(found.ino)
        try:
            spans: list[Span] = []
            async for body in self._volume.stored(held.handle):
                for start, end in spans_of(body):
                    if spans and spans[-1][1] == start:
                        start = spans.pop()[0]
                    spans.append((start, end))

            async def read(offset: int, size: int) -> bytes:
                return await self._volume.read(held.handle, offset, size)

            yield TreeEntry(path, held.attributes, xattrs=xattrs, spans=spans, read=read)
        finally:
            await self._volume.release(held.handle)

    async def _held(self, ino: int) -> Snapshot:
        try:
            return await self._volume.open_snapshot(ino)
        except ContentAway:
            await self._away.bring(ino, user=getpass.getuser())
            return await self._volume.open_snapshot(ino)

    async def _xattrs(self, ino: int) -> dict[bytes, bytes]:
        names = [name for name in await self._volume.listxattr(ino) if name != AWAY]
        return {name: await self._volume.getxattr(ino, name) for name in names}

    def _gone(self, path: bytes, error: FileSystemError) -> None:
        if error.errno not in _GONE:
            raise error
        self.left_out.append((path, "it went away meanwhile"))
