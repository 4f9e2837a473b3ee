"""What is stored of a file, or of a part of it, apart from the file: extents and page bodies, to be read.

Rule: a page body wins over extents; where neither is, bytes are zero.
Rule: this is what a reader elsewhere is handed: with the blobs it names, it needs nobody else for the bytes.
"""

from collections.abc import Mapping, Sequence

import msgspec

from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES, PAGES_PER_MIB
from trivet.volume.extents import BlobRange, blobs_of, ranges_to_read, unpack_extents


class StoredBody(msgspec.Struct, frozen=True, array_like=True):
    """`size` bytes of a file; `extents` by MiB as their records say, `pages` the bodies of page records."""

    size: int
    extents: dict[int, bytes]
    pages: dict[int, bytes]

    def part(self, mibs: range) -> "StoredBody":
        """Return the same with the MiBs `mibs` alone."""
        extents = {mib: value for mib, value in self.extents.items() if mib in mibs}
        pages = {page: body for page, body in self.pages.items() if page // PAGES_PER_MIB in mibs}
        return StoredBody(self.size, extents, pages)

    def blob_names(self) -> list[int]:
        """Return the names of all blobs that hold a part of it."""
        return [ref.name for value in self.extents.values() for ref in blobs_of(value)]

    def stored_pages(self) -> list[tuple[int, int]]:
        """Return the pages [first, end) that extents hold, piece by piece."""
        return [
            (mib * PAGES_PER_MIB + piece.page, mib * PAGES_PER_MIB + piece.page + piece.pages)
            for mib, value in self.extents.items()
            for piece in unpack_extents(value)
        ]

    def ranges(self, mib: int, start: int, end: int) -> Sequence[BlobRange]:
        """Return what to read of which blobs for the bytes [`start`, `end`) of a MiB."""
        value = self.extents.get(mib)
        return ranges_to_read(unpack_extents(value), start, end) if value else ()

    def lay_pages(self, found: bytearray, mib: int, start: int, end: int) -> None:
        """Lay the page bodies over `found`, the bytes [`start`, `end`) of a MiB."""
        if self.pages:
            held = {page: self.pages[page] for page in _pages(mib, start, end) if page in self.pages}
            lay_pages(found, mib, start, end, held)

    def has_pages(self, mib: int, start: int, end: int) -> bool:
        """Tell whether a page body is part of the bytes [`start`, `end`) of a MiB."""
        return bool(self.pages) and any(page in self.pages for page in _pages(mib, start, end))


def _pages(mib: int, start: int, end: int) -> range:
    first = mib * PAGES_PER_MIB
    return range(first + start // PAGE_BYTES, first + -(-end // PAGE_BYTES))


def lay_pages(found: bytearray, mib: int, start: int, end: int, bodies: Mapping[int, bytes]) -> None:
    """Lay page `bodies` over `found`, the bytes [`start`, `end`) of a MiB; a short body ends in zeros."""
    for page, text in bodies.items():
        place = page * PAGE_BYTES - mib * MIB_BYTES - start
        body = text.ljust(PAGE_BYTES, b"\0")
        low = max(-place, 0)
        high = min(end - start - place, PAGE_BYTES)
        found[place + low : place + high] = body[low:high]
