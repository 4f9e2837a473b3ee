"""What a bucket holds after a restart, out of the banks' rows and the log."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.quorum.digests import RecordIndex
from trivet.quorum.record_history import RecordHistory
from trivet.quorum.record_loading import BankRows, BucketState, settle_bucket
from trivet.wire.entries import GENESIS_HASH, Entry, EntryBody, Epoch, RecordOp, seal_entry
from trivet.wire.records import Row, bucket_of

KEYS = [key for number in range(4000) if bucket_of(key := b"i/%d" % number) == 7][:12]
BUCKET = 7


class Past:
    """A log of random changes to the keys of one bucket, and the rows after every slot."""

    def __init__(self, seed: int, slots: int = 30, anchor_at: int = 18) -> None:
        rng = random.Random(seed)
        index, rows = RecordIndex(), dict[bytes, Row]()
        self.entries: list[Entry] = []
        self.states: list[dict[bytes, Row]] = [{}]
        previous = GENESIS_HASH
        for slot in range(1, slots + 1):
            ops = []
            for key in rng.sample(KEYS, rng.randint(0, 2)):
                value = rng.randbytes(3) if rng.random() < 0.7 else None
                old = index.exchange(key, slot if value is not None else 0)
                ops.append(RecordOp(key, old, value))
                rows.pop(key, None)
                if value is not None:
                    rows[key] = Row(key, slot, value, b"")
            sums = index.sums() if slot == anchor_at else b""
            entry = seal_entry(bytes(32), slot, Epoch(1, 1), previous, EntryBody(0, ops, [], [], sums))
            previous = entry.hash
            self.entries.append(entry)
            self.states.append(dict(rows))

    def history(self, floor: int) -> RecordHistory:
        return RecordHistory(floor, self.entries[floor:])

    def bank(self, applied: int) -> BankRows:
        return BankRows(applied, dict(self.states[applied]))

    def truth(self) -> dict[bytes, tuple[int, bytes]]:
        return {key: (row.slot, row.value) for key, row in self.states[-1].items()}


def settle(past: Past, floor: int, *banks: BankRows) -> BucketState:
    return settle_bucket(BUCKET, dict(enumerate(banks)), past.history(floor))


@given(st.integers(0, 10_000), st.integers(0, 17), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_any_one_whole_bank_and_the_log_give_the_truth(seed: int, floor: int, more: int) -> None:
    past = Past(seed)
    found = settle(past, floor, past.bank(floor + more))
    assert found.proven
    assert found.records == past.truth()


@given(st.integers(0, 10_000), st.data())
@settings(max_examples=60, deadline=None)
def test_damage_spread_over_banks_is_put_together(seed: int, data: st.DataObject) -> None:
    past = Past(seed)
    banks = [past.bank(15), past.bank(15), past.bank(16)]
    for key in past.states[15]:
        victim = data.draw(st.integers(0, 2))
        banks[victim].rows.pop(key, None)
    found = settle(past, 15, *banks)
    assert found.proven
    assert found.records == past.truth()


@given(st.integers(0, 10_000), st.integers(0, 14))
@settings(max_examples=60, deadline=None)
def test_bank_behind_the_floor_brings_nothing_deleted_back(seed: int, behind: int) -> None:
    past = Past(seed)
    torn = past.bank(15)
    if torn.rows:
        torn.rows.popitem()
    stale = BankRows(15, dict(past.states[behind]))
    found = settle(past, 15, torn, stale)
    assert not found.proven or found.records == past.truth()
    if not found.proven:
        differing = {k for k in KEYS if found.records.get(k) != past.truth().get(k)}
        assert differing <= found.doubtful | (KEYS - found.records.keys())


def test_record_lost_everywhere_leaves_the_bucket_unproven() -> None:
    past = Past(3)
    untouched = [k for k in past.states[20] if past.states[-1].get(k) == past.states[20][k]]
    banks = [past.bank(20), past.bank(20), past.bank(20)]
    for bank in banks:
        del bank.rows[untouched[0]]
    assert not settle(past, 16, *banks).proven


def test_two_banks_that_agree_on_a_stale_row_lose_to_one() -> None:
    past = Past(5)
    key = next(k for k in past.states[20] if past.states[-1].get(k) == past.states[20][k])
    stale = Row(key, past.states[20][key].slot - 1, b"rolled back", b"")
    banks = [past.bank(20), past.bank(20), past.bank(20)]
    banks[0].rows[key] = banks[1].rows[key] = stale
    found = settle(past, 16, *banks)
    assert found.proven
    assert found.records == past.truth()


def test_rows_damaged_on_every_bank_are_lost_and_not_absent() -> None:
    """The sums prove which slot such a row stands at, also when one bank tells another."""
    for seed in range(40):
        past = Past(seed)
        truth = past.truth()
        settled = [key for key, (slot, _) in truth.items() if slot <= 17]
        if len(settled) < 2:
            continue
        lost = {key: truth[key][0] for key in settled[:2]}
        banks = []
        for said in ({key: slot + 1 for key, slot in lost.items()}, lost, lost):
            rows = {key: row for key, row in past.states[20].items() if key not in lost}
            banks.append(BankRows(20, rows, frozenset(lost), said))
        found = settle(past, 17, *banks)
        assert found.proven
        assert found.lost == lost
        assert found.records == {key: record for key, record in truth.items() if key not in lost}


def test_a_damaged_row_of_a_key_that_was_deleted_is_nothing_lost() -> None:
    past = Past(3)
    truth = past.truth()
    (gone, *_) = [key for key in KEYS if key not in truth]
    banks = [BankRows(20, dict(past.states[20]), frozenset({gone}), {gone: 5}) for _ in range(3)]
    found = settle(past, 17, *banks)
    assert found.proven
    assert found.records == truth
    assert not found.lost
