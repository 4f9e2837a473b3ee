"""A snapshot as a volume that nobody can change: what a mount of it shows.

Rule: names and attributes are in this process's memory; bytes come from the banks, verified, each time.
"""

import itertools
from collections.abc import Sequence
from errno import EBADF, EINVAL, EISDIR, ELOOP, ENODATA, ENOENT, ENOTDIR, EOPNOTSUPP, EROFS
from typing import Any

from trivet.client.backup.snapshot_tree import SnapshotTree
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import FileSystemError
from trivet.volume.attributes import PAGE_BYTES, Inode
from trivet.volume.file_numbers import FileNumbers
from trivet.volume.interface import AWAY, UNTIL_TOLD, Attributes, DirectoryEntry, VolumeSpace
from trivet.volume.listing import Listings
from trivet.volume.stored_body import StoredBody


async def _refused(*_arguments: Any, **_options: Any) -> Any:
    raise FileSystemError(EROFS)


class SnapshotVolume:
    """What `tree` holds, for a kernel; `volume` is where its bytes come from."""

    def __init__(self, tree: SnapshotTree, volume: RemoteVolume) -> None:
        self.numbers = FileNumbers()
        self.keeps = UNTIL_TOLD
        self._tree = tree
        self._volume = volume
        self._listings = Listings()
        self._bodies: dict[int, StoredBody] = {}
        self._handles = itertools.count(1)

    setattr = mkdir = mknod = symlink = link = unlink = rmdir = rename = create = write = _refused
    setxattr = removexattr = _refused

    def _inode(self, ino: int) -> Inode:
        try:
            return self._tree.inode(ino)
        except KeyError as error:
            raise FileSystemError(ENOENT) from error

    def _names(self, ino: int) -> dict[bytes, int]:
        if not self._inode(ino).is_directory:
            raise FileSystemError(ENOTDIR)
        return self._tree.directories.get(ino, {})

    async def lookup(self, parent: int, name: bytes) -> Attributes:
        """Return what `name` named."""
        found = self._names(parent).get(name)
        if found is None:
            raise FileSystemError(ENOENT)
        return self._inode(found).attributes()

    async def getattr(self, ino: int) -> Attributes:
        """Return what stat(2) told."""
        return self._inode(ino).attributes()

    async def readlink(self, ino: int) -> bytes:
        """Return a symbolic link's target."""
        inode = self._inode(ino)
        if not inode.is_symlink:
            raise FileSystemError(EINVAL)
        return inode.target

    async def opendir(self, ino: int) -> None:
        """Begin to list a directory."""
        self._names(ino)

    async def listing(self, ino: int, after_cookie: int, limit: int) -> Sequence[DirectoryEntry]:
        """Return up to `limit` entries behind `after_cookie`."""
        listed = self._listings.read(ino, self._names(ino), after_cookie, limit)
        return [
            DirectoryEntry(name, cookie, self._inode(number).attributes()) for name, cookie, number in listed
        ]

    async def open(self, ino: int, *, writing: bool, truncate: bool, sync: bool) -> int:
        """Return a handle for reading."""
        inode = self._inode(ino)
        if not inode.is_regular:
            raise FileSystemError(EISDIR if inode.is_directory else ELOOP if inode.is_symlink else EOPNOTSUPP)
        if writing or truncate:
            raise FileSystemError(EROFS)
        if AWAY in self._tree.xattrs.get(ino, {}):
            raise FileSystemError(ENODATA, "the content of this file was at its vendor")
        handle = next(self._handles)
        self._bodies[handle] = await self._tree.body(inode)
        return handle

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end of the file."""
        body = self._bodies.get(handle)
        if body is None:
            raise FileSystemError(EBADF)
        return await self._volume.read_stored(body, offset, size)

    async def flush(self, handle: int) -> None:
        """Nothing was written."""

    async def fsync(self, handle: int) -> None:
        """Nothing was written."""

    async def fsyncdir(self, ino: int) -> None:
        """Nothing was changed."""

    async def release(self, handle: int) -> None:
        """Let go of a handle."""
        self._bodies.pop(handle, None)

    async def getxattr(self, ino: int, name: bytes) -> bytes:
        """Return the value of an extended attribute, or raise ENODATA."""
        value = self._tree.xattrs.get(ino, {}).get(name)
        if value is None:
            raise FileSystemError(ENODATA)
        return value

    async def listxattr(self, ino: int) -> Sequence[bytes]:
        """Return the names of an inode's extended attributes."""
        return list(self._tree.xattrs.get(ino, ()))

    async def statfs(self) -> VolumeSpace:
        """Return sizes as the banks tell them."""
        return await self._volume.statfs()

    def hold(self, ino: int) -> None:
        """Nothing goes away."""

    def let_go(self, ino: int) -> None:
        """Nothing goes away."""

    def held_bytes(self, attributes: Attributes) -> int:
        """Return about how much of a body is not a hole."""
        held = self._tree.held_bytes(attributes.ino)
        return min(held, -(-attributes.size // PAGE_BYTES) * PAGE_BYTES)

    def is_access_due(self, ino: int) -> bool:
        """Reading changes nothing."""
        return False

    def note_access(self, ino: int) -> None:
        """Reading changes nothing."""

    def note_read(self, handle: int) -> None:
        """Reading changes nothing."""
