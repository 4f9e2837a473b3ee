"""The index of records and the sums that prove presence and absence."""

import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from trivet.quorum.digests import SUMS_BYTES, RecordIndex, differing_buckets, sums_of
from trivet.wire.records import bucket_of, entry_key


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9))))
def test_index_is_a_map_and_its_sums_are_those_of_its_rows(steps: list[tuple[int, int]]) -> None:
    index, model = RecordIndex(), dict[bytes, int]()
    for number, slot in steps:
        key = entry_key(number % 3, b"%d" % number)
        assert index.exchange(key, slot) == model.get(key, 0)
        model[key] = slot
    rows = {key: slot for key, slot in model.items() if slot}
    assert len(index) == len(rows)
    assert all(index.slot_of(key) == slot for key, slot in model.items())
    assert index.sums() == sums_of(rows.items())


def test_growing_and_deleting_many_keeps_every_slot() -> None:
    index = RecordIndex()
    keys = [entry_key(1, b"name%d" % number) for number in range(20_000)]
    for slot, key in enumerate(keys, start=1):
        assert index.exchange(key, slot) == 0
    order = list(enumerate(keys, start=1))
    random.Random(1).shuffle(order)
    for slot, key in order[:15_000]:
        assert index.exchange(key, 0) == slot
    assert len(index) == 5_000
    assert all(index.slot_of(key) == slot for slot, key in order[15_000:])
    assert not any(index.slot_of(key) for _, key in order[:15_000])
    assert index.sums() == sums_of((key, slot) for slot, key in order[15_000:])


def test_equal_rows_in_another_order_have_equal_sums() -> None:
    rows = [(b"i/%d" % number, number + 1) for number in range(300)]
    assert sums_of(rows) == sums_of(reversed(rows))
    assert len(sums_of(rows)) == SUMS_BYTES


def test_a_missing_or_stale_row_shows_in_its_bucket_alone() -> None:
    rows = [(b"i/%d" % number, number + 1) for number in range(300)]
    key = rows[7][0]
    for other in (rows[:7] + rows[8:], [(k, s - (k == key)) for k, s in rows]):
        assert differing_buckets(sums_of(rows), sums_of(other)) == [bucket_of(key)]


def test_memory_stays_within_33_bytes_a_record() -> None:
    tracemalloc.start()
    index = RecordIndex()
    before = tracemalloc.get_traced_memory()[0]
    for slot in range(1, 60_001):
        index.exchange(b"i/%d" % slot, slot)
    index.sums()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used <= 33 * 60_000 + (1 << 20)
