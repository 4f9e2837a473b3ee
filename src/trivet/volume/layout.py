"""Layout: where the stored bytes of every file lie, in page records or in extents, or nowhere (a hole).

Rule: a page record wins over extents; a blob that takes a page over deletes its record in the same entry.
Rule: extents are resident, packed; bodies are not. Most files have none or those of one MiB, so these stand
without a dict of their own.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from trivet.volume.attributes import (
    MASKED_PAGES,
    MAX_FILE_BYTES,
    MIB_BYTES,
    PAGE_BYTES,
    PAGES_PER_MIB,
    Inode,
)
from trivet.volume.blob_owners import BlobOwners
from trivet.volume.changes import ChangeSet
from trivet.volume.extents import (
    Piece,
    blobs_of,
    overlay,
    pack_extents,
    unpack_extents,
    without_pages,
)
from trivet.volume.file_numbers import FileNumbers
from trivet.wire.blobs import BlobRef
from trivet.wire.records import extents_key, page_key

SLICE_RECORDS = 4096
_PAGES_END = MAX_FILE_BYTES // PAGE_BYTES


class Layout:
    """Extents and later page records of all files; pages 0..15 stand in each inode's `page_mask`."""

    __slots__ = ("_exchanges", "_extents", "_later", "numbers", "owners")

    def __init__(self) -> None:
        self._extents: dict[int, bytes | dict[int, bytes]] = {}
        self._later: dict[int, dict[int, set[int]]] = {}
        self._exchanges: dict[int, int] = {}
        self.numbers = FileNumbers()
        self.owners = BlobOwners()

    def pieces(self, ino: int, mib: int) -> list[Piece]:
        """Return the pieces of one MiB."""
        value = self.extents(ino, mib)
        return unpack_extents(value) if value else []

    def extents(self, ino: int, mib: int) -> bytes | None:
        """Return the packed extents of one MiB, None for none."""
        held = self._extents.get(ino)
        if held is None:
            return None
        if type(held) is bytes:
            return held if mib == 0 else None
        assert isinstance(held, dict)
        return held.get(mib)

    def all_extents(self, ino: int) -> list[tuple[int, bytes]]:
        """Return (MiB, packed extents) of all of an inode."""
        held = self._extents.get(ino)
        if held is None:
            return []
        return sorted(held.items()) if isinstance(held, dict) else [(0, held)]

    def set_extents(self, ino: int, mib: int, value: bytes | None) -> None:
        """Replace the packed extents of one MiB; None takes them away."""
        before = self.extents(ino, mib)
        if before is not None:
            self.owners.replace(ino, mib, before, value)
        elif value is not None:
            self.owners.name(ino, mib, value)
        held = self._extents.get(ino)
        if isinstance(held, bytes):
            if mib == 0:
                held = None
            else:
                held = {0: held}
        if value is None:
            if isinstance(held, dict):
                held.pop(mib, None)
        elif held is None and mib == 0:
            held = value
        elif held is None:
            held = {mib: value}
        else:
            held[mib] = value
        if held:
            self._extents[ino] = held
        else:
            self._extents.pop(ino, None)

    def has_page(self, inode: Inode, page: int) -> bool:
        """Tell whether a page record holds `page`."""
        if page < MASKED_PAGES:
            return bool(inode.page_mask >> page & 1)
        return inode.later_pages > 0 and page in self._later[inode.ino].get(page // PAGES_PER_MIB, ())

    def add_page(self, inode: Inode, page: int) -> int:
        """Note that a page record holds `page`; return how many of its MiB, but for the first 16, now do."""
        if page < MASKED_PAGES:
            inode.page_mask |= 1 << page
            return 0
        later = self._later.setdefault(inode.ino, {}).setdefault(page // PAGES_PER_MIB, set())
        inode.later_pages += page not in later
        later.add(page)
        return len(later)

    def drop_page(self, inode: Inode, page: int) -> None:
        """Note that no page record holds `page` any more."""
        if page < MASKED_PAGES:
            inode.page_mask &= ~(1 << page)
            return
        mib = page // PAGES_PER_MIB
        by_mib = self._later[inode.ino]
        later = by_mib[mib]
        later.remove(page)
        inode.later_pages -= 1
        if not later:
            del by_mib[mib]
            if not by_mib:
                del self._later[inode.ino]

    def note_later_page(self, ino: int, page: int) -> None:
        """Take in one page record while loading."""
        self._later.setdefault(ino, {}).setdefault(page // PAGES_PER_MIB, set()).add(page)

    def later_page_count(self, ino: int) -> int:
        """Return how many page records behind page 15 are known."""
        return sum(map(len, self._later.get(ino, {}).values()))

    def pages(self, inode: Inode) -> list[int]:
        """Return every page that a page record holds, in order."""
        return self.pages_between(inode, 0, _PAGES_END)

    def pages_between(self, inode: Inode, first: int, end: int) -> list[int]:
        """Return the pages in [`first`, `end`) that page records hold, in order."""
        mask = inode.page_mask
        pages = [page for page in range(first, min(end, MASKED_PAGES)) if mask >> page & 1] if mask else []
        if inode.later_pages:
            by_mib = self._later[inode.ino]
            mib = first // PAGES_PER_MIB
            last_mib = (end - 1) // PAGES_PER_MIB
            mibs = (mib,) if mib == last_mib else sorted(at for at in by_mib if mib <= at <= last_mib)
            for at in mibs:
                pages += sorted(page for page in by_mib.get(at, ()) if first <= page < end)
        return pages

    def put_blob(
        self, inode: Inode, mib: int, runs: Sequence[tuple[int, int]], blob: BlobRef, changes: ChangeSet
    ) -> None:
        """Let `blob` hold the `runs` of pages [first, end) of one MiB, packed one behind another."""
        ino = inode.ino
        pieces, freed = overlay(self.pieces(ino, mib), runs, blob)
        self._replace(ino, mib, pieces, changes)
        changes.freed += freed
        changes.new_blobs.append(blob)
        start = mib * PAGES_PER_MIB
        for first, end in runs:
            self._delete_pages(inode, self.pages_between(inode, start + first, start + end), changes)

    def cut(self, inode: Inode, pages: int, changes: ChangeSet) -> None:
        """Let nothing be stored of the pages from `pages` on."""
        ino = inode.ino
        self._delete_pages(inode, self.pages_between(inode, pages, _PAGES_END), changes)
        cut_mib = pages // PAGES_PER_MIB
        for mib, value in self.all_extents(ino):
            if mib >= cut_mib:
                pieces = unpack_extents(value)
                first = pages % PAGES_PER_MIB if mib == cut_mib else 0
                left = without_pages(pieces, first, PAGES_PER_MIB)
                if left != pieces:
                    self._replace(ino, mib, left, changes)
                    changes.freed += sorted(_names(pieces) - _names(left))

    def held_bytes(self, inode: Inode) -> int:
        """Return about how much is stored, told by whole pages and, in extents, whole MiBs."""
        held = self._extents.get(inode.ino)
        mibs = len(held) if isinstance(held, dict) else held is not None
        return (inode.page_mask.bit_count() + inode.later_pages) * PAGE_BYTES + mibs * MIB_BYTES

    def is_large(self, inode: Inode) -> bool:
        """Tell whether a body has more records than one change set should hold."""
        held = self._extents.get(inode.ino)
        return inode.later_pages + (len(held) if isinstance(held, dict) else 1) > SLICE_RECORDS

    def cut_steps(self, inode: Inode, size: int) -> list[int]:
        """Return the sizes to cut a file to, one after the other, before `size`, so that no step is large."""
        if not self.is_large(inode):
            return []
        places = [mib * MIB_BYTES for mib, _value in self.all_extents(inode.ino)]
        places += [page * PAGE_BYTES for page in self.pages_between(inode, size // PAGE_BYTES, _PAGES_END)]
        gone = sorted((place for place in places if place >= size), reverse=True)
        return gone[SLICE_RECORDS - 1 :: SLICE_RECORDS]

    def forget_some(self, inode: Inode, changes: ChangeSet) -> None:
        """Delete as many records of a large body as one change set should hold."""
        ino = inode.ino
        for mib, value in self.all_extents(ino)[:SLICE_RECORDS]:
            self._replace(ino, mib, (), changes)
            changes.freed += [blob.name for blob in blobs_of(value)]
        self._delete_pages(inode, self.pages(inode)[:SLICE_RECORDS], changes)

    def forget(self, inode: Inode, changes: ChangeSet) -> None:
        """Delete every record of a body and free its blobs."""
        self._delete_pages(inode, self.pages(inode), changes)
        for mib, value in self.all_extents(inode.ino):
            changes.records[extents_key(inode.ino, mib)] = None
            changes.freed += [blob.name for blob in blobs_of(value)]
            self.owners.replace(inode.ino, mib, value, None)
        self._extents.pop(inode.ino, None)
        self._exchanges.pop(inode.ino, None)
        self.numbers.forget(inode.ino)

    def exchanges(self, ino: int) -> int:
        """Return how often the body was exchanged: a reader that waited in between read two of them."""
        return self._exchanges.get(ino, 0)

    def exchange(self, one: Inode, two: Inode, now_ns: int, *, renumber: bool = True) -> None:
        """Let two inodes change their places of pages and extents; the records are the caller's.

        With `renumber` the kernel's numbers go with the contents.
        """
        for held in (self._extents, self._later):
            _exchange_values(held, one.ino, two.ino)
        one.page_mask, two.page_mask = two.page_mask, one.page_mask
        one.later_pages, two.later_pages = two.later_pages, one.later_pages
        for ino in (one.ino, two.ino):
            self._exchanges[ino] = self.exchanges(ino) + 1
            for mib, value in self.all_extents(ino):
                self.owners.name(ino, mib, value)
        if renumber:
            self.numbers.exchange(one.ino, two.ino, now_ns)

    def _replace(self, ino: int, mib: int, pieces: Sequence[Piece], changes: ChangeSet) -> None:
        value = pack_extents(pieces) if pieces else None
        self.set_extents(ino, mib, value)
        changes.records[extents_key(ino, mib)] = value

    def _delete_pages(self, inode: Inode, pages: Iterable[int], changes: ChangeSet) -> None:
        for page in pages:
            self.drop_page(inode, page)
            changes.records[page_key(inode.ino, page)] = None


def _exchange_values(held: dict[int, Any], one: int, two: int) -> None:
    values = held.pop(one, None), held.pop(two, None)
    held |= {ino: value for ino, value in zip((two, one), values, strict=True) if value is not None}


def _names(pieces: Iterable[Piece]) -> set[int]:
    return {piece.blob.name for piece in pieces}
