"""Flushing: turning the dirty data of one inode into page records or blobs.

Rule: up to 64 KiB go as page records, at once if nothing must be read for it; more goes as one blob a MiB.
Rule: what is on its way is alone with its inode (`alone`): no second flush, no truncation; writes go on.
Rule: memory changes when the data is stored, in one step with the change set that says so; if storing fails
the data is dirty again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from trivet.keeper.page_cache import PageCache
from trivet.keeper.read_path import ReadPath
from trivet.keeper.stores import BlobPort
from trivet.keeper.submitting import Submitter
from trivet.volume.attributes import MASKED_PAGES, MIB_BYTES, PAGE_BYTES, PAGES_PER_MIB, Inode
from trivet.volume.dirty_chunk import Chunk
from trivet.volume.dirty_pages import DirtyFile
from trivet.volume.extents import MAX_PIECES, overlay
from trivet.volume.namespace import Namespace
from trivet.wire.blobs import BlobRef
from trivet.wire.records import page_key

_PUTS_AT_ONCE = 8
_NO_BLOB = BlobRef(0, 0, b"")


class _PagePart(NamedTuple):
    """The bytes [`start`, `end`) of MiB `mib`, which are all of the file's page `page`."""

    mib: int
    page: int
    start: int
    end: int


class _Stored(NamedTuple):
    """The runs of pages of MiB `mib` that now stand in `blob`."""

    mib: int
    runs: Sequence[tuple[int, int]]
    blob: BlobRef


class Flusher:
    """Stores dirty data; `unacked_bytes` is what was handed over and not yet acknowledged."""

    def __init__(
        self, space: Namespace, submitter: Submitter, blobs: BlobPort, reads: ReadPath, cache: PageCache
    ) -> None:
        self._space = space
        self._submitter = submitter
        self._blobs = blobs
        self._reads = reads
        self._cache = cache
        self._busy: dict[int, asyncio.Event] = {}
        self._puts = asyncio.Semaphore(_PUTS_AT_ONCE)
        self.unacked_bytes = 0

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
        async with self.alone(ino):
            dirty = self._space.dirty.get(ino)
            if dirty is None or self._flush_now(ino, dirty):
                return
            cost = await self._flush_chunks(ino, dirty, list(dirty.chunks))
        await self._acked(cost)

    async def flush_full_chunks(self, ino: int) -> None:
        """Store the MiBs that are complete, if all that is not lies behind them; else everything."""
        async with self.alone(ino):
            dirty = self._space.dirty.get(ino)
            if dirty is None:
                return
            full = [mib for mib, chunk in dirty.chunks.items() if chunk.is_full]
            rest = dirty.chunks.keys() - full
            if not full or (rest and min(rest) < max(full)):
                full = list(dirty.chunks)
            cost = await self._flush_chunks(ino, dirty, full)
        await self._acked(cost)

    def _flush_now(self, ino: int, dirty: DirtyFile) -> bool:
        """Note small dirty data as page records; return False, having done nothing, if that can't be."""
        inode = self._space.inode(ino)
        plan = _page_plan(inode.size, dirty.chunks)
        if plan is None:
            return False
        bodies = []
        for mib, page, start, end in plan:
            chunk = dirty.chunks[mib]
            body = chunk.whole(start, end)
            if body is None:
                base = self._reads.stored_page_now(inode, page)
                if base is None:
                    return False
                body = _mixed(base, chunk, start, end)
            bodies.append((page, body))
        self._space.dirty.detach(ino, list(dirty.chunks))
        self._space.dirty.arrived(ino, inode.size)
        self._note_pages(inode, bodies)
        return True

    async def _flush_chunks(self, ino: int, dirty: DirtyFile, mibs: list[int]) -> int:
        """Store and submit the chunks `mibs`; return what they cost, which is unacked from here on."""
        space = self._space
        size = space.inode(ino).size
        stored_size = size
        if len(mibs) < len(dirty.chunks):
            stored_size = max(dirty.stored_size, min(size, (max(mibs) + 1) * MIB_BYTES))
        chunks = space.dirty.detach(ino, mibs)
        plan = _page_plan(size, chunks)
        blobs: list[_Stored] = []
        bodies: list[tuple[int, bytes]] = []
        done = False
        try:
            if plan is None:
                blobs = await self._put_chunks(ino, chunks, size)
            else:
                bodies = [(part.page, await self._page_body(ino, chunks, part)) for part in plan]
            done = True
        finally:
            if not done:
                space.dirty.reattach(ino)
        inode = space.inodes.get(ino)
        if inode is None:
            space.changes.freed += [stored.blob.name for stored in blobs]
            return 0
        for mib, runs, blob in blobs:
            space.layout.put_blob(inode, mib, runs, blob, space.changes)
            self._reads.ahead.drop(ino, mib)
        cost = space.dirty.arrived(ino, stored_size)
        self._note_pages(inode, bodies)
        self._submitter.submit()
        self.unacked_bytes += cost
        return cost

    async def _acked(self, cost: int) -> None:
        try:
            await self._submitter.committed()
        finally:
            self.unacked_bytes -= cost

    def _note_pages(self, inode: Inode, bodies: Sequence[tuple[int, bytes]]) -> None:
        space = self._space
        records = space.changes.records
        ino = inode.ino
        for page, body in bodies:
            key = page_key(ino, page)
            records[key] = body
            space.layout.add_page(inode, page)
            self._cache.write(key, body)
            self._reads.ahead.drop(ino, page // PAGES_PER_MIB)
        space.touch(ino)

    async def _page_body(self, ino: int, chunks: Mapping[int, Chunk], part: _PagePart) -> bytes:
        mib, _page, start, end = part
        body = chunks[mib].whole(start, end)
        if body is None:
            body = _mixed(await self._reads.stored(ino, mib, start, end), chunks[mib], start, end)
        return body

    async def _put_chunks(self, ino: int, chunks: Mapping[int, Chunk], size: int) -> list[_Stored]:
        puts = (self._put_chunk(ino, mib, chunk, size) for mib, chunk in chunks.items())
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        stored = [outcome for outcome in outcomes if isinstance(outcome, _Stored)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                self._space.changes.freed += [one.blob.name for one in stored]
                raise outcome
        return stored

    async def _put_chunk(self, ino: int, mib: int, chunk: Chunk, size: int) -> _Stored:
        limit = min(size - mib * MIB_BYTES, MIB_BYTES)
        async with self._puts:
            runs = chunk.page_runs(limit)
            pieces, _freed = overlay(self._space.layout.pieces(ino, mib), runs, _NO_BLOB)
            if len(pieces) > MAX_PIECES:
                runs = [(0, -(-limit // PAGE_BYTES))]
            texts = [await self._run_text(ino, mib, chunk, run, limit) for run in runs]
            text = texts[0] if len(texts) == 1 else b"".join(texts)
            blob = await self._blobs.put(self._blobs.new_name(), text)
        return _Stored(mib, runs, blob)

    async def _run_text(self, ino: int, mib: int, chunk: Chunk, run: tuple[int, int], limit: int) -> bytes:
        start = run[0] * PAGE_BYTES
        end = min(run[1] * PAGE_BYTES, limit)
        text = chunk.whole(start, end)
        if text is not None:
            return text
        mixed = bytearray(end - start)
        for page_start in range(start, end, PAGE_BYTES):
            page_end = min(page_start + PAGE_BYTES, end)
            if not chunk.covers(page_start, page_end):
                mixed[page_start - start : page_end - start] = await self._reads.stored(
                    ino, mib, page_start, page_end
                )
        for at, part in chunk.slices(start, end):
            mixed[at : at + len(part)] = part
        return bytes(mixed)


def _page_plan(size: int, chunks: Mapping[int, Chunk]) -> list[_PagePart] | None:
    """Return the page parts to store, None if there are more than page records are for."""
    plan: list[_PagePart] = []
    for mib, chunk in chunks.items():
        limit = min(size - mib * MIB_BYTES, MIB_BYTES)
        for first, end in chunk.page_runs(limit):
            if len(plan) + end - first > MASKED_PAGES:
                return None
            for page in range(first, end):
                start = page * PAGE_BYTES
                stop = min(start + PAGE_BYTES, limit)
                plan.append(_PagePart(mib, mib * PAGES_PER_MIB + page, start, stop))
    return plan


def _mixed(base: bytes, chunk: Chunk, start: int, end: int) -> bytes:
    mixed = bytearray(base[: end - start].ljust(end - start, b"\0"))
    for at, part in chunk.slices(start, end):
        mixed[at : at + len(part)] = part
    return bytes(mixed)
