"""Dirty data: what was written last is what is read, the account never drifts."""

import random

from hypothesis import given
from hypothesis import strategies as st

from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES
from trivet.volume.dirty_chunk import Chunk
from trivet.volume.dirty_pages import DirtyPages

WRITES = st.lists(
    st.tuples(st.integers(0, 60_000), st.sampled_from([1, 7, 4096, 5000, 20_000])), min_size=1, max_size=25
)


@given(WRITES, st.integers(0, 80_000), st.integers(0, 80_000))
def test_a_chunk_holds_what_was_written_last(writes: list[tuple[int, int]], a: int, b: int) -> None:
    chunk = Chunk(0.0)
    model: dict[int, int] = {}
    cost = 0
    for number, (start, size) in enumerate(writes):
        cost += chunk.write(start, bytes([number]) * size)
        model |= dict.fromkeys(range(start, start + size), number)
    assert cost == chunk.cost_bytes
    start, end = min(a, b), max(a, b)
    told = {start + at + i: byte for at, part in chunk.slices(start, end) for i, byte in enumerate(part)}
    assert told == {at: byte for at, byte in model.items() if start <= at < end}
    assert chunk.covers(start, end) == all(at in model for at in range(start, end))
    whole = chunk.whole(start, end) if start < end else b""
    assert (whole is not None) == chunk.covers(start, end)
    pages = {page for first, last in chunk.page_runs(MIB_BYTES) for page in range(first, last)}
    assert pages == {at // PAGE_BYTES for at in model}
    before = chunk.cost_bytes
    assert before - chunk.cut(start) == chunk.cost_bytes
    assert chunk.end == max((at + 1 for at in model if at < start), default=0)


def test_a_whole_mib_is_never_copied() -> None:
    dirty = DirtyPages()
    data = random.Random(1).randbytes(MIB_BYTES)
    dirty.write(7, 3 * MIB_BYTES, data, 0, 0.0)
    file = dirty.get(7)
    assert file is not None
    assert file.chunks[3].is_full
    assert file.chunks[3].whole(0, MIB_BYTES) is data
    assert file.slices(3, 0, MIB_BYTES)[0][1] is data


def test_small_writes_that_follow_each_other_become_one_part() -> None:
    chunk = Chunk(0.0)
    for at in range(0, 8192, 64):
        chunk.write(at, bytes(64))
    assert len(chunk.parts) == 1


def test_what_could_not_be_stored_lies_under_what_was_written_since() -> None:
    dirty = DirtyPages()
    dirty.write(7, 0, b"aaaaaaaa", 0, 0.0)
    dirty.detach(7, [0])
    dirty.write(7, 2, b"bb", 8, 0.0)
    file = dirty.get(7)
    assert file is not None
    assert [part for _at, part in file.slices(0, 0, 8)] == [b"aaaaaaaa", b"bb"]
    dirty.reattach(7)
    assert file.chunks[0].whole(0, 8) == b"aabbaaaa"
    assert dirty.cost_bytes == file.cost_bytes == file.chunks[0].cost_bytes
    assert dirty.older_than(1.0) == [7]
    dirty.drop(7)
    assert dirty.cost_bytes == 0


def test_cutting_forgets_what_lies_behind_and_lowers_the_stored_size() -> None:
    dirty = DirtyPages()
    dirty.write(7, 0, b"x" * 5000, 100, 0.0)
    dirty.write(7, 2 * MIB_BYTES, b"y", 5000, 0.0)
    dirty.cut(7, 50)
    file = dirty.get(7)
    assert file is not None
    assert (list(file.chunks), file.chunks[0].end, file.stored_size) == ([0], 50, 50)
    dirty.cut(7, 0)
    assert dirty.get(7) is None
    assert dirty.cost_bytes == 0
