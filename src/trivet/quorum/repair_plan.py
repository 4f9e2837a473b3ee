"""Which copy is right, and what to write where: the plan of a repair, not the doing of it.

Rule: right is the copy with a valid MAC (blob: the root the record names) at the slot the keeper expects;
no number of equal wrong copies outvotes one right one.
Rule: without a right copy nothing is written or deleted; the plan says what can't be fixed.
Rule: a row that is merely not applied yet, or of a key with a change in flight, is no damage.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Literal

import msgspec

from trivet.quorum.record_loading import BankRows
from trivet.wire.records import Row

CopyState = Literal["good", "bad", "missing", "unknown"]


class WriteRow(msgspec.Struct, frozen=True):
    """Write `row`, verified in `source`, to `bank`, where `cause` (missing, stale, damaged) stands."""

    bank: int
    row: Row
    source: int
    cause: Literal["missing", "stale", "damaged"]


class DeleteRow(msgspec.Struct, frozen=True):
    """Delete the row of `key` at `slot` from `bank`: the volume has no such record."""

    bank: int
    key: bytes
    slot: int


class RecordPlan(msgspec.Struct, frozen=True):
    """What repairs the rows that were compared; `lost` are keys without any right copy."""

    deletes: list[DeleteRow]
    writes: list[WriteRow]
    lost: list[bytes]

    @property
    def is_empty(self) -> bool:
        """Nothing was found."""
        return not (self.deletes or self.writes or self.lost)


def plan_records(
    banks: Mapping[int, BankRows],
    slot_of: Callable[[bytes], int],
    in_flight: Collection[bytes] = (),
    expected: Collection[bytes] = (),
) -> RecordPlan:
    """Compare the rows of one key, some keys or a bucket on all banks with the slots the keeper expects.

    `slot_of` gives the slot a key is at (0: no such record), `in_flight` the keys with changes not applied
    everywhere, `expected` keys to look for even if no bank holds them. Deletes come before writes.
    """
    plan = RecordPlan([], [], [])
    keys = set(expected)
    for held in banks.values():
        keys |= held.rows.keys() | held.damaged
    for key in sorted(keys.difference(in_flight)):
        _plan_key(key, slot_of(key), banks, plan)
    return plan


def _plan_key(key: bytes, slot: int, banks: Mapping[int, BankRows], plan: RecordPlan) -> None:
    if slot == 0:
        for bank, held in banks.items():
            if key in held.rows:
                plan.deletes.append(DeleteRow(bank, key, held.rows[key].slot))
            elif key in held.damaged:
                plan.deletes.append(DeleteRow(bank, key, 0))
        return
    source = next((b for b, held in banks.items() if key in held.rows and held.rows[key].slot == slot), None)
    wrong = [
        (bank, cause)
        for bank, held in banks.items()
        if slot <= held.applied and (cause := _cause(key, slot, held)) is not None
    ]
    if not wrong:
        return
    if source is None:
        plan.lost.append(key)
        return
    row = banks[source].rows[key]
    for bank, cause in wrong:
        held_row = banks[bank].rows.get(key)
        if held_row is not None and held_row.slot > slot:
            plan.deletes.append(DeleteRow(bank, key, held_row.slot))
        plan.writes.append(WriteRow(bank, row, source, cause))


def _cause(key: bytes, slot: int, held: BankRows) -> Literal["missing", "stale", "damaged"] | None:
    if key in held.damaged:
        return "damaged"
    row = held.rows.get(key)
    if row is None:
        return "missing"
    return None if row.slot == slot else "stale"


class BlobPlan(msgspec.Struct, frozen=True):
    """Copy the blob from `source` to `targets`; `lost`: every bank answered and none has a good copy."""

    source: int | None
    targets: list[int]
    lost: bool


def plan_blob(copies: Mapping[int, CopyState], bank_count: int) -> BlobPlan:
    """Say how to repair a blob whose copies were verified against the root its record names.

    A copy that is "unknown" (the bank did not answer) is neither a source nor written over.
    """
    good = [bank for bank, state in copies.items() if state == "good"]
    wrong = [bank for bank, state in copies.items() if state in ("bad", "missing")]
    if good:
        return BlobPlan(good[0], wrong, lost=False)
    return BlobPlan(None, [], lost=len(wrong) == bank_count)
