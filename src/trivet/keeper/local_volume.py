"""The volume inside the keeper: every operation of a door, on the namespace in memory and the three banks.

Rule: an operation changes memory in one step, without an await in between, then waits for its ticket.
Rule: creating a file and changing attributes ride with what is submitted next; in the mode `always` nothing
rides. What they return is in memory, what `flush`, `fsync` and the other operations return is in the banks.
"""

import time
from collections.abc import Callable, Collection
from errno import EBADF, EINVAL, EISDIR, ELOOP, EOPNOTSUPP
from stat import S_IFMT, S_IFREG, S_IMODE, S_ISGID, S_ISUID, S_IXGRP

from trivet.errors import FileSystemError
from trivet.keeper.blob_writing import BlobWriter
from trivet.keeper.flushing import Flusher
from trivet.keeper.outside_bodies import OutsideBodies
from trivet.keeper.packing import Packer
from trivet.keeper.page_cache import PageCache
from trivet.keeper.read_path import ReadPath
from trivet.keeper.stores import AccessPort, BlobPort, CommitPort, RecordPort, SpacePort
from trivet.keeper.submitting import Submitter
from trivet.keeper.version_operations import VersionOperations
from trivet.keeper.write_path import WritePath
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES, Inode, bounded_time_ns
from trivet.volume.exchange import check_here, drop_mark
from trivet.volume.interface import UNTIL_TOLD, AttributeChanges, Attributes, Caller, VolumeSpace
from trivet.volume.namespace import Namespace


class LocalVolume(VersionOperations):
    """The Volume of this process; `start` it before use, `close` it at the end.

    `outside` serves those who move bodies to and from the banks themselves.
    """

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
        submitter = Submitter(space, commit)
        cache = PageCache()
        reads = ReadPath(space, blobs, records, cache)
        writer = BlobWriter(space, blobs, reads)
        flusher = Flusher(space, submitter, writer, reads, cache)
        packer = Packer(space, submitter, flusher, writer)
        writes = WritePath(space, submitter, flusher, reads, cache, packer, clock_ns)
        super().__init__(space, submitter, writes, reads, commit, records, access, clock_ns)
        self._room = room
        self.numbers = space.layout.numbers
        self.keeps = UNTIL_TOLD
        self.answer_of = submitter.asked.answer_of
        self.outside = OutsideBodies(space, submitter, flusher, writes, reads, clock_ns)

    async def start(self) -> None:
        """Begin background work; what loading purged is submitted."""
        self._writes.start()
        self._submitter.submit()

    async def close(self) -> None:
        """Store everything that is dirty, durably, and end background work."""
        await self._writes.close()
        self._parting.close()
        try:
            for ino in list(self.space.dirty):
                await self._writes.flush(ino)
            await self._submitter.durable()
        finally:
            self._submitter.close()
            await self._reads.ahead.close()

    async def settled(self) -> None:
        """Return when all that was done by now is as safe as it will be told."""
        await self._submitter.committed()

    def forget_clients(self, here: Collection[bytes], now: float) -> None:
        """Forget what clients asked for who were not `here` for long."""
        if self._asked.forget(here, now):
            self._submitter.ride()

    async def store_all(self) -> None:
        """Return when all that was taken in and done by now is durable."""
        for ino in list(self.space.dirty):
            await self._writes.store(ino)
        await self._submitter.durable()

    async def setattr(self, ino: int, changes: AttributeChanges, handle: int | None = None) -> Attributes:
        """Change attributes; a new size cuts or extends the file."""
        await self._submitter.writable()
        inode = self.space.inode(ino)
        if changes.size is not None:
            _check_resizable(inode, changes.size)
            if changes.size:
                check_here(self.space, ino)
            drop_mark(self.space, ino)
            self._resizing.append(ino)  # while it waits nobody may take it for a file that nobody writes to
            try:
                await self._writes.resize(ino, changes.size)
            finally:
                self._resizing.remove(ino)
            inode = self.space.inode(ino)
        now_ns = self._clock_ns()
        if changes.mode is not None:
            inode.mode = S_IFMT(inode.mode) | S_IMODE(changes.mode)
        if changes.drops_privileges:
            inode.mode &= ~(S_ISUID | (S_ISGID if inode.mode & S_IXGRP else 0))
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
        self._asked.note(attributes)
        await self._submitter.rides()
        return attributes

    async def create(self, parent: int, name: bytes, mode: int, caller: Caller) -> tuple[Attributes, int]:
        """Make and open a file; it rides with its first close."""
        await self._submitter.writable()
        permissions = S_IMODE(mode) & ~caller.umask
        inode = self.space.make(parent, name, S_IFREG | permissions, caller.uid, caller.gid, self._clock_ns())
        handle = self.space.open_files.open(inode.ino, writing=True, sync=False)
        attributes = inode.attributes()
        self._asked.note(attributes)
        await self._submitter.rides()
        return attributes, handle

    async def open(self, ino: int, *, writing: bool, truncate: bool, sync: bool) -> int:
        """Return a handle on a regular file; `sync` makes every write durable."""
        inode = self.space.inode(ino)
        if not inode.is_regular:
            raise FileSystemError(EISDIR if inode.is_directory else ELOOP if inode.is_symlink else EOPNOTSUPP)
        if not truncate:
            check_here(self.space, ino)
        else:
            await self.setattr(ino, AttributeChanges(size=0))
        handle = self.space.open_files.open(self.space.inode(ino).ino, writing=writing, sync=sync)
        self._access.accessed(ino)
        self._uses.note(ino)
        return handle

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end of the file."""
        file = self.space.open_files.get(handle)
        if file.snapshot is not None:
            return await self._reads.read_body(file.snapshot, offset, size)
        return await self._reads.read(file, offset, size)

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        """Take in `data` whole; return its length."""
        await self._submitter.writable()
        file = self.space.open_files.get(handle)
        if file.snapshot is not None:
            raise FileSystemError(EBADF)
        await self._writes.write(file, offset, data)
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
        self._check_directory(ino)
        await self._submitter.durable()

    async def release(self, handle: int) -> None:
        """Let go of a handle; the last one of an unlinked file deletes it."""
        snapshot = self.space.open_files.get(handle).snapshot
        if snapshot is not None:
            self.space.pins.let_go(snapshot.blob_names())
        self.space.release(handle)
        if self.space.has_changes:
            self._submitter.ride()

    def hold(self, ino: int) -> None:
        """Let an inode live on, also without a name, until `let_go`."""
        self.space.open_files.hold(ino)

    def let_go(self, ino: int) -> None:
        """Take one `hold` back; the last one of an inode without a name deletes it."""
        self.space.let_go(ino)
        if self.space.has_changes:
            self._submitter.ride()

    def held_bytes(self, attributes: Attributes) -> int:
        """Return about how much of a body is stored or dirty: at most its size in whole pages."""
        ino = attributes.ino
        inode = self.space.inodes.get(ino)
        if inode is None:  # it went while its making was being committed
            return 0
        dirty = self.space.dirty.get(ino)
        fresh = 0 if dirty is None else (len(dirty.chunks) + len(dirty.flushing)) * MIB_BYTES
        return min(self.space.layout.held_bytes(inode) + fresh, -(-inode.size // PAGE_BYTES) * PAGE_BYTES)

    def is_access_due(self, ino: int) -> bool:
        """Tell whether reading it now would change its time of access."""
        return self.space.inode(ino).is_access_due(self._clock_ns())

    def note_access(self, ino: int) -> None:
        """Renew a time of access if that is due; it is stored with the next change of the inode."""
        inode = self.space.inodes.get(ino)
        now_ns = self._clock_ns()
        if inode is not None and inode.is_access_due(now_ns):
            inode.atime_ns = now_ns

    def note_read(self, handle: int) -> None:
        """The same for the file of a handle."""
        self.note_access(self.space.open_files.get(handle).ino)

    async def statfs(self) -> VolumeSpace:
        """Return sizes as the banks tell them."""
        total, free = self._room.space()
        return VolumeSpace(total, free, len(self.space.inodes))


def _check_resizable(inode: Inode, size: int) -> None:
    if inode.is_directory:
        raise FileSystemError(EISDIR)
    if not inode.is_regular or size < 0:
        raise FileSystemError(EINVAL)
