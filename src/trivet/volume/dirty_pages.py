"""Dirty data: bytes that were written but stand in no record or blob yet, per inode and MiB.

Rule: every byte held is in the account, with what holding a part costs, so that memory is bounded.
"""

from collections.abc import Iterator

from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES
from trivet.volume.dirty_chunk import Chunk


class DirtyFile:
    """The dirty data of one inode.

    `chunks` take new writes; `flushing` are on their way to the banks, under `chunks`; `stored_size` is the
    size the inode's record may tell until they are there.
    """

    __slots__ = ("chunks", "cost_bytes", "flushing", "stored_size")

    def __init__(self, stored_size: int) -> None:
        self.chunks: dict[int, Chunk] = {}
        self.flushing: dict[int, Chunk] = {}
        self.stored_size = stored_size
        self.cost_bytes = 0

    def slices(self, mib: int, start: int, end: int) -> list[tuple[int, bytes]]:
        """Return (offset from `start`, bytes) of what is dirty in [`start`, `end`), oldest first."""
        found = []
        for chunks in (self.flushing, self.chunks):
            chunk = chunks.get(mib)
            if chunk is not None:
                found += chunk.slices(start, end)
        return found

    def covers(self, mib: int, start: int, end: int) -> bool:
        """Tell whether new writes alone hold every byte of [`start`, `end`) of a MiB."""
        chunk = self.chunks.get(mib)
        return chunk is not None and chunk.covers(start, end)

    def only_page(self, size: int) -> bytes | None:
        """Return the body if the file is one page of `size` bytes, written whole; most files are."""
        chunk = self.chunks.get(0)
        if size <= PAGE_BYTES and chunk is not None and len(chunk.parts) == 1 == len(self.chunks):
            part = chunk.parts[0]
            if len(part) == size and not chunk.starts[0]:
                return bytes(part)
        return None


class DirtyPages:
    """All dirty data of the volume, with its account `cost_bytes`."""

    __slots__ = ("_files", "cost_bytes")

    def __init__(self) -> None:
        self._files: dict[int, DirtyFile] = {}
        self.cost_bytes = 0

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[int]:
        return iter(self._files)

    def get(self, ino: int) -> DirtyFile | None:
        """Return the dirty data of an inode, None if it is clean."""
        return self._files.get(ino)

    def older_than(self, then: float) -> list[int]:
        """Return the inodes with data written before `then` that is not on its way."""
        return [
            ino
            for ino, file in self._files.items()
            if any(chunk.since < then for chunk in file.chunks.values())
        ]

    def write(self, ino: int, offset: int, data: bytes, size: int, now: float) -> int:
        """Take in `data` at `offset` of a file that is `size` bytes long before it; return what the inode's
        dirty data costs now.
        """
        file = self._files.get(ino)
        if file is None:
            file = self._files[ino] = DirtyFile(size)
        grown = 0
        mib, start = divmod(offset, MIB_BYTES)
        if start + len(data) <= MIB_BYTES:
            grown = _chunk_of(file, mib, now).write(start, data)
        else:
            at = 0
            while at < len(data):
                take = min(len(data) - at, MIB_BYTES - start)
                grown += _chunk_of(file, mib, now).write(start, data[at : at + take])
                at += take
                mib += 1
                start = 0
        file.cost_bytes += grown
        self.cost_bytes += grown
        return file.cost_bytes

    def cut(self, ino: int, size: int) -> None:
        """Drop what is dirty from `size` on; nothing of the inode may be on its way."""
        file = self._files.get(ino)
        if file is None:
            return
        assert not file.flushing
        freed = 0
        last = size // MIB_BYTES
        for mib in [mib for mib in file.chunks if mib >= last]:
            chunk = file.chunks[mib]
            freed += chunk.cut(size - mib * MIB_BYTES)
            if not chunk.starts:
                del file.chunks[mib]
        file.stored_size = min(file.stored_size, size)
        self._shrink(ino, file, freed)

    def detach(self, ino: int, mibs: list[int]) -> dict[int, Chunk]:
        """Send the chunks `mibs` on their way; reads still see them. They stay in the account."""
        file = self._files[ino]
        assert not file.flushing
        file.flushing = {mib: file.chunks.pop(mib) for mib in mibs}
        return file.flushing

    def arrived(self, ino: int, stored_size: int) -> int:
        """Drop what was on its way: it is stored; return what it cost, which leaves the account."""
        file = self._files[ino]
        cost = sum(chunk.cost_bytes for chunk in file.flushing.values())
        file.flushing = {}
        file.stored_size = stored_size
        self._shrink(ino, file, cost)
        return cost

    def reattach(self, ino: int) -> None:
        """Take back what could not be stored, under what was written since."""
        file = self._files.get(ino)
        if file is None:
            return
        for mib, older in file.flushing.items():
            newer = file.chunks.get(mib)
            file.chunks[mib] = older
            if newer is not None:
                grown = -newer.cost_bytes
                for start, part in zip(newer.starts, newer.parts, strict=True):
                    grown += older.write(start, bytes(part))
                file.cost_bytes += grown
                self.cost_bytes += grown
        file.flushing = {}

    def drop(self, ino: int) -> None:
        """Forget all dirty data of an inode: it is stored, or the inode is going away."""
        file = self._files.pop(ino, None)
        if file is not None:
            self.cost_bytes -= file.cost_bytes

    def _shrink(self, ino: int, file: DirtyFile, freed: int) -> None:
        file.cost_bytes -= freed
        self.cost_bytes -= freed
        if not file.chunks and not file.flushing:
            del self._files[ino]


def _chunk_of(file: DirtyFile, mib: int, now: float) -> Chunk:
    chunk = file.chunks.get(mib)
    if chunk is None:
        chunk = file.chunks[mib] = Chunk(now)
    return chunk
