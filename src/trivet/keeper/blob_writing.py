"""Writing blobs: the pages of one MiB that are to leave memory, packed one behind another.

Rule: pages that are dirty in full are handed on as they are; the rest of a page is read from what is stored.
Rule: a MiB that would end up in too many pieces is written whole.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trivet.keeper.read_path import ReadPath
from trivet.keeper.stores import BlobPort
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES
from trivet.volume.dirty_chunk import Chunk
from trivet.volume.extents import MAX_PIECES, overlay
from trivet.volume.namespace import Namespace
from trivet.wire.blobs import BlobRef

_PUTS_AT_ONCE = 8
_NO_BLOB = BlobRef(0, 0, b"")
Runs = Sequence[tuple[int, int]]


class StoredRuns(NamedTuple):
    """The runs of pages [first, end) of MiB `mib` that now stand in `blob`, one behind another."""

    mib: int
    runs: Runs
    blob: BlobRef


class BlobWriter:
    """Puts pages into blobs; the inode must be held alone, so that what is stored stays what it is."""

    def __init__(self, space: Namespace, blobs: BlobPort, reads: ReadPath) -> None:
        self._space = space
        self._blobs = blobs
        self._reads = reads
        self._puts = asyncio.Semaphore(_PUTS_AT_ONCE)

    async def put(self, ino: int, size: int, parts: Mapping[int, tuple[Chunk, Runs]]) -> list[StoredRuns]:
        """Store the runs of each MiB of a file of `size` bytes, in parallel; if one fails, all are freed."""
        names: list[int] = []
        puts = (self._put_mib(ino, mib, size, part, names) for mib, part in parts.items())
        stored: list[StoredRuns] = []
        try:
            outcomes = await asyncio.gather(*puts, return_exceptions=True)
            stored = [outcome for outcome in outcomes if isinstance(outcome, StoredRuns)]
        finally:
            if len(stored) < len(parts):
                self._space.changes.freed += names
        failure = next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None)
        if failure is not None:
            outcomes.clear()
            try:
                raise failure
            finally:
                del failure  # or the traceback holds itself and the data: nothing collects cycles here
        return stored

    def free(self, stored: Sequence[StoredRuns]) -> None:
        """Give up blobs that no record will name."""
        self._space.changes.freed += [one.blob.name for one in stored]

    async def _put_mib(
        self, ino: int, mib: int, size: int, part: tuple[Chunk, Runs], names: list[int]
    ) -> StoredRuns:
        chunk, runs = part
        limit = min(size - mib * MIB_BYTES, MIB_BYTES)
        async with self._puts:
            pieces, _freed = overlay(self._space.layout.pieces(ino, mib), runs, _NO_BLOB)
            if len(pieces) > MAX_PIECES:
                runs = [(0, -(-limit // PAGE_BYTES))]
            texts = [await self._run_text(ino, mib, limit, chunk, run) for run in runs]
            text = texts[0] if len(texts) == 1 else b"".join(texts)
            name = self._blobs.new_name()
            names.append(name)
            blob = await self._blobs.put(name, text)
        return StoredRuns(mib, runs, blob)

    async def _run_text(self, ino: int, mib: int, limit: int, chunk: Chunk, run: tuple[int, int]) -> bytes:
        start = run[0] * PAGE_BYTES
        end = min(run[1] * PAGE_BYTES, limit)
        text = chunk.whole(start, end)
        if text is not None:
            return text
        mixed = bytearray(end - start)
        for low, high in _gaps(chunk, start, end):
            mixed[low - start : high - start] = await self._reads.stored(ino, mib, low, high)
        for at, part in chunk.slices(start, end):
            mixed[at : at + len(part)] = part
        return bytes(mixed)


def _gaps(chunk: Chunk, start: int, end: int) -> list[tuple[int, int]]:
    """Return the runs of whole pages (the last cut at `end`) that are not dirty in full."""
    gaps: list[tuple[int, int]] = []
    for low in range(start, end, PAGE_BYTES):
        high = min(low + PAGE_BYTES, end)
        if not chunk.covers(low, high):
            if gaps and gaps[-1][1] == low:
                low = gaps.pop()[0]
            gaps.append((low, high))
    return gaps
