"""Quotas of folders: how much may stand below a directory, in bytes of files and in number of inodes.

Rule: sizes count as stat(2) tells them, holes too; an inode with several names counts in the directory with
the lowest number among those that name it, so that every keeper counts alike.
Rule: a quota is the attribute QUOTA of its directory; what is used is counted anew at start, then kept.
Rule: without any quota nothing is counted.
"""

from collections.abc import Collection, Iterator, Mapping
from errno import EDQUOT, EINVAL, EXDEV
from typing import NamedTuple

from trivet.errors import FileSystemError
from trivet.volume.attributes import Inode, InodeTable
from trivet.volume.holders import Holders

#: "BYTES FILES", each a number or "-" for no limit.
QUOTA = b"trusted.trivet.quota"
#: A larger tree is not moved across the border of a quota in one step: mv(1) copies it then.
MOVED_MAX = 50_000


class Amount(NamedTuple):
    """Bytes of files, and how many inodes."""

    size: int
    files: int


class Limits(NamedTuple):
    """The most there may be below a directory; None: no limit."""

    size: int | None
    files: int | None


def pack_limits(limits: Limits) -> bytes:
    """Return the value of the attribute QUOTA."""
    return " ".join("-" if limit is None else str(limit) for limit in limits).encode()


def unpack_limits(value: bytes) -> Limits:
    """Return what a value of QUOTA says, or raise EINVAL."""
    words = value.split()
    if len(words) != 2 or not all(word == b"-" or word.isdigit() for word in words):
        raise FileSystemError(EINVAL)
    size, files = (None if word == b"-" else int(word) for word in words)
    return Limits(size, files)


class Quotas:
    """The quotas of a volume and what is used of each; true if there are any."""

    def __init__(self, inodes: InodeTable, directories: Mapping[int, Mapping[bytes, int]],
                 parents: Mapping[int, int], holders: Holders) -> None:  # fmt: skip
        self.limits: dict[int, Limits] = {}
        self.used: dict[int, Amount] = {}
        self._inodes = inodes
        self._directories = directories
        self._parents = parents
        self._holders = holders
        self._moving: dict[int, Amount] = {}

    def __bool__(self) -> bool:
        return bool(self.limits)

    def set(self, ino: int, value: bytes | None) -> None:
        """Give a directory the limits of a QUOTA attribute and count what is below it; None: no quota."""
        if value is None:
            self.limits.pop(ino, None)
            self.used.pop(ino, None)
        else:
            self.limits[ino] = unpack_limits(value)
            self.used[ino] = self._below(ino, None)
        self._holders.on_new_home = self._moved if self.limits else None

    def recount(self) -> None:
        """Count everything anew."""
        self.used = {ino: self._below(ino, None) for ino in self.limits}

    def check(self, directory: int | None, more: Amount, exempt: Collection[int] = ()) -> None:
        """Raise EDQUOT if `more` does not fit into `directory`, whatever the quotas `exempt` say."""
        for root in self._roots(directory):
            if root not in exempt:
                for used, plus, limit in zip(self.used[root], more, self.limits[root], strict=True):
                    if limit is not None and plus > 0 and used + plus > limit:
                        raise FileSystemError(EDQUOT)

    def check_growth(self, ino: int, size: int) -> None:
        """Raise EDQUOT if a file may not grow by `size` bytes."""
        self.check(self._holders.home(ino), Amount(size, 0))

    def grow(self, ino: int, size: int) -> None:
        """Count a file that grows by `size` bytes, or raise EDQUOT."""
        self.check_growth(ino, size)
        self.grown(ino, size)

    def grown(self, ino: int, size: int) -> None:
        """Count a file that grew by `size` bytes, or became smaller."""
        self._charge(self._holders.home(ino), Amount(size, 0))

    def begin_move(self, inode: Inode, directory: int, new_directory: int, replaced: Inode | None) -> None:
        """Raise EDQUOT or EXDEV if an inode may not go to another directory, else expect that it does."""
        if not self.limits:
            return
        here, there = set(self._roots(directory)), set(self._roots(new_directory))
        amount = _own(inode)
        if inode.is_directory:
            below = Amount(0, -1) if here == there else self._below(inode.ino, MOVED_MAX)
            amount = Amount(below.size, below.files + 1)
            self._moving[inode.ino] = amount
        freed = Amount(0, 0)
        if replaced is not None and replaced.nlink == 1 + replaced.is_directory:
            freed = _own(replaced)
        try:
            self.check(new_directory, Amount(amount.size - freed.size, amount.files - freed.files), here)
        except FileSystemError:
            self.end_move()
            raise

    def end_move(self) -> None:
        """What was expected to move has."""
        self._moving.clear()

    def _moved(self, ino: int, before: int | None, after: int | None) -> None:
        """Count an inode that stands in another directory now; None: in none."""
        amount = self._moving.get(ino)
        if amount is None:
            inode = self._inodes.get(ino)
            assert inode is not None
            amount = _own(inode)
            if inode.is_directory and self._directories.get(ino):
                below = self._below(ino, None)
                amount = Amount(below.size, below.files + 1)
        self._charge(before, Amount(-amount.size, -amount.files))
        self._charge(after, amount)

    def _charge(self, directory: int | None, more: Amount) -> None:
        for root in self._roots(directory):
            used = self.used[root]
            self.used[root] = Amount(used.size + more.size, used.files + more.files)

    def _roots(self, directory: int | None) -> Iterator[int]:
        """Yield every directory with a quota at `directory` and above."""
        while directory is not None:
            if directory in self.limits:
                yield directory
            parent = self._parents.get(directory, directory)
            directory = None if parent == directory else parent

    def _below(self, directory: int, at_most: int | None) -> Amount:
        """Count what has its home below `directory`; raise EXDEV if that is more than `at_most` inodes."""
        size = files = 0
        directories = [directory]
        while directories:
            at = directories.pop()
            for ino in set(self._directories[at].values()):
                if ino in self._directories:
                    directories.append(ino)
                elif self._holders.home(ino) != at:
                    continue
                size += self._inodes.body_bytes(ino)
                files += 1
            if at_most is not None and files > at_most:
                raise FileSystemError(EXDEV)
        return Amount(size, files)


def _own(inode: Inode) -> Amount:
    return Amount(inode.size if inode.is_regular else 0, 1)
