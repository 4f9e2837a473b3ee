"""What a flush makes of dirty data: page records for little, one blob a MiB for much.

Rule: up to 64 KiB of an inode become page records; of more, a MiB with few dirty pages still does, because a
blob and a rewritten extents record cost more than the pages; packing gathers them later.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trivet.volume.attributes import MASKED_PAGES, MIB_BYTES, PAGE_BYTES, PAGES_PER_MIB
from trivet.volume.dirty_chunk import Chunk

SCATTERED_PAGES = 8


class PagePart(NamedTuple):
    """The bytes [`start`, `end`) of MiB `mib`, which are all of the file's page `page`."""

    mib: int
    page: int
    start: int
    end: int


class FlushPlan(NamedTuple):
    """What becomes page records, and of which MiBs which runs of pages [first, end) become a blob."""

    pages: list[PagePart]
    blobs: dict[int, tuple[Chunk, Sequence[tuple[int, int]]]]


def plan_flush(size: int, chunks: Mapping[int, Chunk]) -> FlushPlan:
    """Decide for a file of `size` bytes what its dirty `chunks` (by MiB) become."""
    runs = {mib: chunk.page_runs(size - mib * MIB_BYTES) for mib, chunk in chunks.items()}
    counts = {mib: sum(end - first for first, end in found) for mib, found in runs.items()}
    few = SCATTERED_PAGES if sum(counts.values()) > MASKED_PAGES else MASKED_PAGES
    pages = [
        PagePart(
            mib,
            mib * PAGES_PER_MIB + page,
            page * PAGE_BYTES,
            min((page + 1) * PAGE_BYTES, size - mib * MIB_BYTES),
        )
        for mib, found in runs.items()
        if counts[mib] <= few
        for first, end in found
        for page in range(first, end)
    ]
    return FlushPlan(pages, {mib: (chunks[mib], runs[mib]) for mib in runs if counts[mib] > few})


def laid_over(stored: bytes, chunk: Chunk, start: int, end: int) -> bytes:
    """Return the bytes [`start`, `end`) of a MiB: `stored` (zeros behind its end) under what is dirty."""
    mixed = bytearray(stored[: end - start].ljust(end - start, b"\0"))
    for at, part in chunk.slices(start, end):
        mixed[at : at + len(part)] = part
    return bytes(mixed)
