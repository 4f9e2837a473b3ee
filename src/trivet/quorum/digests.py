"""Which slot every record of a volume is at, and the 256 sums that prove what a bank holds and lacks.

Rule: a sum adds up BLAKE3(slot, key) of the rows in one bucket modulo 2^128; (key, slot) names one value,
so equal sums mean equal rows.
Rule: memory is bounded: 32 bytes a record at most, whatever the keys are.
"""

from array import array
from collections.abc import Iterable
from zlib import crc32

from trivet.wire.records import BUCKETS, add_terms, bucket_of, digest_term

SUM_BYTES = 16
SUMS_BYTES = BUCKETS * SUM_BYTES
_PENDING = 1024
_FIRST_PLACES = 8


def sums_of(rows: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the 256 sums of `rows` (key, slot), 16 bytes each."""
    sums = [0] * BUCKETS
    for key, slot in rows:
        sums[bucket_of(key)] += digest_term(key, slot)
    return _encode(sums)


def differing_buckets(sums: bytes, others: bytes) -> list[int]:
    """Return the buckets in which two sets of 256 sums differ."""
    assert len(sums) == len(others) == SUMS_BYTES
    if sums == others:
        return []
    places = range(0, SUMS_BYTES, SUM_BYTES)
    return [at // SUM_BYTES for at in places if sums[at : at + SUM_BYTES] != others[at : at + SUM_BYTES]]


def sum_of(sums: bytes, bucket: int) -> int:
    """Return one of 256 sums."""
    return int.from_bytes(sums[bucket * SUM_BYTES : (bucket + 1) * SUM_BYTES], "big")


def _encode(sums: Iterable[int]) -> bytes:
    return b"".join(add_terms(total, 0).to_bytes(SUM_BYTES, "big") for total in sums)


class RecordIndex:
    """Maps every key of the volume to the slot its record is at, and keeps the sums over them.

    Keys are kept as 64-bit hashes (keyed per process) within their bucket: two keys of 3 million share
    one with a chance of about 1 in 10^9, which would end in a refused read, never in wrong bytes.
    """

    __slots__ = ("_count", "_pending", "_sums", "_tables", "_used")

    def __init__(self, expected: int = 0) -> None:
        """Make an empty index with room for about `expected` records, so that loading is quick."""
        # Each table is hash, slot, hash, slot...; hash 0 is a free place, slot 0 a deleted record.
        places = max(_FIRST_PLACES, expected * 3 // (BUCKETS * 2))
        self._tables = [array("q", bytes(16 * places)) for _ in range(BUCKETS)]
        self._used = [0] * BUCKETS
        self._sums = [0] * BUCKETS
        self._pending: dict[bytes, list[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def slot_of(self, key: bytes) -> int:
        """Return the slot `key` is at, 0 if there is no such record."""
        table = self._tables[crc32(key) & 255]
        wanted = hash(key) or 1
        size = len(table)
        at = wanted * 2 % size
        while (seen := table[at]) != wanted:
            if not seen:
                return 0
            at += 2
            if at == size:
                at = 0
        return table[at + 1]

    def exchange(self, key: bytes, slot: int) -> int:
        """Put `key` at `slot` (0: delete it) and return the slot it was at (0: it was new)."""
        bucket = crc32(key) & 255
        table = self._tables[bucket]
        wanted = hash(key) or 1
        size = len(table)
        at = wanted * 2 % size
        while (seen := table[at]) != wanted:
            if not seen:
                if slot:
                    self._insert(bucket, table, at, wanted, slot)
                    self._note(key, 0, slot)
                return 0
            at += 2
            if at == size:
                at = 0
        before = table[at + 1]
        if before != slot:
            table[at + 1] = slot
            if not before:
                self._count += 1
            elif not slot:
                self._count -= 1
            self._note(key, before, slot)
        return before

    def _note(self, key: bytes, before: int, slot: int) -> None:
        """Leave the sums for later: keys that change often are then summed up once."""
        pending = self._pending
        noted = pending.get(key)
        if noted is not None:
            noted[1] = slot
            return
        pending[key] = [before, slot]
        if len(pending) >= _PENDING:
            self._settle()

    def _settle(self) -> None:
        sums = self._sums
        for key, (before, slot) in self._pending.items():
            if slot != before:
                change = digest_term(key, slot) if slot else 0
                if before:
                    change -= digest_term(key, before)
                sums[crc32(key) & 255] += change
        self._pending.clear()

    def _insert(self, bucket: int, table: "array[int]", at: int, wanted: int, slot: int) -> None:
        table[at] = wanted
        table[at + 1] = slot
        self._count += 1
        self._used[bucket] += 1
        if self._used[bucket] * 8 > len(table) * 3:
            self._grow(bucket)

    def _grow(self, bucket: int) -> None:
        """Give the bucket half as much room again and leave out deleted records."""
        old = self._tables[bucket]
        held = [(old[at], old[at + 1]) for at in range(0, len(old), 2) if old[at + 1]]
        size = max(_FIRST_PLACES, len(held) * 2) * 2
        table = array("q", bytes(8 * size))
        for wanted, slot in held:
            at = wanted * 2 % size
            while table[at]:
                at += 2
                if at == size:
                    at = 0
            table[at] = wanted
            table[at + 1] = slot
        self._tables[bucket] = table
        self._used[bucket] = len(held)

    def sums(self) -> bytes:
        """Return the 256 sums, 16 bytes each."""
        self._settle()
        self._sums = [add_terms(total, 0) for total in self._sums]
        return _encode(self._sums)
