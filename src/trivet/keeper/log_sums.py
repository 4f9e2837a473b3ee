"""What the sums of all records must be at a slot, worked out from the log alone.

Rule: an anchor states the sums after its slot; every other entry tells how it changes them.
"""

from collections.abc import Sequence

from trivet.wire.entries import Entry
from trivet.wire.records import BUCKETS, bucket_of, digest_term

_TERM_BYTES = 16
_MODULUS = 1 << 128


def sums_at(entries: Sequence[Entry], floor: int, slot: int) -> bytes | None:
    """Return the 256 sums (16 bytes each) after `slot`, or None if the log holds nothing to start from.

    `entries` are the log's above `floor`; a log that begins at slot 1 starts from sums of zero.
    """
    for entry in reversed(entries):
        body = entry.body
        if body.sums:
            start, sums = entry.slot, body.sums
            break
    else:
        if floor:
            return None
        start, sums = 0, bytes(BUCKETS * _TERM_BYTES)
    return sums_moved(sums, entries, floor, start, slot)


def sums_moved(sums: bytes, entries: Sequence[Entry], floor: int, start: int, end: int) -> bytes:
    """Return `sums`, which stand after slot `start`, as they are after slot `end`, before or behind it."""
    totals = [int.from_bytes(sums[at : at + _TERM_BYTES], "big") for at in range(0, len(sums), _TERM_BYTES)]
    sign = 1 if end >= start else -1
    for entry in entries[min(start, end) - floor : max(start, end) - floor]:
        for op in entry.body.ops:
            bucket = bucket_of(op.key)
            if op.value is not None:
                totals[bucket] += sign * digest_term(op.key, entry.slot)
            if op.old_slot:
                totals[bucket] -= sign * digest_term(op.key, op.old_slot)
    return b"".join((total % _MODULUS).to_bytes(_TERM_BYTES, "big") for total in totals)


def differing_buckets(one: bytes, other: bytes) -> list[int]:
    """Return the buckets whose sums differ."""
    places = range(0, BUCKETS * _TERM_BYTES, _TERM_BYTES)
    return [at // _TERM_BYTES for at in places if one[at : at + _TERM_BYTES] != other[at : at + _TERM_BYTES]]
