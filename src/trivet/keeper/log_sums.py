"""The sums of all records as they were a few entries ago, or as they are but for some rows."""

from collections.abc import Iterable, Mapping

from trivet.quorum.digests import SUM_BYTES
from trivet.wire.entries import Entry
from trivet.wire.records import add_terms, bucket_of, digest_term


def sums_before(sums: bytes, entries: Iterable[Entry]) -> bytes:
    """Return what `sums` (256 of 16 bytes, now) were before `entries`, the newest of the log."""
    totals = _unpack(sums)
    for entry in entries:
        for op in entry.body.ops:
            bucket = bucket_of(op.key)
            if op.value is not None:
                totals[bucket] -= digest_term(op.key, entry.slot)
            if op.old_slot:
                totals[bucket] += digest_term(op.key, op.old_slot)
    return _pack(totals)


def sums_but_for(sums: bytes, rows: Mapping[bytes, tuple[int, int]]) -> bytes:
    """Return `sums` of where each key of `rows` stands at its second slot (0: nowhere), not its first."""
    totals = _unpack(sums)
    for key, (right, found) in rows.items():
        totals[bucket_of(key)] += (digest_term(key, found) if found else 0) - digest_term(key, right)
    return _pack(totals)


def _unpack(sums: bytes) -> list[int]:
    return [int.from_bytes(sums[at : at + SUM_BYTES], "big") for at in range(0, len(sums), SUM_BYTES)]


def _pack(totals: list[int]) -> bytes:
    return b"".join(add_terms(total, 0).to_bytes(SUM_BYTES, "big") for total in totals)
