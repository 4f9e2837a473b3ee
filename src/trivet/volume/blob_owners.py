"""Blob owners: which MiB of which file names each blob, kept as extents change, so that nobody has to search.

Rule: a blob is named by one MiB of one file, or by none.
Rule: who looks at many blobs one after another watches meanwhile: what is set free is still told to them.
"""

from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakSet

from trivet.volume.extents import blobs_of

_MIB_BITS = 24


class Owner(NamedTuple):
    """The MiB `mib` of `ino`, whose packed extents `value` name a blob."""

    ino: int
    mib: int
    value: bytes


class FreedBlobs:
    """The blobs that were set free since `BlobOwners.watch` returned this, and whose they were."""

    __slots__ = ("__weakref__", "owners")

    def __init__(self) -> None:
        self.owners: dict[int, Owner] = {}


class BlobOwners:
    """Maps the name of each blob to the inode and MiB that name it."""

    __slots__ = ("_places", "_watchers")

    def __init__(self) -> None:
        # The inode's own number for its first MiB, which is all that most files have: that costs no memory.
        self._places: dict[int, int] = {}
        self._watchers: WeakSet[FreedBlobs] = WeakSet()

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def place(self, name: int) -> tuple[int, int] | None:
        """Return (inode, MiB) of what names a blob, None if nothing does."""
        place = self._places.get(name)
        if place is None or place >= 0:
            return None if place is None else (place, 0)
        return -place >> _MIB_BITS, -place & (1 << _MIB_BITS) - 1

    def name(self, ino: int, mib: int, value: bytes) -> None:
        """Note that the packed extents `value` are those of one MiB now."""
        place = _place(ino, mib)
        for blob in blobs_of(value):
            self._places[blob.name] = place

    def replace(self, ino: int, mib: int, before: bytes, value: bytes | None) -> None:
        """Note that `value` (None: nothing) stands where `before` did."""
        if value is not None:
            self.name(ino, mib, value)
        kept = {blob.name for blob in blobs_of(value)} if value is not None else ()
        for blob in blobs_of(before):
            if blob.name not in kept and self._places.get(blob.name) == _place(ino, mib):
                del self._places[blob.name]
                for watcher in self._watchers:
                    watcher.owners[blob.name] = Owner(ino, mib, before)

    def watch(self) -> FreedBlobs:
        """Return what is told of all blobs set free from now on, for as long as somebody keeps it."""
        watcher = FreedBlobs()
        self._watchers.add(watcher)
        return watcher


def _place(ino: int, mib: int) -> int:
    return -(ino << _MIB_BITS | mib) if mib else ino
