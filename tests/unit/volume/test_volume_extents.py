"""Extents: packing, laying over, cutting and planning reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import CorruptReplica
from trivet.volume.attributes import PAGE_BYTES, PAGES_PER_MIB
from trivet.volume.extents import (
    Piece,
    blobs_of,
    overlay,
    pack_extents,
    ranges_to_read,
    unpack_extents,
    without_pages,
)
from trivet.wire.blobs import BlobRef

RUNS = st.lists(st.integers(0, PAGES_PER_MIB - 1), min_size=1, max_size=12, unique=True).map(
    lambda edges: [(a, min(a + 3, b)) for a, b in zip(sorted(edges), [*sorted(edges)[1:], 256], strict=True)]
)


def blob(name: int, pages: int) -> BlobRef:
    """Return a blob of whole pages."""
    return BlobRef(name, pages * PAGE_BYTES, bytes([name]) * 16)


@given(st.lists(RUNS, max_size=8))
def test_overlays_tell_the_last_writer_of_every_page(layers: list[list[tuple[int, int]]]) -> None:
    model: dict[int, tuple[int, int]] = {}
    pieces: list[Piece] = []
    freed_so_far: set[int] = set()
    for name, runs in enumerate(layers, start=1):
        count = sum(end - first for first, end in runs)
        pieces, freed = overlay(pieces, runs, blob(name, count))
        assert not freed_so_far & set(freed)
        freed_so_far |= set(freed)
        pages = [page for first, end in runs for page in range(first, end)]
        model |= {page: (name, at) for at, page in enumerate(pages)}
        told = {p.page + i: (p.blob.name, p.blob_page + i) for p in pieces for i in range(p.pages)}
        assert told == model
        used = {owner for owner, _at in model.values()}
        assert freed_so_far == set(range(1, name + 1)) - used
    packed = pack_extents(pieces)
    assert unpack_extents(packed) == pieces
    assert {ref.name for ref in blobs_of(packed)} == {piece.blob.name for piece in pieces}


def test_a_whole_mib_in_one_blob_packs_into_40_bytes() -> None:
    assert len(pack_extents([Piece(0, 256, blob(1, 256), 0)])) == 40


def test_taking_pages_out_of_the_middle_leaves_both_ends() -> None:
    ref = blob(1, 10)
    assert without_pages([Piece(5, 10, ref, 0)], 7, 9) == [Piece(5, 2, ref, 0), Piece(9, 6, ref, 4)]


def test_a_read_stops_where_a_short_blob_ends() -> None:
    ref = BlobRef(1, PAGE_BYTES + 100, bytes(16))
    ranges = ranges_to_read([Piece(3, 2, ref, 0)], 3 * PAGE_BYTES + 50, 6 * PAGE_BYTES)
    assert ranges == [(ref, 50, PAGE_BYTES + 50, 0)]
    assert ranges_to_read([Piece(3, 2, ref, 0)], 4 * PAGE_BYTES + 200, 5 * PAGE_BYTES) == []


@pytest.mark.parametrize(
    "value",
    [b"", b"\1", b"\1\0\1\0", b"\0\0\1\0" + bytes(8), pack_extents([Piece(0, 1, blob(1, 1), 0)])[:-1]],
)
def test_damaged_values_are_refused(value: bytes) -> None:
    with pytest.raises(CorruptReplica):
        unpack_extents(value)
