"""Flushing: turning the dirty data of one inode into page records or blobs.

Rule: page records that nothing must be read for are noted at once; whatever else is on its way for a while.
Rule: what is on its way is alone with its inode (`alone`): no second flush, no truncation; writes go on.
Rule: memory changes when the data is stored, in one step with the change set that says so; if storing fails
the data is dirty again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from trivet.keeper.blob_writing import BlobWriter, StoredRuns
from trivet.keeper.page_cache import PageCache
from trivet.keeper.read_path import ReadPath
from trivet.keeper.submitting import Submitter
from trivet.volume.attributes import MIB_BYTES, PAGES_PER_MIB, Inode
from trivet.volume.dirty_chunk import Chunk
from trivet.volume.dirty_pages import DirtyFile
from trivet.volume.flush_plan import PagePart, laid_over, plan_flush
from trivet.volume.namespace import Namespace
from trivet.wire.records import page_key

CHUNKS_AT_ONCE = 128
PACK_FROM_PAGES = 64
PAGES_AT_ONCE = 64
READS_AT_ONCE = 32


class Flusher:
    """Stores dirty data; `unacked_bytes` is what was handed over and not yet acknowledged, `scattered`
    names the MiBs of inodes that have many page records, for packing.
    """

    def __init__(
        self, space: Namespace, submitter: Submitter, writer: BlobWriter, reads: ReadPath, cache: PageCache
    ) -> None:
        self._space = space
        self._submitter = submitter
        self._writer = writer
        self._reads = reads
        self._cache = cache
        self._busy: dict[int, asyncio.Event] = {}
        self.unacked_bytes = 0
        self.scattered: dict[int, set[int]] = {}

    def is_busy(self, ino: int) -> bool:
        """Tell whether a flush or truncation of the inode is under way."""
        return ino in self._busy

    @asynccontextmanager
    async def alone(self, ino: int) -> AsyncIterator[None]:
        """Wait for other flushes and truncations of the inode, then keep them off."""
        while (busy := self._busy.get(ino)) is not None:
            await busy.wait()
        event = self._busy[ino] = asyncio.Event()
        try:
            yield
        finally:
            del self._busy[ino]
            event.set()

    async def flush(self, ino: int) -> None:
        """Store what is dirty; small flushes are noted for whoever submits next, others return acked."""
        dirty = self._space.dirty.get(ino)
        if dirty is None or (ino not in self._busy and self._flush_now(ino, dirty)):
            return
        cost = 0
        try:
            async with self.alone(ino):
                dirty = self._space.dirty.get(ino)
                if dirty is None or self._flush_now(ino, dirty):
                    return
                todo = sorted(dirty.chunks)
                for at in range(0, len(todo), CHUNKS_AT_ONCE):
                    cost += await self._flush_chunks(ino, todo[at : at + CHUNKS_AT_ONCE])
            await self._submitter.committed()
        finally:
            self.unacked_bytes -= cost

    async def flush_full_chunks(self, ino: int) -> int:
        """Store the MiBs that are complete, if all that is not lies behind them; else everything.

        Return what it cost: `acked` it.
        """
        async with self.alone(ino):
            dirty = self._space.dirty.get(ino)
            if dirty is None:
                return 0
            full = sorted(mib for mib, chunk in dirty.chunks.items() if chunk.is_full)
            rest = dirty.chunks.keys() - full
            if not full or (rest and min(rest) < max(full)):
                full = sorted(dirty.chunks)
            return await self._flush_chunks(ino, full[:CHUNKS_AT_ONCE])

    async def acked(self, cost: int) -> None:
        """Wait until what a flush handed over is acknowledged; it leaves the account."""
        try:
            await self._submitter.committed()
        finally:
            self.unacked_bytes -= cost

    def _flush_now(self, ino: int, dirty: DirtyFile) -> bool:
        """Note small dirty data as page records; return False, having done nothing, if that can't be."""
        inode = self._space.inode(ino)
        body = dirty.only_page(inode.size)
        if body is not None:
            self._space.dirty.drop(ino)
            self._note_pages(inode, ((0, body),))
            return True
        plan = plan_flush(inode.size, dirty.chunks)
        if plan.blobs or len(plan.pages) > PAGES_AT_ONCE:
            return False
        bodies = []
        for mib, page, start, end in plan.pages:
            chunk = dirty.chunks[mib]
            body = chunk.whole(start, end)
            if body is None:
                base = self._reads.stored_page_now(inode, page)
                if base is None:
                    return False
                body = laid_over(base, chunk, start, end)
            bodies.append((page, body))
        self._space.dirty.drop(ino)
        self._note_pages(inode, bodies)
        return True

    async def _flush_chunks(self, ino: int, mibs: Sequence[int]) -> int:
        """Store and submit the chunks `mibs`; return what they cost, which is unacked from here on.

        None of the other chunks may lie before any of `mibs`, or a crash would show a hole there.
        """
        space = self._space
        dirty = space.dirty.get(ino)
        mibs = [mib for mib in mibs if dirty is not None and mib in dirty.chunks]
        if dirty is None or not mibs:
            return 0
        size = stored_size = space.inode(ino).size
        if len(mibs) < len(dirty.chunks):
            stored_size = max(dirty.stored_size, min(size, (mibs[-1] + 1) * MIB_BYTES))
        chunks = space.dirty.detach(ino, mibs)
        plan = plan_flush(size, chunks)
        done = False
        try:
            bodies = await self._page_bodies(ino, chunks, plan.pages)
            blobs = await self._writer.put(ino, size, plan.blobs)
            done = True
        finally:
            if not done:
                space.dirty.reattach(ino)
        if space.dirty.get(ino) is not dirty:
            self._writer.free(blobs)
            return 0
        inode = space.inode(ino)
        self.note_blobs(inode, blobs)
        cost = space.dirty.arrived(ino, stored_size)
        self._note_pages(inode, bodies)
        self._submitter.submit()
        self.unacked_bytes += cost
        return cost

    def note_blobs(self, inode: Inode, blobs: Sequence[StoredRuns]) -> None:
        """Let the file's pages stand in blobs."""
        for mib, runs, blob in blobs:
            self._space.layout.put_blob(inode, mib, runs, blob, self._space.changes)
            self._reads.ahead.drop(inode.ino, mib)
        self._space.touch(inode.ino)

    def _note_pages(self, inode: Inode, bodies: Sequence[tuple[int, bytes]]) -> None:
        space = self._space
        records = space.changes.records
        ino = inode.ino
        for page, body in bodies:
            key = page_key(ino, page)
            records[key] = body
            self._cache.write(key, body)
            self._reads.ahead.drop(ino, page // PAGES_PER_MIB)
            if space.layout.add_page(inode, page) >= PACK_FROM_PAGES:
                self.scattered.setdefault(ino, set()).add(page // PAGES_PER_MIB)
        space.touch(ino)

    async def _page_bodies(
        self, ino: int, chunks: Mapping[int, Chunk], parts: Sequence[PagePart]
    ) -> list[tuple[int, bytes]]:
        async def body_of(part: PagePart) -> tuple[int, bytes]:
            mib, page, start, end = part
            base = await self._reads.stored(ino, mib, start, end)
            return page, laid_over(base, chunks[mib], start, end)

        whole = [(part.page, chunks[part.mib].whole(part.start, part.end)) for part in parts]
        bodies = [(page, body) for page, body in whole if body is not None]
        mixed = [part for part, (_page, body) in zip(parts, whole, strict=True) if body is None]
        for at in range(0, len(mixed), READS_AT_ONCE):
            bodies += await asyncio.gather(*map(body_of, mixed[at : at + READS_AT_ONCE]))
        return bodies
