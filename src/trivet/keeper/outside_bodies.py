"""Bodies that clients move to and from the banks themselves: saying where bytes are, taking in what they put.

Rule: a plan tells what is stored after what was dirty is stored; its blobs outlive it by the grace time.
Rule: what was put is named by the file's records in one step, like a flush of the keeper's own.
"""

from collections.abc import Callable, Sequence
from errno import EFBIG, EINVAL

from trivet.errors import FileSystemError
from trivet.keeper.blob_writing import StoredRuns
from trivet.keeper.flushing import Flusher
from trivet.keeper.read_path import ReadPath
from trivet.keeper.submitting import Submitter
from trivet.keeper.write_path import WritePath
from trivet.volume.attributes import MAX_FILE_BYTES, MIB_BYTES, PAGE_BYTES, PAGES_PER_MIB
from trivet.volume.body_calls import BlobPart, ReadPlan
from trivet.volume.namespace import Namespace
from trivet.volume.open_files import OpenFile

_PAGES_AT_ONCE = 512


class OutsideBodies:
    """The part of the volume that serves clients with links to the banks of their own."""

    def __init__(
        self,
        space: Namespace,
        submitter: Submitter,
        flusher: Flusher,
        writes: WritePath,
        reads: ReadPath,
        clock_ns: Callable[[], int],
    ) -> None:
        self._space = space
        self._submitter = submitter
        self._flusher = flusher
        self._writes = writes
        self._reads = reads
        self._clock_ns = clock_ns

    async def plan(self, file: OpenFile, offset: int, size: int) -> ReadPlan:
        """Say where the bytes of the MiBs are that hold `size` bytes at `offset`, or of the first of them."""
        if file.snapshot is not None:
            mibs = _mibs(offset, min(offset + size, file.snapshot.size))
            return ReadPlan(mibs.stop, file.snapshot.part(mibs))
        ino = file.ino
        await self._writes.store(ino)
        async with self._flusher.alone(ino):
            if file.ino != ino:
                return await self.plan(file, offset, size)
            inode = self._space.inode(ino)
            mibs = _mibs(offset, min(offset + size, inode.size))
            first, end = mibs.start * PAGES_PER_MIB, mibs.stop * PAGES_PER_MIB
            pages = self._space.layout.pages_between(inode, first, end) if mibs else []
            if len(pages) > _PAGES_AT_ONCE:
                end_mib = max(pages[_PAGES_AT_ONCE] // PAGES_PER_MIB, mibs.start + 1)
                mibs = range(mibs.start, end_mib)
            return ReadPlan(mibs.stop, await self._reads.stored_body(ino, mibs))

    async def put(
        self, file: OpenFile, parts: Sequence[BlobPart], on_stored: Callable[[int, int], None]
    ) -> None:
        """Let the blobs of `parts` be what is written of a file; it grows to hold them.

        `on_stored(name, base)` is called for each bank that is said to have one, before the entry is made.
        """
        await self._submitter.writable()
        ends = {part.mib * MIB_BYTES + part.page * PAGE_BYTES + part.blob.size for part in parts}
        if max(ends) > MAX_FILE_BYTES:
            raise FileSystemError(EFBIG)
        ino = file.ino
        async with self._writes.still(ino):
            if file.ino != ino:
                await self.put(file, parts, on_stored)
                return
            inode = self._space.inode(ino)
            size = max(inode.size, *ends)
            if any(end % PAGE_BYTES and end != size for end in ends):
                raise FileSystemError(EINVAL, "a blob ends within a page, before the end of the file")
            if size > inode.size:
                self._space.quotas.grow(ino, size - inode.size)
            for part in parts:
                for base in part.bases:
                    on_stored(part.blob.name, base)
            inode.size = size
            inode.mtime_ns = inode.ctime_ns = self._clock_ns()
            self._flusher.note_blobs(inode, [_runs(part) for part in parts])
            self._submitter.submit()
        if file.sync or self._submitter.always_durable:
            await self._submitter.durable()

    def free(self, names: Sequence[int]) -> None:
        """Have blobs deleted that nothing names and nothing will."""
        self._space.changes.freed += names
        self._submitter.ride()


def _mibs(start: int, end: int) -> range:
    first = start // MIB_BYTES
    return range(first, max(first, -(-end // MIB_BYTES)))


def _runs(part: BlobPart) -> StoredRuns:
    pages = -(-part.blob.size // PAGE_BYTES)
    return StoredRuns(part.mib, [(part.page, part.page + pages)], part.blob)
