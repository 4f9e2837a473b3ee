"""The volume as every door sees it: names, attributes, bytes and handles.

Rule: names and targets are bytes, times are nanoseconds since the epoch, offsets and sizes are bytes.
Rule: a file-system rule that is broken raises FileSystemError with its errno; a door adds no rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

ROOT_INO = 1
NAME_MAX_BYTES = 255


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """What stat(2) tells of one inode; `mode` holds the file type bits too."""

    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class AttributeChanges:
    """What setattr is to change; None leaves a field as it is."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf an operation is done."""

    uid: int
    gid: int
    umask: int = 0


class DirectoryEntry(msgspec.Struct, frozen=True, gc=False):
    """One name of a directory; `cookie` goes on behind it, also when other names come and go."""

    name: bytes
    cookie: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class VolumeSpace:
    """Sizes for statvfs(3), in bytes and inodes."""

    total_bytes: int
    free_bytes: int
    files: int


class Volume(Protocol):
    """What a door may ask; every method may also raise NoMajority (EIO) and NoSpace (ENOSPC)."""

    async def lookup(self, parent: int, name: bytes) -> Attributes: ...
    async def getattr(self, ino: int) -> Attributes: ...
    async def setattr(self, ino: int, changes: AttributeChanges, handle: int | None = None) -> Attributes: ...
    async def readlink(self, ino: int) -> bytes: ...

    async def opendir(self, ino: int) -> None: ...
    async def listing(self, ino: int, after_cookie: int, limit: int) -> Sequence[DirectoryEntry]: ...

    async def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> Attributes: ...
    async def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> Attributes: ...
    async def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Attributes: ...
    async def link(self, ino: int, parent: int, name: bytes) -> Attributes: ...
    async def unlink(self, parent: int, name: bytes) -> None: ...
    async def rmdir(self, parent: int, name: bytes) -> None: ...
    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool, exchange: bool
    ) -> None: ...

    async def create(self, parent: int, name: bytes, mode: int, caller: Caller) -> tuple[Attributes, int]: ...
    async def open(self, ino: int, *, writing: bool, truncate: bool, sync: bool) -> int: ...
    async def read(self, handle: int, offset: int, size: int) -> bytes: ...
    async def write(self, handle: int, offset: int, data: bytes) -> int: ...
    async def flush(self, handle: int) -> None: ...
    async def fsync(self, handle: int) -> None: ...
    async def fsyncdir(self, ino: int) -> None: ...
    async def release(self, handle: int) -> None: ...

    async def getxattr(self, ino: int, name: bytes) -> bytes: ...
    async def setxattr(self, ino: int, name: bytes, value: bytes, *, create: bool, replace: bool) -> None: ...
    async def listxattr(self, ino: int) -> Sequence[bytes]: ...
    async def removexattr(self, ino: int, name: bytes) -> None: ...

    async def statfs(self) -> VolumeSpace: ...
