"""The sums of a table's rows, made in steps between which rows may change.

Rule: a row counts as it was read from the disk, or as it stood when something was written behind the place
that was reached; so at the end the sums are those of one moment.
"""

from collections.abc import Iterable
from typing import NamedTuple

from trivet.wire.bank_messages import DAMAGED_TOLD
from trivet.wire.records import BUCKETS, Row, add_terms, bucket_of, digest_term, row_is_valid


class TableSums(NamedTuple):
    """The 256 sums of the rows that show slot `at`, how many `rows` there are, and keys of damaged ones."""

    at: int
    sums: bytes
    rows: int
    damaged: list[bytes]


#: What is told when the table was made anew meanwhile.
NO_SUMS = TableSums(-1, b"", 0, [])


class Summing:
    """Sums being made; `last` is the key of the last row that was taken in."""

    def __init__(self, volume_key: bytes) -> None:
        self.last = b""
        self._key = volume_key
        self._totals = [0] * BUCKETS
        self._damaged: dict[bytes, None] = {}
        self._count = 0

    def take(self, row: Row) -> None:
        """Count a row as it stands."""
        self._count += 1
        if row_is_valid(self._key, row):
            bucket = bucket_of(row.key)
            self._totals[bucket] += digest_term(row.key, row.slot)
        else:
            self._damaged[row.key] = None

    def behind(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return those of `keys` whose rows are counted already, if they have one."""
        last = self.last
        return [key for key in dict.fromkeys(keys) if key <= last]

    def exchange(self, before: Iterable[Row], after: Iterable[Row]) -> None:
        """Count the rows `after` in place of those that stood there `before`."""
        for row in before:
            self._count -= 1
            if row.key in self._damaged:
                del self._damaged[row.key]
            else:
                self._totals[bucket_of(row.key)] -= digest_term(row.key, row.slot)
        for row in after:
            self.take(row)

    def result(self, at: int) -> TableSums:
        """Return what came out, for a table that shows slot `at`."""
        sums = b"".join(add_terms(total, 0).to_bytes(16, "big") for total in self._totals)
        return TableSums(at, sums, self._count, list(self._damaged)[:DAMAGED_TOLD])
