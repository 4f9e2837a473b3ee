"""Operations on names, links and extended attributes: what needs no handle.

Rule: an operation changes memory in one step, without an await in between, then waits for its ticket.
Rule: a file that gets or loses a name has its dirty data stored first, in the same or an earlier entry.
Rule: what is told of names, refusals too, can't be taken back: it waits for changes that are on their way.
"""

from collections.abc import Awaitable, Callable, Sequence
from errno import EINVAL, ENOTDIR
from functools import wraps
from stat import S_IFDIR, S_IFMT, S_IFREG, S_IMODE
from typing import Any, TypeVar, cast

from trivet.errors import FileSystemError
from trivet.keeper.parting import Parting
from trivet.keeper.stores import AccessPort, RecordPort
from trivet.keeper.submitting import Submitter
from trivet.keeper.write_path import WritePath
from trivet.volume.attributes import Inode
from trivet.volume.interface import Attributes, Caller, DirectoryEntry
from trivet.volume.namespace import Namespace
from trivet.volume.quotas import QUOTA
from trivet.volume.rename import exchange as exchange_names
from trivet.volume.rename import rename as move_name
from trivet.wire.records import xattr_key

Operation = TypeVar("Operation", bound=Callable[..., Awaitable[Any]])


def _told_when_settled(operation: Operation) -> Operation:
    """Let `operation` tell why it is refused once the names it saw can't be taken back any more."""

    @wraps(operation)
    async def told(self: "NameOperations", *arguments: Any, **options: Any) -> Any:
        try:
            return await operation(self, *arguments, **options)
        except FileSystemError:
            await self._submitter.all_settled()
            raise

    return cast(Operation, told)


class NameOperations:
    """The half of a LocalVolume that concerns names."""

    def __init__(
        self,
        space: Namespace,
        submitter: Submitter,
        writes: WritePath,
        records: RecordPort,
        access: AccessPort,
        clock_ns: Callable[[], int],
    ) -> None:
        self.space = space
        self._submitter = submitter
        self._asked = submitter.asked
        self._writes = writes
        self._records = records
        self._access = access
        self._clock_ns = clock_ns
        self._parting = Parting(space, submitter)

    async def lookup(self, parent: int, name: bytes) -> Attributes:
        """Return what `name` names in `parent`."""
        try:
            found = self.space.lookup(parent, name).attributes()
        finally:
            await self._submitter.settled(parent, name)
        return found

    async def getattr(self, ino: int) -> Attributes:
        """Return what stat(2) tells."""
        return self.space.inode(ino).attributes()

    async def readlink(self, ino: int) -> bytes:
        """Return a symbolic link's target."""
        inode = self.space.inode(ino)
        if not inode.is_symlink:
            raise FileSystemError(EINVAL)
        return inode.target

    async def opendir(self, ino: int) -> None:
        """Begin to list a directory."""
        self._check_directory(ino)
        self._access.accessed(ino)

    async def listing(self, ino: int, after_cookie: int, limit: int) -> Sequence[DirectoryEntry]:
        """Return up to `limit` entries behind `after_cookie`, 0 = from the start."""
        space = self.space
        listed = space.listings.read(ino, space.directory(ino), after_cookie, limit)
        found = [
            DirectoryEntry(name, cookie, space.inode(number).attributes()) for name, cookie, number in listed
        ]
        await self._submitter.settled(ino)
        return found

    @_told_when_settled
    async def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> Attributes:
        """Make a directory."""
        return await self._make(parent, name, S_IFDIR | S_IMODE(mode), caller)

    @_told_when_settled
    async def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> Attributes:
        """Make a file, device, pipe or socket, as the type in `mode` says."""
        if S_IFMT(mode) == S_IFDIR:
            raise FileSystemError(EINVAL)
        return await self._make(parent, name, mode if S_IFMT(mode) else mode | S_IFREG, caller, rdev)

    @_told_when_settled
    async def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Attributes:
        """Make a symbolic link."""
        await self._submitter.writable()
        inode = self.space.symlink(parent, name, target, caller.uid, caller.gid, self._clock_ns())
        attributes = inode.attributes()
        self._asked.note(attributes)
        await self._submitter.committed()
        return attributes

    @_told_when_settled
    async def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        """Give a file one more name."""
        await self._submitter.writable()
        await self._writes.flush(ino)
        attributes = self.space.link(ino, parent, name, self._clock_ns()).attributes()
        self._asked.note(attributes)
        await self._submitter.committed()
        return attributes

    @_told_when_settled
    async def unlink(self, parent: int, name: bytes) -> None:
        """Take a name away; the data of a file that keeps another name is stored first."""
        await self._submitter.writable()
        inode = self.space.lookup(parent, name)
        if inode.nlink > 1 and not inode.is_directory:
            await self._writes.flush(inode.ino)
        self.space.unlink(parent, name, self._clock_ns())
        self._asked.note(None)
        await self._submitter.committed()

    @_told_when_settled
    async def rmdir(self, parent: int, name: bytes) -> None:
        """Take an empty directory away."""
        await self._submitter.writable()
        self.space.rmdir(parent, name, self._clock_ns())
        self._asked.note(None)
        await self._submitter.committed()

    @_told_when_settled
    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool, exchange: bool
    ) -> None:
        """Move a name, or let two names change what they name; dirty data is stored first."""
        await self._submitter.writable()
        space = self.space
        await self._writes.flush(space.lookup(parent, name).ino)
        other = space.directory(new_parent).get(new_name)
        if other is not None and (exchange or space.inode(other).nlink > 1):
            await self._writes.flush(other)
        other = space.directory(new_parent).get(new_name)
        if replace and other is not None:
            self._parting.hold(other)
        if exchange:
            exchange_names(space, parent, name, new_parent, new_name, self._clock_ns())
        else:
            move_name(space, parent, name, new_parent, new_name, self._clock_ns(), replace=replace)
        self._asked.note(None)
        await self._submitter.committed()

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
        await self._submitter.writable()
        inode = self.space.inode(ino)
        self.space.xattrs.check(ino, name, value, create=create, replace=replace)
        if self.space.xattrs.has(ino, name) and self.space.xattrs.value(ino, name) == value:
            return  # no change, so nothing to stamp
        if name == QUOTA:
            self.space.directory(ino)
            self.space.quotas.set(ino, value)
        self.space.xattrs.put(ino, name, value)
        self.space.changes.records[xattr_key(ino, name)] = value
        await self._attribute_changed(inode)

    async def listxattr(self, ino: int) -> Sequence[bytes]:
        """Return the names of an inode's extended attributes."""
        self.space.inode(ino)
        return self.space.xattrs.names(ino)

    async def removexattr(self, ino: int, name: bytes) -> None:
        """Take an extended attribute away, or raise ENODATA."""
        await self._submitter.writable()
        inode = self.space.inode(ino)
        self.space.xattrs.remove(ino, name)
        if name == QUOTA:
            self.space.quotas.set(ino, None)
        self.space.changes.records[xattr_key(ino, name)] = None
        await self._attribute_changed(inode)

    def _check_directory(self, ino: int) -> None:
        """Raise ENOTDIR unless an inode is a directory, which may be a removed one that somebody has open."""
        if not self.space.inode(ino).is_directory:
            raise FileSystemError(ENOTDIR)

    async def _make(self, parent: int, name: bytes, mode: int, caller: Caller, rdev: int = 0) -> Attributes:
        await self._submitter.writable()
        mode &= ~caller.umask
        inode = self.space.make(parent, name, mode, caller.uid, caller.gid, self._clock_ns(), rdev=rdev)
        attributes = inode.attributes()
        self._asked.note(attributes)
        await self._submitter.committed()
        return attributes

    async def _attribute_changed(self, inode: Inode) -> None:
        inode.ctime_ns = self._clock_ns()
        self.space.touch(inode.ino)
        self._asked.note(None)
        await self._submitter.rides()
