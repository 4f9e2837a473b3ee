"""The volume inside the keeper: every operation of a door, on the namespace in memory and the three banks.

Rule: an operation changes memory in one step, without an await in between, then waits for its ticket.
Rule: creating a file and changing attributes ride with what is submitted next; in the mode `always` nothing
rides. What they return is in memory, what `flush`, `fsync` and the other operations return is in the banks.
"""

import time
from collections.abc import Callable, Sequence
from errno import EINVAL, EISDIR, ELOOP, EOPNOTSUPP
from stat import S_IFDIR, S_IFMT, S_IFREG, S_IMODE

from trivet.errors import FileSystemError
from trivet.keeper.flushing import Flusher
from trivet.keeper.page_cache import PageCache
from trivet.keeper.read_path import ReadPath
from trivet.keeper.stores import AccessPort, BlobPort, CommitPort, RecordPort, SpacePort
from trivet.keeper.submitting import Submitter
from trivet.keeper.write_path import WritePath
from trivet.volume.attributes import Inode, bounded_time_ns
from trivet.volume.interface import AttributeChanges, Attributes, Caller, DirectoryEntry, VolumeSpace
from trivet.volume.namespace import Namespace
from trivet.volume.rename import exchange as exchange_names
from trivet.volume.rename import rename as move_name
from trivet.wire.records import xattr_key


class LocalVolume:
    """The Volume of this process; `start` it before use, `close` it at the end."""

    def __init__(
        self,
        space: Namespace,
        *,
        commit: CommitPort,
        blobs: BlobPort,
        records: RecordPort,
        access: AccessPort,
        room: SpacePort,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.space = space
        self._access = access
        self._room = room
        self._records = records
        self._clock_ns = clock_ns
        self._submitter = Submitter(space, commit)
        cache = PageCache()
        self._reads = ReadPath(space, blobs, records, cache)
        flusher = Flusher(space, self._submitter, blobs, self._reads, cache)
        self._writes = WritePath(space, self._submitter, flusher, self._reads, cache, clock_ns)

    async def start(self) -> None:
        """Begin background work; what loading purged is submitted."""
        self._writes.start()
        self._submitter.submit()

    async def close(self) -> None:
        """Store everything that is dirty, durably, and end background work."""
        await self._writes.close()
        try:
            for ino in list(self.space.dirty):
                await self._writes.flush(ino)
            await self._submitter.durable()
        finally:
            self._submitter.close()
            await self._reads.ahead.close()

    async def lookup(self, parent: int, name: bytes) -> Attributes:
        """Return what `name` names in `parent`."""
        return self.space.lookup(parent, name).attributes()

    async def getattr(self, ino: int) -> Attributes:
        """Return what stat(2) tells."""
        return self.space.inode(ino).attributes()

    async def setattr(self, ino: int, changes: AttributeChanges, handle: int | None = None) -> Attributes:
        """Change attributes; a new size cuts or extends the file."""
        inode = self.space.inode(ino)
        if changes.size is not None:
            _check_resizable(inode, changes.size)
            await self._writes.resize(ino, changes.size)
            inode = self.space.inode(ino)
        now_ns = self._clock_ns()
        if changes.mode is not None:
            inode.mode = S_IFMT(inode.mode) | S_IMODE(changes.mode)
        if changes.uid is not None:
            inode.uid = changes.uid
        if changes.gid is not None:
            inode.gid = changes.gid
        if changes.atime_ns is not None:
            inode.atime_ns = bounded_time_ns(changes.atime_ns)
        if changes.mtime_ns is not None:
            inode.mtime_ns = bounded_time_ns(changes.mtime_ns)
        elif changes.size is not None:
            inode.mtime_ns = now_ns
        inode.ctime_ns = now_ns
        self.space.touch(ino)
        attributes = inode.attributes()
        await self._rides()
        return attributes

    async def readlink(self, ino: int) -> bytes:
        """Return a symbolic link's target."""
        inode = self.space.inode(ino)
        if not inode.is_symlink:
            raise FileSystemError(EINVAL)
        return inode.target

    async def opendir(self, ino: int) -> None:
        """Begin to list a directory."""
        self.space.directory(ino)
        self._access.accessed(ino)

    async def listing(self, ino: int, after_cookie: int, limit: int) -> Sequence[DirectoryEntry]:
        """Return up to `limit` entries behind `after_cookie`, 0 = from the start."""
        space = self.space
        found = space.listings.read(ino, space.directory(ino), after_cookie, limit)
        return [
            DirectoryEntry(name, cookie, space.inode(number).attributes()) for name, cookie, number in found
        ]

    async def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> Attributes:
        """Make a directory."""
        return await self._make(parent, name, S_IFDIR | S_IMODE(mode), caller)

    async def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> Attributes:
        """Make a file, device, pipe or socket, as the type in `mode` says."""
        if S_IFMT(mode) == S_IFDIR:
            raise FileSystemError(EINVAL)
        return await self._make(parent, name, mode if S_IFMT(mode) else mode | S_IFREG, caller, rdev)

    async def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Attributes:
        """Make a symbolic link."""
        inode = self.space.symlink(parent, name, target, caller.uid, caller.gid, self._clock_ns())
        attributes = inode.attributes()
        await self._submitter.committed()
        return attributes

    async def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        """Give a file one more name."""
        await self._writes.flush(ino)
        attributes = self.space.link(ino, parent, name, self._clock_ns()).attributes()
        await self._submitter.committed()
        return attributes

    async def unlink(self, parent: int, name: bytes) -> None:
        """Take a name away; the data of a file that keeps another name is stored first."""
        inode = self.space.lookup(parent, name)
        if inode.nlink > 1 and not inode.is_directory:
            await self._writes.flush(inode.ino)
        self.space.unlink(parent, name, self._clock_ns())
        await self._submitter.committed()

    async def rmdir(self, parent: int, name: bytes) -> None:
        """Take an empty directory away."""
        self.space.rmdir(parent, name, self._clock_ns())
        await self._submitter.committed()

    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool, exchange: bool
    ) -> None:
        """Move a name, or let two names change what they name; dirty data is stored first."""
        space = self.space
        await self._writes.flush(space.lookup(parent, name).ino)
        other = space.directory(new_parent).get(new_name)
        if other is not None and (exchange or space.inode(other).nlink > 1):
            await self._writes.flush(other)
        if exchange:
            exchange_names(space, parent, name, new_parent, new_name, self._clock_ns())
        else:
            move_name(space, parent, name, new_parent, new_name, self._clock_ns(), replace=replace)
        await self._submitter.committed()

    async def create(self, parent: int, name: bytes, mode: int, caller: Caller) -> tuple[Attributes, int]:
        """Make and open a file; it rides with its first close."""
        permissions = S_IMODE(mode) & ~caller.umask
        inode = self.space.make(parent, name, S_IFREG | permissions, caller.uid, caller.gid, self._clock_ns())
        handle = self.space.open_files.open(inode.ino, writing=True, sync=False)
        attributes = inode.attributes()
        await self._rides()
        return attributes, handle

    async def open(self, ino: int, *, writing: bool, truncate: bool, sync: bool) -> int:
        """Return a handle on a regular file; `sync` makes every write durable."""
        inode = self.space.inode(ino)
        if not inode.is_regular:
            raise FileSystemError(EISDIR if inode.is_directory else ELOOP if inode.is_symlink else EOPNOTSUPP)
        handle = self.space.open_files.open(ino, writing=writing, sync=sync)
        if truncate:
            await self.setattr(ino, AttributeChanges(size=0))
        self._access.accessed(ino)
        return handle

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end of the file."""
        return await self._reads.read(self.space.open_files.get(handle), offset, size)

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        """Take in `data` whole; return its length."""
        file = self.space.open_files.get(handle)
        await self._writes.write(file.ino, offset, data)
        if file.sync or self._submitter.always_durable:
            await self._writes.flush(file.ino)
            await self._submitter.durable()
        return len(data)

    async def flush(self, handle: int) -> None:
        """Close point: what was written and the file's name are acked."""
        file = self.space.open_files.get(handle)
        if file.writing and self.space.inode(file.ino).nlink:
            await self._writes.flush(file.ino)
            await self._submitter.committed()

    async def fsync(self, handle: int) -> None:
        """What was written and everything that happened before is durable."""
        await self._writes.flush(self.space.open_files.get(handle).ino)
        await self._submitter.durable()

    async def fsyncdir(self, ino: int) -> None:
        """Everything that happened to names so far is durable."""
        self.space.directory(ino)
        await self._submitter.durable()

    async def release(self, handle: int) -> None:
        """Let go of a handle; the last one of an unlinked file deletes it."""
        self.space.release(handle)
        if self.space.has_changes:
            self._submitter.ride()

    async def getxattr(self, ino: int, name: bytes) -> bytes:
        """Return the value of an extended attribute, or raise ENODATA."""
        self.space.inode(ino)
        value = self.space.xattrs.value(ino, name)
        if value is None:
            key = xattr_key(ino, name)
            value = self.space.changes.records.get(key)
            if value is None:
                value = (await self._records.read([key]))[key]
        return value

    async def setxattr(self, ino: int, name: bytes, value: bytes, *, create: bool, replace: bool) -> None:
        """Set an extended attribute."""
        inode = self.space.inode(ino)
        self.space.xattrs.check(ino, name, value, create=create, replace=replace)
        self.space.xattrs.put(ino, name, value)
        self.space.changes.records[xattr_key(ino, name)] = value
        await self._attribute_changed(inode)

    async def listxattr(self, ino: int) -> Sequence[bytes]:
        """Return the names of an inode's extended attributes."""
        self.space.inode(ino)
        return self.space.xattrs.names(ino)

    async def removexattr(self, ino: int, name: bytes) -> None:
        """Take an extended attribute away, or raise ENODATA."""
        inode = self.space.inode(ino)
        self.space.xattrs.remove(ino, name)
        self.space.changes.records[xattr_key(ino, name)] = None
        await self._attribute_changed(inode)

    async def statfs(self) -> VolumeSpace:
        """Return sizes as the banks tell them."""
        total, free = self._room.space()
        return VolumeSpace(total, free, len(self.space.inodes))

    async def _make(self, parent: int, name: bytes, mode: int, caller: Caller, rdev: int = 0) -> Attributes:
        mode &= ~caller.umask
        inode = self.space.make(parent, name, mode, caller.uid, caller.gid, self._clock_ns(), rdev=rdev)
        attributes = inode.attributes()
        await self._submitter.committed()
        return attributes

    async def _attribute_changed(self, inode: Inode) -> None:
        inode.ctime_ns = self._clock_ns()
        self.space.touch(inode.ino)
        await self._rides()

    async def _rides(self) -> None:
        if self._submitter.always_durable:
            await self._submitter.durable()
        else:
            self._submitter.ride()


def _check_resizable(inode: Inode, size: int) -> None:
    if inode.is_directory:
        raise FileSystemError(EISDIR)
    if not inode.is_regular or size < 0:
        raise FileSystemError(EINVAL)
