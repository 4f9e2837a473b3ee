"""The mount's door: each request of the kernel becomes one call of the volume.

Rule: no rules of a file system here; what the volume refuses the kernel is told with the volume's errno.
Rule: what is not supported answers ENOSYS (the kernel then says ENOTSUP or does it itself), never success.
Rule: a directory's handle is its inode number; a file's handle is the volume's.
Rule: the kernel's numbers (`volume/file_numbers.py`) are never used again. Attributes and number of a reply
are taken in one step.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from errno import ESTALE
from stat import S_ISREG
from typing import NoReturn

import pyfuse3
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileInfo,
    FileNameT,
    FlagT,
    InodeT,
    ModeT,
    ReaddirToken,
    RequestContext,
)

from trivet.errors import ContentAway, FileSystemError, Unsupported
from trivet.io.away_files import Bring
from trivet.mount.forgetting import ForgetSoon
from trivet.mount.known_inodes import KnownInodes
from trivet.mount.translate import (
    by_number,
    caller_of,
    changes_of,
    changing,
    dot_of,
    entry_of,
    file_info,
    nothing_there,
    statvfs_of,
    translated,
)
from trivet.mount.xattr_operations import XattrOperations
from trivet.volume.interface import NAME_MAX_BYTES, ROOT_INO, AttributeChanges, Attributes, MountableVolume

_LISTING_STEP = 128
#: The listing's own cookies: ".", ".." and then the volume's, moved up by two.
_OWN_COOKIES = 2
#: What a listing says of a parent it does not know (as libfuse does); the kernel itself knows better.
_UNKNOWN_INO = 0xFFFFFFFF
_SYNC_FLAGS = os.O_SYNC | os.O_DSYNC


class VolumeOperations(XattrOperations):
    """Serves `volume` to the kernel; handed to `pyfuse3.init`."""

    supports_dot_lookup = False
    enable_writeback_cache = False
    enable_acl = False

    def __init__(self, volume: MountableVolume, forget_soon: ForgetSoon, bring: Bring | None = None) -> None:
        super().__init__(volume)
        self.forget_soon = forget_soon
        self._bring = bring
        self.started = asyncio.Event()
        self._known = KnownInodes(volume)

    def init(self) -> None:
        """Note that the kernel and we agree; its first request is answered right after this."""
        self.started.set()

    def _entry(self, attributes: Attributes) -> EntryAttributes:
        """Return the answer to who asked for a name."""
        self._known.tell(attributes)
        return self._named(attributes)

    def _named(self, attributes: Attributes) -> EntryAttributes:
        return self._answer(attributes, self._numbers.tell(attributes.ino))

    def _told(self, attributes: Attributes) -> EntryAttributes:
        """Return the answer to who asked for a number."""
        return self._answer(attributes, self._numbers.of(attributes.ino))

    def _answer(self, attributes: Attributes, number: int) -> EntryAttributes:
        held = self._volume.held_bytes(attributes) if S_ISREG(attributes.mode) else 0
        return entry_of(attributes, number, self._volume.keeps, held)

    @translated
    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        """Return the attributes of one name; that there is none the kernel may remember like a name."""
        try:
            return self._entry(await self._volume.lookup(parent_inode, name))
        except FileSystemError as error:
            return nothing_there(error, self._volume.keeps)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """Let go of what the kernel does not know any more."""
        self._known.forget(inode_list)

    @by_number
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        """Return the attributes of one inode."""
        return self._told(await self._volume.getattr(self._inode(inode)))

    @changing((0,), numbered=True)
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        """Change attributes; a change of size is a truncate."""
        changes = changes_of(attr, fields)
        try:
            attributes = await self._volume.setattr(self._inode(inode), changes, fh)
        except ContentAway:
            await self._fetch(inode)
        return self._told(attributes)

    @by_number
    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        """Return the target of a symbolic link."""
        target = await self._volume.readlink(self._inode(inode))
        self._volume.note_access(self._inode(inode))
        return FileNameT(target)

    @changing((0, 1))
    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        """Make a file, fifo, socket or device."""
        return self._entry(await self._volume.mknod(parent_inode, name, mode, rdev, caller_of(ctx)))

    @changing((0, 1))
    async def mkdir(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext
    ) -> EntryAttributes:
        """Make a directory."""
        return self._entry(await self._volume.mkdir(parent_inode, name, mode, caller_of(ctx)))

    @changing((0, 1))
    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        """Make a symbolic link."""
        return self._entry(await self._volume.symlink(parent_inode, name, target, caller_of(ctx)))

    @changing((0,), (1, 2), numbered=True)
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        """Give an inode one more name."""
        ino = self._inode(inode)
        await self._volume.link(ino, new_parent_inode, new_name)
        return self._entry(await self._volume.getattr(ino))  # as it is now: number and size of one content

    @changing((0, 1))
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        """Take a name away."""
        await self._volume.unlink(parent_inode, name)

    @changing((0, 1))
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        """Remove an empty directory."""
        await self._volume.rmdir(parent_inode, name)

    @changing((0, 1), (2, 3))
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        """Move a name, replacing what is there unless the flags say otherwise."""
        if flags & ~(pyfuse3.RENAME_EXCHANGE | pyfuse3.RENAME_NOREPLACE):
            raise Unsupported(f"rename flags {flags:#x}")
        await self._volume.rename(
            parent_inode_old,
            name_old,
            parent_inode_new,
            name_new,
            replace=not flags & pyfuse3.RENAME_NOREPLACE,
            exchange=bool(flags & pyfuse3.RENAME_EXCHANGE),
        )

    @changing((0, 1))
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        """Make a file and open it."""
        volume = self._volume
        attributes, handle = await volume.create(parent_inode, name, mode, caller_of(ctx))
        if flags & _SYNC_FLAGS:
            await volume.fsync(handle)
            await volume.release(handle)
            handle = await volume.open(attributes.ino, writing=True, truncate=False, sync=True)
        return file_info(handle), self._entry(attributes)

    @by_number
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        """Open a file; the kernel itself turns O_APPEND into offsets."""
        ino = self._numbers.inode_to_open(inode, time.time_ns())
        truncate = bool(flags & os.O_TRUNC)
        try:
            if truncate and ctx.uid:  # the kernel sees to this itself where it asks us to truncate
                await self._volume.setattr(ino, AttributeChanges(size=0, drops_privileges=True))
                truncate = False
            handle = await self._volume.open(
                ino,
                writing=(flags & os.O_ACCMODE) != os.O_RDONLY,
                truncate=truncate,
                sync=bool(flags & _SYNC_FLAGS),
            )
        except ContentAway:
            await self._fetch(inode)
        # What the kernel reads from its own pages we never hear of: let it ask when that is to be told.
        is_read = (flags & os.O_ACCMODE) != os.O_WRONLY
        keeps_pages = self._volume.keeps.pages and not (is_read and self._volume.is_access_due(ino))
        return file_info(handle, keeps_pages=keeps_pages)

    async def _fetch(self, number: InodeT) -> NoReturn:
        """Have the body fetched that is away; the kernel then looks again, and finds it under its name."""
        if self._bring is None:
            raise ContentAway("the content of this file is at its vendor, and nobody fetches it")
        await self._bring(self._inode(number))
        raise FileSystemError(ESTALE)

    @translated
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        """Return `size` bytes at `off`, fewer only at the end of the file."""
        found = await self._volume.read(fh, off, size)
        self._volume.note_read(fh)
        return found

    @translated
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        """Write `buf` at `off`; return how much was taken."""
        return await self._volume.write(fh, off, buf)

    @translated
    async def flush(self, fh: FileHandleT) -> None:
        """Answer one close(2): what was written so far is acknowledged."""
        await self._volume.flush(fh)

    @translated
    async def release(self, fh: FileHandleT) -> None:
        """Forget a handle after its last close."""
        await self._volume.release(fh)

    @translated
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        """Make a file durable."""
        await self._volume.fsync(fh)

    @by_number
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        """Open a directory for listing."""
        await self._volume.opendir(inode)
        return FileHandleT(inode)

    @translated
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        """List a directory behind cookie `start_id`, as much as `token` has room for."""
        self._volume.note_access(fh)
        for place, name in enumerate((b".", b".."), 1):
            if start_id < place:
                ino = fh if place == 1 or fh == ROOT_INO else _UNKNOWN_INO
                if not pyfuse3.readdir_reply(token, FileNameT(name), dot_of(ino), place):
                    return
        after = max(start_id - _OWN_COOKIES, 0)
        while entries := await self._volume.listing(fh, after, _LISTING_STEP):
            for entry in entries:
                told = self._named(entry.attributes)
                if not pyfuse3.readdir_reply(token, FileNameT(entry.name), told, entry.cookie + _OWN_COOKIES):
                    return
                self._known.tell(entry.attributes)
                after = entry.cookie

    async def releasedir(self, fh: FileHandleT) -> None:
        """Do nothing: a directory's handle holds nothing."""

    @translated
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        """Make a directory's names durable."""
        await self._volume.fsyncdir(fh)

    @translated
    async def statfs(self, ctx: RequestContext) -> pyfuse3.StatvfsData:
        """Say how much room there is."""
        return statvfs_of(await self._volume.statfs(), NAME_MAX_BYTES)
