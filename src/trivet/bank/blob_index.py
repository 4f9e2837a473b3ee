"""Where each blob stands: 16 bytes a blob, in name order.

Rule: names mostly come growing, so two sorted arrays do: appending is cheap, an insertion moves memory.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from trivet.bank.blob_header import BLOCK_BYTES

SEGMENT_LIMIT = 1 << 24
_BLOCK_BITS = 14
_SIZE_BITS = 21
_COMPACT_AT = 4096


class Place(NamedTuple):
    """A blob of `size` bytes has its header at `offset` of `segment`; segments count from 1."""

    segment: int
    offset: int
    size: int


class BlobIndex:
    """An ordered map from blob name to Place."""

    def __init__(self) -> None:
        self._names = array("Q")
        self._places = array("Q")  # 0 stands for a deleted blob
        self._deleted = 0

    def __len__(self) -> int:
        return len(self._names) - self._deleted

    def get(self, name: int) -> Place | None:
        """Return where `name` stands, or None."""
        at = bisect_left(self._names, name)
        if at == len(self._names) or self._names[at] != name or not self._places[at]:
            return None
        return _unpack(self._places[at])

    def put(self, name: int, place: Place) -> Place | None:
        """Note where `name` stands and return where it stood before, if it did."""
        packed = _pack(place)
        names = self._names
        if not names or name > names[-1]:
            names.append(name)
            self._places.append(packed)
            return None
        at = bisect_left(names, name)
        if names[at] != name:
            names.insert(at, name)
            self._places.insert(at, packed)
            return None
        before = self._places[at]
        self._places[at] = packed
        if not before:
            self._deleted -= 1
            return None
        return _unpack(before)

    def remove(self, name: int) -> Place | None:
        """Forget `name` and return where it stood, if it did."""
        place = self.get(name)
        if place is not None:
            self._places[bisect_left(self._names, name)] = 0
            self._deleted += 1
            if self._deleted > _COMPACT_AT and self._deleted > len(self._names) >> 2:
                self._compact()
        return place

    def after(self, name: int, limit: int) -> tuple[list[tuple[int, Place]], bool]:
        """Return up to `limit` (name, place) behind `name` in name order, and whether more follow."""
        found: list[tuple[int, Place]] = []
        for at in range(bisect_right(self._names, name), len(self._names)):
            if self._places[at]:
                if len(found) == limit:
                    return found, True
                found.append((self._names[at], _unpack(self._places[at])))
        return found, False

    def in_segment(self, segment: int) -> Iterator[tuple[int, Place]]:
        """Yield every (name, place) in `segment`; the index must not change meanwhile."""
        for name, packed in zip(self._names, self._places, strict=True):
            if packed >> (_BLOCK_BITS + _SIZE_BITS) == segment:
                yield name, _unpack(packed)

    def _compact(self) -> None:
        kept = [at for at, packed in enumerate(self._places) if packed]
        self._names = array("Q", [self._names[at] for at in kept])
        self._places = array("Q", [self._places[at] for at in kept])
        self._deleted = 0


def _pack(place: Place) -> int:
    block = place.offset // BLOCK_BYTES
    assert 0 < place.segment < SEGMENT_LIMIT
    assert block < 1 << _BLOCK_BITS
    return (place.segment << _BLOCK_BITS | block) << _SIZE_BITS | place.size


def _unpack(packed: int) -> Place:
    head, size = packed >> _SIZE_BITS, packed & ((1 << _SIZE_BITS) - 1)
    return Place(head >> _BLOCK_BITS, (head & ((1 << _BLOCK_BITS) - 1)) * BLOCK_BYTES, size)
