"""What the log above its floor says about records: which ops touch a bucket, and its sum at any slot.

Rule: an anchor's sums, carried along by the old and new slots that each op names, give the sum at every
slot from floor to head; without an anchor only a log that begins at slot 0 does.
"""

from collections.abc import Iterable

from trivet.quorum.digests import SUM_BYTES
from trivet.wire.entries import Entry, RecordOp
from trivet.wire.records import BUCKETS, add_terms, bucket_of, digest_term


class RecordHistory:
    """The ops of `entries` (which follow slot `floor`), by bucket and in order."""

    __slots__ = ("_anchor", "_anchor_slot", "_ops", "floor", "head")

    def __init__(self, floor: int, entries: Iterable[Entry]) -> None:
        self.floor = self.head = floor
        self._ops: list[list[tuple[int, RecordOp]]] = [[] for _ in range(BUCKETS)]
        self._anchor = bytes(SUM_BYTES * BUCKETS) if floor == 0 else b""
        self._anchor_slot = 0
        for entry in entries:
            body = entry.body
            self.head = entry.slot
            for op in body.ops:
                self._ops[bucket_of(op.key)].append((entry.slot, op))
            if body.sums:
                self._anchor, self._anchor_slot = body.sums, entry.slot

    def ops_above(self, bucket: int, slot: int) -> list[tuple[int, RecordOp]]:
        """Return (slot, op) of `bucket` above `slot`, in order."""
        return [(at, op) for at, op in self._ops[bucket] if at > slot]

    def sum_at(self, bucket: int, slot: int) -> int | None:
        """Return the sum of `bucket` after `slot`, None when the log can't tell."""
        if not self._anchor or not self.floor <= slot <= self.head:
            return None
        total = int.from_bytes(self._anchor[bucket * SUM_BYTES : (bucket + 1) * SUM_BYTES], "big")
        for at, op in self._ops[bucket]:
            if self._anchor_slot < at <= slot:
                total = add_terms(total, _change(at, op))
            elif slot < at <= self._anchor_slot:
                total = add_terms(total, -_change(at, op))
        return total


def _change(slot: int, op: RecordOp) -> int:
    """Return what `op`, carried out at `slot`, adds to the sum of its bucket."""
    added = 0 if op.value is None else digest_term(op.key, slot)
    return added - (digest_term(op.key, op.old_slot) if op.old_slot else 0)
