"""Inodes: their attributes unpacked while in use, packed as the value of an `i/` record otherwise.

An `i/` value is 56 bytes, little endian: mode u16, nlink u32, uid u32, gid u32, rdev u32, size u64,
atime, mtime, ctime (ns modulo 2**64, 8 bytes each: FIRST_TIME_NS begins the turn), page mask u16 (which of
pages 0..15 have a `b/` record), count u32 of `b/` records of later pages; behind them the target of a
symbolic link.

Rule: sizes are the file's; whether bytes lie in pages, extents or holes is said by the layout alone.
"""

import struct
from collections.abc import Iterator
from stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

from trivet.errors import CorruptReplica
from trivet.volume.interface import Attributes

PAGE_BYTES = 4096
MIB_BYTES = 1 << 20
PAGES_PER_MIB = MIB_BYTES // PAGE_BYTES
MASKED_PAGES = 16
SMALL_FILE_BYTES = MASKED_PAGES * PAGE_BYTES
MAX_FILE_BYTES = 1 << 44
DIRECTORY_SIZE_BYTES = PAGE_BYTES
#: From December 1901 to May 2446, which is what ext4 can tell.
FIRST_TIME_NS = -(1 << 31) * 10**9
LAST_TIME_NS = ((1 << 34) - (1 << 31) - 1) * 10**9
#: A time of access is renewed when it is this old, or not newer than the last change ("relatime").
ACCESS_OLD_NS = 86_400 * 10**9
_PACKED = struct.Struct("<HIIIIQQQQHI")
_SIZED = struct.Struct("<HIIIIQ")
_TURN = 1 << 64


class Inode:
    """One inode in use: what stat(2) tells, a link's target, and which of its pages are records."""

    __slots__ = (
        "atime_ns",
        "ctime_ns",
        "gid",
        "ino",
        "later_pages",
        "mode",
        "mtime_ns",
        "nlink",
        "page_mask",
        "rdev",
        "size",
        "target",
        "uid",
    )

    def __init__(
        self,
        ino: int,
        mode: int,
        nlink: int,
        uid: int,
        gid: int,
        rdev: int,
        size: int,
        atime_ns: int,
        mtime_ns: int,
        ctime_ns: int,
        page_mask: int = 0,
        later_pages: int = 0,
        target: bytes = b"",
    ) -> None:
        self.ino = ino
        self.mode = mode
        self.nlink = nlink
        self.uid = uid
        self.gid = gid
        self.rdev = rdev
        self.size = size
        self.atime_ns = atime_ns
        self.mtime_ns = mtime_ns
        self.ctime_ns = ctime_ns
        self.page_mask = page_mask
        self.later_pages = later_pages
        self.target = target

    def pack(self, size: int) -> bytes:
        """Return the `i/` value, telling `size` bytes (what is stored may lag behind what is dirty)."""
        return (
            _PACKED.pack(
                self.mode,
                self.nlink,
                self.uid,
                self.gid,
                self.rdev,
                size,
                self.atime_ns % _TURN,
                self.mtime_ns % _TURN,
                self.ctime_ns % _TURN,
                self.page_mask,
                self.later_pages,
            )
            + self.target
        )

    @property
    def is_directory(self) -> bool:
        """Whether names can stand in it."""
        return S_IFMT(self.mode) == S_IFDIR

    @property
    def is_regular(self) -> bool:
        """Whether it has bytes."""
        return S_IFMT(self.mode) == S_IFREG

    @property
    def is_symlink(self) -> bool:
        """Whether it has a target."""
        return S_IFMT(self.mode) == S_IFLNK

    def is_access_due(self, now_ns: int) -> bool:
        """Tell whether reading it now changes its time of access."""
        atime_ns = self.atime_ns
        return atime_ns <= self.mtime_ns or atime_ns <= self.ctime_ns or now_ns - atime_ns >= ACCESS_OLD_NS

    def attributes(self) -> Attributes:
        """Return what a door is told."""
        return Attributes(
            self.ino,
            self.mode,
            self.nlink,
            self.uid,
            self.gid,
            self.rdev,
            self.size,
            self.atime_ns,
            self.mtime_ns,
            self.ctime_ns,
        )


def unpack_inode(ino: int, value: bytes) -> Inode:
    """Return the inode an `i/` value describes, or raise CorruptReplica."""
    if len(value) < _PACKED.size:
        raise CorruptReplica(f"the attributes of inode {ino} are cut short")
    mode, nlink, uid, gid, rdev, size, *times, mask, later = _PACKED.unpack_from(value)
    atime, mtime, ctime = (time if time <= LAST_TIME_NS else time - _TURN for time in times)
    target = value[_PACKED.size :]
    return Inode(ino, mode, nlink, uid, gid, rdev, size, atime, mtime, ctime, mask, later, target)


def bounded_time_ns(time_ns: int) -> int:
    """Return the time nearest to `time_ns` that a file can have; the second of a limit has no parts."""
    if time_ns < FIRST_TIME_NS + 10**9:
        return FIRST_TIME_NS
    return min(LAST_TIME_NS, time_ns)


class InodeTable:
    """Every inode of the volume: packed, and unpacked while hot.

    Rule: an Inode from `get` may be changed until the next `cool`, which packs all but the newest; nobody
    holds one over an await.
    """

    __slots__ = ("_hot", "_hot_limit", "_packed")

    def __init__(self, hot_limit: int = 4096) -> None:
        self._packed: dict[int, bytes] = {}
        self._hot: dict[int, Inode] = {}
        self._hot_limit = hot_limit

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, ino: int) -> bool:
        return ino in self._packed

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def get(self, ino: int) -> Inode | None:
        """Return the inode, or None if there is none."""
        inode = self._hot.get(ino)
        if inode is None:
            packed = self._packed.get(ino)
            if packed is None:
                return None
            inode = self._hot[ino] = unpack_inode(ino, packed)
        return inode

    def body_bytes(self, ino: int) -> int:
        """Return the size of an inode that has bytes, 0 of all others; it does not become hot."""
        inode = self._hot.get(ino)
        if inode is not None:
            return inode.size if inode.is_regular else 0
        mode, _nlink, _uid, _gid, _rdev, size = _SIZED.unpack_from(self._packed[ino])
        return size if S_IFMT(mode) == S_IFREG else 0

    def add(self, inode: Inode) -> None:
        """Take in a new inode; it is packed when it cools."""
        self._packed[inode.ino] = b""
        self._hot[inode.ino] = inode

    def add_packed(self, ino: int, value: bytes) -> None:
        """Take in an inode as its record tells it."""
        if len(value) < _PACKED.size:
            raise CorruptReplica(f"the attributes of inode {ino} are cut short")
        self._packed[ino] = value

    def drop(self, ino: int) -> None:
        """Forget an inode."""
        del self._packed[ino]
        self._hot.pop(ino, None)

    def cool(self) -> None:
        """Pack the older half of the hot inodes when there are too many."""
        hot = self._hot
        if len(hot) <= self._hot_limit:
            return
        packed = self._packed
        for ino in list(hot)[: self._hot_limit // 2]:
            inode = hot.pop(ino)
            packed[ino] = inode.pack(inode.size)
