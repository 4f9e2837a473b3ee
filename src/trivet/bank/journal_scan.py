"""Reading a journal as it lies on the disk: how far it is whole, and whether it should go on further.

Rule: damage is never taken for the end: what the mark or the list says was there must be there.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trivet.bank.journal_format import (
    HEADER_BYTES,
    JournalList,
    JournalPart,
    change_of,
    numbers_in,
    part_path,
    read_mark,
)
from trivet.errors import CorruptReplica
from trivet.quorum.hash_chain import HashChain
from trivet.wire.entries import LENGTH_BYTES, MAX_ENTRY_BYTES, Entry, open_entry

MARK_NAME = "mark"
_BUFFER_BYTES = 1 << 20


class ScannedPart(NamedTuple):
    """A journal file and where in it its entries begin; `tail` is behind the last of them."""

    part: JournalPart
    starts: "array[int]"
    tail: int


class Scan(NamedTuple):
    """What a journal holds; `last` is its last entry, `damaged` whether entries are missing behind it."""

    parts: list[ScannedPart]
    chain: HashChain
    last: Entry | None
    damaged: bool


def scan_journal(
    folder: Path, volume_key: bytes, journal: JournalList, floor: int, floor_hash: bytes
) -> Scan:
    """Read the journal that `journal` lists, whose entries up to `floor` (of `floor_hash`) don't count."""
    reading = _Reading(volume_key, floor, floor_hash)
    for at, part in enumerate(journal.parts):
        following = journal.parts[at + 1].first if at + 1 < len(journal.parts) else 0
        if not reading.take(folder, part, following):
            break
    else:
        last_number = journal.parts[-1].number if journal.parts else 0
        for number in numbers_in(folder):
            if number > last_number and reading.goes_on_in(folder, number, journal.change):
                reading.take(folder, JournalPart(number, reading.slot + 1), 0)
    damaged = _lacks(reading.chain, folder, volume_key, journal)
    return Scan(reading.parts, reading.chain, reading.last, damaged)


def _lacks(chain: HashChain, folder: Path, volume_key: bytes, journal: JournalList) -> bool:
    """Tell whether `chain` is without something that was appended before the server ended."""
    try:
        mark = read_mark(volume_key, (folder / MARK_NAME).read_bytes())
    except FileNotFoundError:
        mark = None
    if mark is None or mark.change != journal.change:
        # The mark is written with every change of the list, so nothing was appended under this one yet.
        return (chain.head, chain.head_hash) != (journal.head, journal.head_hash)
    return not chain.joins(mark.head, mark.head_hash)


class _Reading:
    """Entries so far, each checked against the one before."""

    def __init__(self, volume_key: bytes, floor: int, floor_hash: bytes) -> None:
        self._key = volume_key
        self._hash: bytes | None = None
        self.slot = floor
        self.parts: list[ScannedPart] = []
        self.chain = HashChain(floor, floor_hash)
        self.last: Entry | None = None

    def goes_on_in(self, folder: Path, number: int, change: int) -> bool:
        """Tell whether the file `number` was begun as a continuation under `change`."""
        with part_path(folder, number).open("rb") as file:
            return change_of(self._key, number, file.read(HEADER_BYTES)) == change

    def take(self, folder: Path, part: JournalPart, following: int) -> bool:
        """Read one file; return whether it was whole up to its end (and up to slot `following`, if not 0)."""
        if not self.parts:
            if part.first > self.chain.floor + 1:
                return False
            self.slot = part.first - 1
        elif part.first != self.slot + 1:
            return False
        starts = array("I")
        tail = HEADER_BYTES
        try:
            with part_path(folder, part.number).open("rb", buffering=_BUFFER_BYTES) as file:
                if change_of(self._key, part.number, file.read(HEADER_BYTES)) is None:
                    return False
                for entry in self._entries(file, part.end):
                    starts.append(tail)
                    tail += len(entry.raw)
        except FileNotFoundError:
            return False
        if starts:
            self.parts.append(ScannedPart(part, starts, tail))
        return (not part.end or tail == part.end) and (not following or self.slot + 1 == following)

    def _entries(self, file: BinaryIO, end: int) -> Iterator[Entry]:
        while not end or file.tell() < end:
            prefix = file.read(LENGTH_BYTES)
            length = int.from_bytes(prefix, "big")
            if not 0 < length <= MAX_ENTRY_BYTES:
                return
            try:
                entry = open_entry(self._key, prefix + file.read(length))
            except CorruptReplica:
                return
            if not self._follows(entry):
                return
            self.slot, self._hash, self.last = entry.slot, entry.hash, entry
            if entry.slot > self.chain.floor:
                self.chain.extend([entry])
            yield entry

    def _follows(self, entry: Entry) -> bool:
        chain = self.chain
        if entry.slot != self.slot + 1:
            return False
        if entry.slot == chain.floor:
            return entry.hash == chain.floor_hash
        if entry.slot == chain.floor + 1:
            return entry.previous_hash == chain.floor_hash
        return self._hash is None or entry.previous_hash == self._hash
