"""Which copy is right, what is written where, and what is left alone."""

from trivet.quorum.record_loading import BankRows
from trivet.quorum.repair_plan import BlobPlan, DeleteRow, RecordPlan, WriteRow, plan_blob, plan_records
from trivet.wire.records import Row

K = b"i/key"


def row(slot: int, value: bytes = b"v", key: bytes = K) -> Row:
    return Row(key, slot, value, b"")


def held(*rows: Row, applied: int = 9, damaged: tuple[bytes, ...] = ()) -> BankRows:
    return BankRows(applied, {r.key: r for r in rows}, frozenset(damaged))


def plan(a: BankRows, b: BankRows, c: BankRows, slot: int, **more: object) -> RecordPlan:
    return plan_records({1: a, 2: b, 3: c}, {K: slot}.get, **more)  # type: ignore[arg-type]


def test_equal_rows_need_nothing() -> None:
    assert plan(held(row(5)), held(row(5)), held(row(5)), 5).is_empty


def test_one_right_copy_wins_against_two_equal_stale_ones() -> None:
    found = plan(held(row(4, b"old")), held(row(4, b"old")), held(row(5)), 5)
    assert found.writes == [WriteRow(1, row(5), 3, "stale"), WriteRow(2, row(5), 3, "stale")]
    assert not found.deletes
    assert not found.lost


def test_missing_and_damaged_copies_are_written_from_the_right_one() -> None:
    found = plan(held(), held(damaged=(K,)), held(row(5)), 5)
    assert [(write.bank, write.cause) for write in found.writes] == [(1, "missing"), (2, "damaged")]


def test_row_the_volume_does_not_have_is_deleted() -> None:
    found = plan(held(row(5)), held(damaged=(K,)), held(), 0)
    assert found == RecordPlan([DeleteRow(1, K, 5), DeleteRow(2, K, 0)], [], [])


def test_without_a_right_copy_nothing_is_touched() -> None:
    found = plan(held(row(4)), held(damaged=(K,)), held(), 5)
    assert found == RecordPlan([], [], [K])


def test_row_not_applied_yet_is_no_damage() -> None:
    assert plan(held(row(5)), held(row(3), applied=4), held(applied=4), 5).is_empty


def test_key_in_flight_is_left_alone() -> None:
    assert plan(held(row(5)), held(), held(), 5, in_flight=[K]).is_empty


def test_row_from_a_history_given_up_goes_before_the_right_one_comes() -> None:
    found = plan(held(row(8, b"given up")), held(row(5)), held(row(5)), 5)
    assert found.deletes == [DeleteRow(1, K, 8)]
    assert found.writes == [WriteRow(1, row(5), 2, "stale")]


def test_key_that_no_bank_holds_is_lost_when_it_is_expected() -> None:
    assert plan(held(), held(), held(), 5, expected=[K]).lost == [K]


def test_blob_is_copied_from_a_verified_copy_only() -> None:
    assert plan_blob({1: "bad", 2: "good", 3: "missing"}, 3) == BlobPlan(2, [1, 3], lost=False)
    assert plan_blob({1: "bad", 2: "bad", 3: "missing"}, 3) == BlobPlan(None, [], lost=True)
    assert plan_blob({1: "bad", 2: "unknown", 3: "missing"}, 3) == BlobPlan(None, [], lost=False)
    assert plan_blob({1: "good", 2: "good", 3: "good"}, 3).targets == []
