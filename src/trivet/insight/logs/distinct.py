"""How many distinct things there were, once a table had to drop some of them.

Rule: exact as long as nothing was dropped; then a HyperLogLog sketch with a standard error below 1 %.
"""

from collections.abc import Iterable

from datasketches import hll_sketch, hll_union

_LOG2_BUCKETS = 15
#: one standard error of the sketch, relative
STANDARD_ERROR = 0.006


class DistinctCount:
    """Remembers what was dropped, in a sketch that is made with the first drop."""

    def __init__(self) -> None:
        self._sketch: hll_sketch | None = None

    def add_names(self, names: Iterable[bytes]) -> None:
        """Take all `names` of a table before some of them are dropped."""
        self._add(hash(name) for name in names)

    def add_pairs(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take all `pairs` of a table before some of them are dropped."""
        self._add(hash(pair) for pair in pairs)

    def add_hashes(self, hashes: Iterable[int]) -> None:
        """Take 64-bit `hashes` of a table's entries before some of them are dropped."""
        self._add(hashes)

    def _add(self, hashes: Iterable[int]) -> None:
        if self._sketch is None:
            self._sketch = hll_sketch(_LOG2_BUCKETS)
        for value in hashes:
            self._sketch.update(value)

    def merge(self, other: "DistinctCount") -> None:
        """Add what `other` remembers."""
        if other._sketch is not None:
            union = hll_union(_LOG2_BUCKETS)
            for sketch in (self._sketch, other._sketch):
                if sketch is not None:
                    union.update(sketch)
            self._sketch = union.get_result()

    @property
    def is_exact(self) -> bool:
        """Whether nothing was dropped so far."""
        return self._sketch is None

    def with_names(self, names: Iterable[bytes]) -> int:
        """Return how many distinct names there were: those dropped and those in `names`."""
        return self._with([hash(name) for name in names])

    def with_pairs(self, pairs: Iterable[tuple[bytes, bytes]]) -> int:
        """Return how many distinct pairs there were: those dropped and those in `pairs`."""
        return self._with([hash(pair) for pair in pairs])

    def with_hashes(self, hashes: list[int]) -> int:
        """Return how many distinct entries there were: those dropped and those in `hashes`."""
        return self._with(hashes)

    def _with(self, hashes: list[int]) -> int:
        if self._sketch is None:
            return len(hashes)
        self._add(hashes)
        return round(float(self._sketch.get_estimate()))
