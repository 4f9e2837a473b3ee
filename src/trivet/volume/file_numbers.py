"""By which numbers a kernel knows inodes: a number goes with the content, also when that is exchanged.

A kernel keeps pages, sizes and open files by number. When a door exchanges the content of two inodes, each
content keeps its number, as if the names had been renamed: who has a file open goes on with what it opened,
and no cached page is ever of another version.

Rule: a number is of one content for as long as this process lives; numbers of ended contents are stale.
Rule: soon after an exchange a number is good for opening only if a name was said to lead there since: what a
kernel remembers of names may be older, and it asks again when it is told ESTALE.
"""

from errno import ESTALE

from trivet.errors import FileSystemError

#: How long after it looked a name up a kernel may open what it found, seconds.
OPENED_LATE_S = 1.0


class FileNumbers:
    """The numbers of inodes; most are the inode's own, only exchanged ones are held here."""

    __slots__ = ("_inodes", "_numbers", "_untold")

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._inodes: dict[int, int] = {}
        self._untold: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, ino: int) -> int:
        """Return the number of what the inode holds now."""
        return self._numbers.get(ino, ino)

    def tell(self, ino: int) -> int:
        """Return the number of what the inode holds now, for an answer to who asked for a name."""
        number = self._numbers.get(ino, ino)
        self._untold.pop(number, None)
        return number

    def inode(self, number: int) -> int:
        """Return the inode that holds what has this number; raise ESTALE if none does any more."""
        found = self._inodes.get(number)
        if found is not None:
            return found
        if number in self._numbers:
            raise FileSystemError(ESTALE)
        return number

    def inode_to_open(self, number: int, now_ns: int) -> int:
        """Return the inode that holds what has this number; raise ESTALE if no name leads there any more."""
        since_ns = self._untold.get(number)
        if since_ns is not None and now_ns - since_ns > OPENED_LATE_S * 10**9:
            raise FileSystemError(ESTALE)
        return self.inode(number)

    def exchange(self, ino: int, other: int, now_ns: int) -> None:
        """Note that two inodes change their content now (Unix time)."""
        for inode, number in ((ino, self.of(other)), (other, self.of(ino))):
            self._numbers[inode] = number
            self._inodes[number] = inode
            self._untold[number] = now_ns

    def forget(self, ino: int) -> None:
        """Note that the inode is gone, and its content with it."""
        number = self._numbers.pop(ino, None)
        if number is not None:
            del self._inodes[number]
            self._untold.pop(number, None)
