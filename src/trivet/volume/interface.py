"""The volume as every door sees it: names, attributes, bytes and handles.

Rule: names and targets are bytes, times are nanoseconds since the epoch, offsets and sizes are bytes.
Rule: a file-system rule that is broken raises FileSystemError with its errno; a door adds no rules.
Rule: what a door keeps for itself stands below PRIVATE_INO: no name leads there from the root, and it is
kept, verified and repaired like all else.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from trivet.volume.file_numbers import FileNumbers

ROOT_INO = 1
#: A directory that the root does not lead to; `uploads`, `trash` and `revisions` stand in it from the start.
PRIVATE_INO = 2
UPLOADS, TRASH, REVISIONS = b"uploads", b"trash", b"revisions"
NAME_MAX_BYTES = 255
#: The attribute of a file whose body is not in the banks yet: its size is known, its bytes are at a vendor.
AWAY = b"trusted.trivet.away"


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
    """What setattr is to change; None leaves a field as it is.

    `drops_privileges` takes the set-user-id and set-group-id bits from a file that somebody else changes.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    drops_privileges: bool = False


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


class Change(msgspec.Struct, frozen=True, gc=False):
    """The newest thing that happened to an inode: it stands changed, or `removed`, since `slot`."""

    slot: int
    ino: int
    removed: bool


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A whole version of a file, held for reading: `read` from `handle` and `release` it in the end."""

    handle: int
    version: int
    attributes: Attributes


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step up from an inode: `parent` holds it under `name`; `value` is the parent's own attribute."""

    parent: int
    name: bytes
    value: bytes | None


class Described(msgspec.Struct, frozen=True):
    """An inode, its version, the `value` of an extended attribute of it (None: it has none), and the way up.

    `way` goes by the oldest names to a directory that nothing names; it is empty for that, and for an orphan.
    """

    attributes: Attributes
    version: int
    value: bytes | None
    way: list[Step]


class DescribedEntry(msgspec.Struct, frozen=True, gc=False):
    """A DirectoryEntry with the `value` of an extended attribute, and the `version`, 0 if not asked for."""

    name: bytes
    cookie: int
    attributes: Attributes
    value: bytes | None
    version: int


@dataclass(frozen=True, slots=True)
class KernelKeeps:
    """How long a kernel may keep what it was told, in seconds: names by what they lead to, and attributes.

    `pages` says whether it may keep those of a file from one opening to the next.
    """

    folder_s: float
    file_s: float
    nothing_s: float
    attributes_s: float
    pages: bool


#: For a volume that tells the kernel what to forget, or that never changes.
UNTIL_TOLD = KernelKeeps(3600.0, 3600.0, 3600.0, 3600.0, pages=True)


class KernelCache(Protocol):
    """What a kernel keeps of the volume behind a mount; others who change something make it forget."""

    async def forget(self, inodes: Collection[int], names: Collection[tuple[int, bytes]]) -> None:
        """Return when the kernel has let go of attributes and pages of `inodes` and of (parent, name)s."""

    async def cut_off(self) -> None:
        """End at once: whoever waits or asks from now on gets an error, nobody is served from a cache."""


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
    #: Raises ContentAway, as `open_snapshot` and a change of size do, for a file whose body is away.
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


class MountableVolume(Volume, Protocol):
    """A volume in this process, for a kernel that keeps pages and sizes by number."""

    numbers: FileNumbers
    keeps: KernelKeeps

    def hold(self, ino: int) -> None:
        """Let an inode live on, also without a name, until `let_go`."""

    def let_go(self, ino: int) -> None:
        """Take one `hold` back."""

    def held_bytes(self, attributes: Attributes) -> int:
        """Return about how much of a file's body is not a hole: at most its size in whole pages."""

    def is_access_due(self, ino: int) -> bool:
        """Tell whether reading it now would change its time of access."""

    def note_access(self, ino: int) -> None:
        """A program has read of an inode: renew its time of access if that is due."""

    def note_read(self, handle: int) -> None:
        """The same for the file of a handle."""


class VersionedVolume(Volume, Protocol):
    """What a door may ask that tells versions apart: both the keeper's volume and RemoteVolume are one."""

    async def names_of(self, ino: int) -> Sequence[tuple[int, bytes]]:
        """Return (parent, name) of every name that leads to `ino`, the oldest first; none for an open orphan.

        The name of a directory is its one name; ROOT_INO and PRIVATE_INO have none.
        """

    async def version(self, ino: int) -> int:
        """Return a number that grows with every change of content, attributes or names of `ino`.

        It is the slot of the change: what is dirty is stored and acked first. Two calls that return the same
        number saw the same bytes.
        """

    async def describe(self, ino: int, xattr: bytes) -> Described:
        """Return in one go what a door tells of an inode."""

    async def described_listing(
        self, ino: int, after_cookie: int, limit: int, xattr: bytes, *, with_versions: bool
    ) -> Sequence[DescribedEntry]:
        """Return what `listing` does, with what a door tells of each."""

    async def open_snapshot(self, ino: int) -> Snapshot:
        """Hold the bytes of a regular file as they are now, whatever is written or exchanged meanwhile."""

    async def exchange_content(self, ino: int, other: int) -> None:
        """Let two regular files change their bytes, sizes and mtimes, in one step; names and xattrs stay."""

    async def publish(
        self, staged: int, target: int, expected_version: int | None, *, unwritten: bool = False
    ) -> int:
        """Exchange the content of `staged` and `target`; return the new version of `target`.

        Raises Conflict, and changes nothing, if `target` is not at `expected_version` (None: any will do), or
        if it is to be `unwritten` and somebody has it open for writing or changes its size just now.
        The old content then stands in `staged`.
        """

    async def take_uses(self) -> Sequence[tuple[int, int]]:
        """Return (inode, how often it was opened) of the files opened since this was asked last."""

    async def newest_slot(self) -> int:
        """Return the slot of the last durable change: where a listing of changes begins."""

    async def changes(self, after_slot: int, limit: int) -> tuple[Sequence[Change], int]:
        """Return what changed behind `after_slot`, in order of slots, and the slot to go on from.

        Each inode comes once, at its newest slot. A slot is never split, so that somewhat more than `limit`
        may come; an empty answer means that is all for now. All of it is durable. What happens below
        PRIVATE_INO is told too. Raises ChangesExpired when removals behind `after_slot` are forgotten: list
        everything anew.
        """

    async def wait_changed(self, after_slot: int, timeout_s: float) -> bool:
        """Wait until `changes` has something behind `after_slot`; False if it has not within `timeout_s`."""
