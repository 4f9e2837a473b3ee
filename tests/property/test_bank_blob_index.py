"""The blob index against a plain dict, whatever is put and removed in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from trivet.bank.blob_header import BLOCK_BYTES, hashes_bytes, pack_header, read_header, stored_bytes
from trivet.bank.blob_index import BlobIndex, Place
from trivet.wire.blobs import MAX_BLOB_BYTES

NAMES = st.integers(1, 40) | st.integers(1, (1 << 53) - 1)
PLACES = st.builds(
    Place,
    st.integers(1, (1 << 24) - 1),
    st.integers(0, (1 << 14) - 1).map(lambda block: block * BLOCK_BYTES),
    st.integers(1, MAX_BLOB_BYTES),
)
STEPS = st.lists(st.tuples(NAMES, st.none() | PLACES), max_size=60)


@given(STEPS, NAMES, st.integers(1, 10))
def test_it_answers_as_a_dict_does(steps: list[tuple[int, Place | None]], after: int, limit: int) -> None:
    index, model = BlobIndex(), dict[int, Place]()
    for name, place in steps:
        if place is None:
            assert index.remove(name) == model.pop(name, None)
        else:
            assert index.put(name, place) == model.get(name)
            model[name] = place
    assert len(index) == len(model)
    assert all(index.get(name) == model.get(name) for name, _ in steps)
    behind = sorted((name, place) for name, place in model.items() if name > after)
    assert index.after(after, limit) == (behind[:limit], len(behind) > limit)
    for segment in {place.segment for place in model.values()}:
        assert dict(index.in_segment(segment)) == {n: p for n, p in model.items() if p.segment == segment}


def test_many_deletions_leave_no_trace() -> None:
    index = BlobIndex()
    for name in range(1, 20_001):
        index.put(name, Place(1, 0, 1))
    for name in range(1, 20_000):
        index.remove(name)
    assert len(index) == 1
    assert index.after(0, 10) == ([(20_000, Place(1, 0, 1))], False)


@given(
    st.integers(1, (1 << 53) - 1), st.integers(1, MAX_BLOB_BYTES), st.integers(1, 99), st.binary(max_size=8)
)
def test_a_header_is_read_only_where_it_was_written(name: int, size: int, segment: int, noise: bytes) -> None:
    key, hashes = bytes(32), bytes(hashes_bytes(size))
    packed = pack_header(key, segment, 8 * BLOCK_BYTES, name, size, hashes)
    header = read_header(key, segment, 8 * BLOCK_BYTES, packed + noise)
    assert header is not None
    assert (header.name, header.size, header.hashes) == (name, size, hashes)
    assert stored_bytes(size) % BLOCK_BYTES == 0
    assert stored_bytes(size) >= len(packed) + size
    assert read_header(key, segment + 1, 8 * BLOCK_BYTES, packed) is None
    assert read_header(key, segment, 9 * BLOCK_BYTES, packed) is None
    assert read_header(bytes(31) + b"x", segment, 8 * BLOCK_BYTES, packed) is None
    assert read_header(key, segment, 8 * BLOCK_BYTES, packed[:-1]) is None
