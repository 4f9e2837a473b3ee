"""Packing: moving the page records of large files, left by small flushes, into blobs.

Rule: only a MiB with many page records is packed, so that one that is written page by page costs a few blobs.
Rule: packing changes no byte and no attribute; whoever writes meanwhile writes on top.
"""

from collections.abc import Sequence

from trivet.keeper.blob_writing import BlobWriter
from trivet.keeper.flushing import PACK_FROM_PAGES, Flusher
from trivet.keeper.submitting import Submitter
from trivet.volume.attributes import PAGES_PER_MIB
from trivet.volume.dirty_chunk import Chunk
from trivet.volume.namespace import Namespace

WHOLE_PAGES_MAX = 256


class Packer:
    """Packs the MiBs that the flusher found scattered."""

    def __init__(self, space: Namespace, submitter: Submitter, flusher: Flusher, writer: BlobWriter) -> None:
        self._space = space
        self._submitter = submitter
        self._flusher = flusher
        self._writer = writer

    async def pack_scattered(self) -> None:
        """Pack what was scattered until now; what fails is tried again when more is scattered."""
        while self._flusher.scattered:
            ino, mibs = self._flusher.scattered.popitem()
            for mib in sorted(mibs):
                await self._pack(ino, mib, PACK_FROM_PAGES)

    async def pack_whole(self, ino: int) -> None:
        """Pack all page records of a body if they are many."""
        space = self._space
        pages = space.layout.pages(space.inode(ino))
        if len(pages) > WHOLE_PAGES_MAX:
            for mib in sorted({page // PAGES_PER_MIB for page in pages}):
                await self._pack(ino, mib, 1)

    async def _pack(self, ino: int, mib: int, from_pages: int) -> None:
        space = self._space
        async with self._flusher.alone(ino):
            inode = space.inodes.get(ino)
            if inode is None or inode.nlink == 0:
                return
            first = mib * PAGES_PER_MIB
            pages = space.layout.pages_between(inode, first, first + PAGES_PER_MIB)
            if len(pages) < from_pages:
                return
            runs = _runs_of([page - first for page in pages])
            blobs = await self._writer.put(ino, inode.size, {mib: (Chunk(0.0), runs)})
            inode = space.inodes.get(ino)
            if inode is None or inode.nlink == 0:
                self._writer.free(blobs)
                return
            self._flusher.note_blobs(inode, blobs)
            self._submitter.submit()
        await self._submitter.committed()


def _runs_of(pages: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs [first, end) that `pages`, in order, make."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and runs[-1][1] == page:
            runs[-1] = (runs[-1][0], page + 1)
        else:
            runs.append((page, page + 1))
    return runs
