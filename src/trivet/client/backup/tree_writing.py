"""Writes a tree into a volume, below a folder that nobody looks into yet.

Rule: owners, modes and times are set last, folders' behind all that stands in them: they end as they were.
Rule: small files are written side by side, large ones as they stream; one piece of each is in memory.
"""

import asyncio
from errno import EEXIST, ENOENT, ENOTDIR
from stat import S_ISDIR, S_ISLNK, S_ISREG

from trivet.client.backup.tree_entry import TreeEntry
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import FileSystemError, InputError
from trivet.volume.interface import AttributeChanges, Attributes, Caller
from trivet.wire.path_text import path_text

FILES_AT_ONCE = 16
SMALL_BYTES = 256 << 10
PIECE_BYTES = 1 << 20


class TreeWriter:
    """Writes below the folder `top`; counts what it wrote."""

    def __init__(self, volume: RemoteVolume, top: int) -> None:
        self.files = self.folders = self.links = self.size_bytes = 0
        self._volume = volume
        self._folders: dict[bytes, int] = {b"": top}
        self._unfinished: list[tuple[int, Attributes]] = []
        self._writing: set[asyncio.Task[None]] = set()

    async def write(self, entry: TreeEntry) -> None:
        """Take one entry in; small files may still be on their way when it returns."""
        if S_ISDIR(entry.attributes.mode) and entry.link is None:
            await self._folder(entry)
            return
        place, _, name = entry.path.rpartition(b"/")
        if not name:
            raise InputError("an archive has a member without a name that is no folder")
        parent = await self._parent(place)
        if entry.link is not None:
            await self._all_written()
            await self._link(entry.link, parent, name)
        elif S_ISREG(entry.attributes.mode) and entry.held_bytes <= SMALL_BYTES:
            pieces = [(start, await entry.read(start, end - start)) for start, end in entry.spans]
            while len(self._writing) >= FILES_AT_ONCE:
                await self._some_written()
            self._writing.add(asyncio.create_task(self._small(entry, parent, name, pieces)))
        elif S_ISREG(entry.attributes.mode):
            await self._large(entry, parent, name)
        else:
            await self._other(entry, parent, name)

    async def finish(self) -> None:
        """Return when all of it, the folders' own attributes too, is durable."""
        await self._all_written()
        for ino, attributes in reversed(self._unfinished):
            await self._set(ino, attributes)
        await self._volume.fsyncdir(self._folders[b""])

    async def abandon(self) -> None:
        """Give up what is on its way."""
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        self._writing.clear()

    # -- folders

    async def _folder(self, entry: TreeEntry) -> None:
        ino = await self._parent(entry.path)
        await self._set_xattrs(ino, entry)
        self._unfinished.append((ino, entry.attributes))
        self.folders += 1

    async def _parent(self, path: bytes) -> int:
        """Return the folder at `path`, made if need be: not every archive names all of its folders."""
        known = self._folders.get(path)
        if known is not None:
            return known
        place, _, name = path.rpartition(b"/")
        parent = await self._parent(place)
        try:
            ino = (await self._volume.mkdir(parent, name, 0o755, Caller(0, 0))).ino
        except FileSystemError as error:
            if error.errno == EEXIST:
                raise InputError(f"{path_text(path)} is no folder, and something stands below it") from error
            raise
        self._folders[path] = ino
        return ino

    # -- files

    async def _small(
        self, entry: TreeEntry, parent: int, name: bytes, pieces: list[tuple[int, bytes]]
    ) -> None:
        handle, ino = await self._created(parent, name)
        try:
            for offset, data in pieces:
                await self._volume.write(handle, offset, data)
            await self._close(entry, handle, ino)
        finally:
            await self._volume.release(handle)

    async def _large(self, entry: TreeEntry, parent: int, name: bytes) -> None:
        handle, ino = await self._created(parent, name)
        try:
            for start, end in entry.spans:
                for at in range(start, end, PIECE_BYTES):
                    await self._volume.write(handle, at, await entry.read(at, min(PIECE_BYTES, end - at)))
            await self._close(entry, handle, ino)
        finally:
            await self._volume.release(handle)

    async def _created(self, parent: int, name: bytes) -> tuple[int, int]:
        """Make and open a file, in place of one that came earlier under the same name."""
        try:
            made, handle = await self._volume.create(parent, name, 0o600, Caller(0, 0))
        except FileSystemError as error:
            await self._take_away(parent, name, error)
            made, handle = await self._volume.create(parent, name, 0o600, Caller(0, 0))
        return handle, made.ino

    async def _close(self, entry: TreeEntry, handle: int, ino: int) -> None:
        await self._volume.flush(handle)
        size = entry.attributes.size
        end = entry.spans[-1][1] if entry.spans else 0
        await self._set_xattrs(ino, entry)
        await self._set(ino, entry.attributes, size if size > end else None)
        self.files += 1
        self.size_bytes += entry.held_bytes

    async def _other(self, entry: TreeEntry, parent: int, name: bytes) -> None:
        for attempt in range(2):
            try:
                made = await self._make(entry, parent, name)
                break
            except FileSystemError as error:
                if attempt:
                    raise
                await self._take_away(parent, name, error)
        await self._set_xattrs(made.ino, entry)
        await self._set(made.ino, entry.attributes)
        self.files += 1

    async def _make(self, entry: TreeEntry, parent: int, name: bytes) -> Attributes:
        if S_ISLNK(entry.attributes.mode):
            return await self._volume.symlink(parent, name, entry.target, Caller(0, 0))
        return await self._volume.mknod(
            parent, name, entry.attributes.mode, entry.attributes.rdev, Caller(0, 0)
        )

    async def _link(self, first: bytes, parent: int, name: bytes) -> None:
        place, _, first_name = first.rpartition(b"/")
        try:
            found = await self._volume.lookup(self._folders[place], first_name)
        except (KeyError, FileSystemError) as error:
            raise InputError(
                f"{path_text(name)} is one more name of {path_text(first)}, which is not there"
            ) from error
        try:
            await self._volume.link(found.ino, parent, name)
        except FileSystemError as error:
            await self._take_away(parent, name, error)
            await self._volume.link(found.ino, parent, name)
        self.links += 1

    async def _take_away(self, parent: int, name: bytes, error: FileSystemError) -> None:
        """Remove what an earlier member made under a name, which is why there was the `error`."""
        if error.errno != EEXIST:
            raise error
        await self._volume.unlink(parent, name)

    # -- what stands last

    async def _set_xattrs(self, ino: int, entry: TreeEntry) -> None:
        for name, value in entry.xattrs.items():
            await self._volume.setxattr(ino, name, value, create=False, replace=False)

    async def _set(self, ino: int, to: Attributes, size: int | None = None) -> None:
        await self._volume.setattr(ino, attribute_changes(to, size))

    # -- tasks

    async def _some_written(self) -> None:
        done, self._writing = await asyncio.wait(self._writing, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _all_written(self) -> None:
        while self._writing:
            await self._some_written()


def attribute_changes(to: Attributes, size: int | None = None) -> AttributeChanges:
    """Return what makes an inode's owner, mode and times those of `to`, and its size `size`."""
    return AttributeChanges(to.mode & 0o7777, to.uid, to.gid, size, to.atime_ns, to.mtime_ns)


async def remove_tree(volume: RemoteVolume, parent: int, name: bytes) -> None:
    """Remove a name and all below it; what is gone already is no matter."""
    try:
        found = await volume.lookup(parent, name)
        if not S_ISDIR(found.mode):
            await volume.unlink(parent, name)
            return
        while listed := await volume.listing(found.ino, 0, FILES_AT_ONCE):
            await asyncio.gather(*(remove_tree(volume, found.ino, one.name) for one in listed))
        await volume.rmdir(parent, name)
    except FileSystemError as error:
        if error.errno not in (ENOENT, ENOTDIR):
            raise
