"""Open files: handles, and what keeps an unlinked inode alive.

Rule: an inode without a name lives as long as a handle names it or somebody holds it without one; who lets
go of the last one purges it.
Rule: a handle goes with the content it was opened on, also when that comes to another inode.
"""

from errno import EBADF

from trivet.errors import FileSystemError
from trivet.volume.stored_body import StoredBody


class OpenFile:
    """One handle; `next_offset` and `sequential_reads` tell a reader that reads on from a random one.

    `snapshot` is the version it is held to, None for the file as it changes.
    """

    __slots__ = ("ino", "next_offset", "sequential_reads", "snapshot", "sync", "writing")

    def __init__(self, ino: int, writing: bool, sync: bool) -> None:
        self.ino = ino
        self.writing = writing
        self.sync = sync
        self.next_offset = 0
        self.sequential_reads = 0
        self.snapshot: StoredBody | None = None


class OpenFiles:
    """All handles of a volume."""

    __slots__ = ("_counts", "_files", "_next")

    def __init__(self) -> None:
        self._files: dict[int, OpenFile] = {}
        self._counts: dict[int, int] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._files)

    def open(self, ino: int, *, writing: bool, sync: bool) -> int:
        """Return a new handle."""
        handle = self._next
        self._next = handle + 1
        self._files[handle] = OpenFile(ino, writing, sync)
        self.hold(ino)
        return handle

    def hold(self, ino: int) -> None:
        """Count one more who has the inode, with a handle or without."""
        self._counts[ino] = self._counts.get(ino, 0) + 1

    def let_go(self, ino: int) -> bool:
        """Count one less; return whether nobody has the inode any more."""
        count = self._counts[ino] - 1
        if count:
            self._counts[ino] = count
            return False
        del self._counts[ino]
        return True

    def get(self, handle: int) -> OpenFile:
        """Return what `handle` names, or raise EBADF."""
        file = self._files.get(handle)
        if file is None:
            raise FileSystemError(EBADF)
        return file

    def release(self, handle: int) -> tuple[int, bool]:
        """Let go of `handle`; return (inode number, whether nobody has that any more)."""
        ino = self.get(handle).ino
        del self._files[handle]
        return ino, self.let_go(ino)

    def exchange(self, ino: int, other: int) -> None:
        """Let the handles of two inodes go with their content, which changes places."""
        counts = self._counts
        if ino not in counts and other not in counts:
            return
        places = {ino: other, other: ino}
        for file in self._files.values():
            file.ino = places.get(file.ino, file.ino)
        held = {new: counts.pop(old) for old, new in places.items() if old in counts}
        counts.update(held)

    def is_written(self, ino: int) -> bool:
        """Tell whether any handle may write to the inode."""
        return self.is_open(ino) and any(file.writing and file.ino == ino for file in self._files.values())

    def is_open(self, ino: int) -> bool:
        """Tell whether anybody has the inode."""
        return ino in self._counts
