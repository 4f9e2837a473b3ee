"""The sums of all records a few entries ago, worked back from what they are now."""

from collections.abc import Iterable

from trivet.quorum.digests import SUM_BYTES
from trivet.wire.entries import Entry
from trivet.wire.records import add_terms, bucket_of, digest_term


def sums_before(sums: bytes, entries: Iterable[Entry]) -> bytes:
    """Return what `sums` (256 of 16 bytes, now) were before `entries`, the newest of the log."""
    totals = [int.from_bytes(sums[at : at + SUM_BYTES], "big") for at in range(0, len(sums), SUM_BYTES)]
    for entry in entries:
        for op in entry.body.ops:
            bucket = bucket_of(op.key)
            if op.value is not None:
                totals[bucket] -= digest_term(op.key, entry.slot)
            if op.old_slot:
                totals[bucket] += digest_term(op.key, op.old_slot)
    return b"".join(add_terms(total, 0).to_bytes(SUM_BYTES, "big") for total in totals)
