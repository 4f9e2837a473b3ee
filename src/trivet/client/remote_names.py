"""The half of a RemoteVolume that concerns names, attributes and history: all of it asked of the keeper."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from trivet.client.keeper_link import CALL_TIMEOUT_S, KeeperLink
from trivet.volume import name_calls as calls
from trivet.volume.call_types import LIMIT_MAX, WAIT_MAX_S
from trivet.volume.interface import (
    AttributeChanges,
    Attributes,
    Caller,
    Change,
    Described,
    DescribedEntry,
    DirectoryEntry,
    VolumeSpace,
)

_NOTHING = type(None)


class RemoteNames(ABC):
    """Operations that need no handle; see Volume and VersionedVolume."""

    def __init__(self, keeper: KeeperLink) -> None:
        self._keeper = keeper

    async def lookup(self, parent: int, name: bytes) -> Attributes:
        """Return what a name names."""
        return await self._keeper.ask(calls.Lookup(parent, name), Attributes)

    async def getattr(self, ino: int) -> Attributes:
        """Return what stat(2) tells."""
        return await self._keeper.ask(calls.GetAttr(ino), Attributes)

    async def setattr(self, ino: int, changes: AttributeChanges, handle: int | None = None) -> Attributes:
        """Change attributes; a new size cuts or extends the file."""
        await (self._store_all(ino) if changes.size is None else self._flush_all(ino))
        return await self._keeper.ask(calls.SetAttr(ino, changes), Attributes)

    async def readlink(self, ino: int) -> bytes:
        """Return a symbolic link's target."""
        return await self._keeper.ask(calls.ReadLink(ino), bytes)

    async def opendir(self, ino: int) -> None:
        """Begin to list a directory."""
        await self._keeper.ask(calls.OpenDir(ino), _NOTHING)

    async def listing(self, ino: int, after_cookie: int, limit: int) -> Sequence[DirectoryEntry]:
        """Return up to `limit` entries behind `after_cookie`, 0 = from the start."""
        call = calls.Listing(ino, after_cookie, min(limit, LIMIT_MAX))
        return await self._keeper.ask(call, list[DirectoryEntry])

    async def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> Attributes:
        """Make a directory."""
        return await self._keeper.ask(calls.MkDir(parent, name, mode, caller), Attributes)

    async def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> Attributes:
        """Make a file, device, pipe or socket."""
        return await self._keeper.ask(calls.MkNod(parent, name, mode, rdev, caller), Attributes)

    async def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Attributes:
        """Make a symbolic link."""
        return await self._keeper.ask(calls.SymLink(parent, name, target, caller), Attributes)

    async def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        """Give a file one more name."""
        return await self._keeper.ask(calls.Link(ino, parent, name), Attributes)

    async def unlink(self, parent: int, name: bytes) -> None:
        """Take a name away."""
        await self._keeper.ask(calls.Unlink(parent, name), _NOTHING)

    async def rmdir(self, parent: int, name: bytes) -> None:
        """Take an empty directory away."""
        await self._keeper.ask(calls.RmDir(parent, name), _NOTHING)

    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool, exchange: bool
    ) -> None:
        """Move a name, or let two names change what they name."""
        call = calls.Rename(parent, name, new_parent, new_name, replace, exchange)
        await self._keeper.ask(call, _NOTHING)

    async def fsyncdir(self, ino: int) -> None:
        """Everything that happened to names so far is durable."""
        await self._keeper.ask(calls.FSyncDir(ino), _NOTHING)

    async def getxattr(self, ino: int, name: bytes) -> bytes:
        """Return the value of an extended attribute, or raise ENODATA."""
        return await self._keeper.ask(calls.GetXattr(ino, name), bytes)

    async def setxattr(self, ino: int, name: bytes, value: bytes, *, create: bool, replace: bool) -> None:
        """Set an extended attribute."""
        await self._keeper.ask(calls.SetXattr(ino, name, value, create, replace), _NOTHING)

    async def listxattr(self, ino: int) -> Sequence[bytes]:
        """Return the names of an inode's extended attributes."""
        return await self._keeper.ask(calls.ListXattr(ino), list[bytes])

    async def removexattr(self, ino: int, name: bytes) -> None:
        """Take an extended attribute away, or raise ENODATA."""
        await self._keeper.ask(calls.RemoveXattr(ino, name), _NOTHING)

    async def statfs(self) -> VolumeSpace:
        """Return sizes as the banks tell them."""
        return await self._keeper.ask(calls.StatFs(), VolumeSpace)

    async def names_of(self, ino: int) -> Sequence[tuple[int, bytes]]:
        """Return (parent, name) of every name of `ino`, the oldest first."""
        return await self._keeper.ask(calls.NamesOf(ino), list[tuple[int, bytes]])

    async def version(self, ino: int) -> int:
        """Return the slot of the newest change of `ino`, what this client wrote included."""
        await self._store_all(ino)
        return await self._keeper.ask(calls.Version(ino), int)

    async def describe(self, ino: int, xattr: bytes) -> Described:
        """Return in one go what a door tells of an inode, what this client wrote included."""
        await self._store_all(ino)
        return await self._keeper.ask(calls.Describe(ino, xattr), Described)

    async def described_listing(
        self, ino: int, after_cookie: int, limit: int, xattr: bytes, *, with_versions: bool
    ) -> Sequence[DescribedEntry]:
        """Return what `listing` does, with what a door tells of each."""
        call = calls.DescribedListing(ino, after_cookie, min(limit, LIMIT_MAX), xattr, with_versions)
        return await self._keeper.ask(call, list[DescribedEntry])

    async def take_uses(self) -> Sequence[tuple[int, int]]:
        """Return (inode, how often it was opened) of the files opened since this was asked last."""
        return await self._keeper.ask(calls.TakeUses(), list[tuple[int, int]])

    async def newest_slot(self) -> int:
        """Return the slot of the last durable change."""
        return await self._keeper.ask(calls.NewestSlot(), int)

    async def changes(self, after_slot: int, limit: int) -> tuple[Sequence[Change], int]:
        """Return what changed behind `after_slot` and the slot to go on from."""
        call = calls.Changes(after_slot, min(limit, LIMIT_MAX))
        return await self._keeper.ask(call, tuple[list[Change], int])

    async def wait_changed(self, after_slot: int, timeout_s: float) -> bool:
        """Wait until `changes` has something behind `after_slot`, WAIT_MAX_S at most."""
        call = calls.WaitChanged(after_slot, min(timeout_s, WAIT_MAX_S))
        return await self._keeper.ask(call, bool, timeout_s=timeout_s + CALL_TIMEOUT_S)

    @abstractmethod
    async def _store_all(self, *inos: int) -> None:
        """Hand over what this client wrote to some files."""

    @abstractmethod
    async def _flush_all(self, *inos: int) -> None:
        """Hand it over and have it acked."""
