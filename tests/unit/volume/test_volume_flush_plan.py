"""Flush plans: what becomes page records and what blobs."""

import pytest

from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES
from trivet.volume.dirty_chunk import Chunk
from trivet.volume.flush_plan import PagePart, laid_over, plan_flush


def dirty(*pages: int, size: int = PAGE_BYTES) -> Chunk:
    """Return a chunk with `size` bytes written at the start of each page."""
    chunk = Chunk(0.0)
    for page in pages:
        chunk.write(page * PAGE_BYTES, b"x" * size)
    return chunk


@pytest.mark.parametrize(
    ("chunks", "pages", "blobs"),
    [
        ({0: dirty(*range(16))}, 16, []),
        ({0: dirty(*range(17))}, 0, [0]),
        ({0: dirty(*range(0, 32, 2)), 5: dirty(0)}, 1, [0]),
        ({mib: dirty(0, 100) for mib in range(50)}, 100, []),
        ({0: dirty(*range(9)), 1: dirty(*range(8)), 2: dirty(1)}, 9, [0]),
    ],
)
def test_little_becomes_pages_and_much_becomes_blobs(
    chunks: dict[int, Chunk], pages: int, blobs: list[int]
) -> None:
    plan = plan_flush(60 * MIB_BYTES, chunks)
    assert (len(plan.pages), list(plan.blobs)) == (pages, blobs)


def test_a_part_ends_where_the_file_ends() -> None:
    plan = plan_flush(MIB_BYTES + 5000, {1: dirty(0, 1, size=100)})
    assert plan.pages == [PagePart(1, 256, 0, 4096), PagePart(1, 257, 4096, 5000)]


def test_dirty_bytes_lie_over_stored_ones_and_zeros() -> None:
    chunk = Chunk(0.0)
    chunk.write(2, b"new")
    assert laid_over(b"stored", chunk, 0, 10) == b"stnewd" + bytes(4)
    assert laid_over(b"stored and more", chunk, 0, 6) == b"stnewd"
