"""The journal of one server: entries one behind another in files with room ahead.

Rule: an append is one write(2) of whole entries; the mark follows, and whoever needs them safe syncs then.
Rule: cutting, dropping, trimming and installing change the list in memory first; they count once the list
is stored with the meta, and files that no list names are removed only then.
Rule: there is always a file ahead, so that deleting still works when the disk is full.
"""

import os
import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from trivet.bank.journal_format import (
    FILE_BYTES,
    HEADER_BYTES,
    JournalList,
    JournalPart,
    Mark,
    Stretch,
    numbers_in,
    pack_file_header,
    pack_mark,
    part_path,
)
from trivet.bank.journal_scan import MARK_NAME, Scan, ScannedPart, scan_journal
from trivet.errors import CorruptReplica
from trivet.io.disk import reserve, sync_folder, write_whole
from trivet.wire.entries import GENESIS_HASH, Entry, open_entry

_SPARE_NAME = "spare"


class _Part:
    """One open journal file."""

    __slots__ = ("dirty", "end", "fd", "first", "number", "size", "starts", "tail")

    def __init__(self, scanned: ScannedPart, fd: int) -> None:
        self.number = scanned.part.number
        self.first = scanned.part.first
        self.end = scanned.part.end
        self.starts = scanned.starts
        self.tail = scanned.tail
        self.fd = fd
        self.size = os.fstat(fd).st_size
        self.dirty = False

    @property
    def last(self) -> int:
        """The slot of the last entry."""
        return self.first + len(self.starts) - 1

    def place(self, slot: int) -> tuple[int, int]:
        """Return where the entry of `slot` begins and ends."""
        at = slot - self.first
        return self.starts[at], self.starts[at + 1] if at + 1 < len(self.starts) else self.tail


class Journal:
    """The journal in `folder`; `file_bytes` is the size of one file."""

    def __init__(self, folder: Path, volume_key: bytes, file_bytes: int = FILE_BYTES) -> None:
        self._folder = folder
        self._key = volume_key
        self._file_bytes = file_bytes
        self._parts: list[_Part] = []
        self._staged: list[_Part] = []
        self._next_number = 1
        self._change = 0
        self._head = 0
        self._head_hash = GENESIS_HASH
        self._mark_fd = -1
        self._has_spare = False
        self._making_spare = threading.Lock()
        self._folder_dirty = False

    def open(self, journal: JournalList, floor: int, floor_hash: bytes) -> Scan:
        """Read the journal that `journal` lists and sync all that is readable; appends go on behind that."""
        self._folder.mkdir(parents=True, exist_ok=True)
        scan = scan_journal(self._folder, self._key, journal, floor, floor_hash)
        self._change = journal.change
        self._next_number = max(numbers_in(self._folder), default=0) + 1
        self._head, self._head_hash = scan.chain.head, scan.chain.head_hash
        for scanned in scan.parts:
            part = _Part(scanned, os.open(part_path(self._folder, scanned.part.number), os.O_RDWR))
            os.fdatasync(part.fd)
            self._parts.append(part)
        self._mark_fd = os.open(self._folder / MARK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        if scan.damaged and self._parts:
            self._parts[-1].end = self._parts[-1].tail  # what stands behind the damage is not written over
        spare = self._folder / _SPARE_NAME
        self._has_spare = spare.exists() and spare.stat().st_size == self._file_bytes
        sync_folder(self._folder)
        return scan

    def listed(self) -> JournalList:
        """Return the list to store with the meta."""
        parts = [JournalPart(part.number, part.first, part.end) for part in self._parts]
        return JournalList(parts, self._change, self._head, self._head_hash)

    def has_room(self, size: int, *, staged: bool) -> bool:
        """Tell whether entries of `size` bytes can be appended or staged without asking for blocks."""
        parts = self._staged if staged else self._parts
        return self._has_spare or (bool(parts) and self._fits(parts[-1], size))

    def check(self) -> None:
        """Raise CorruptReplica when the file being written was deleted or cut by somebody else."""
        if self._parts:
            status = os.fstat(self._parts[-1].fd)
            if not status.st_nlink or status.st_size < self._parts[-1].size:
                raise CorruptReplica(f"journal file {self._parts[-1].number} was deleted or cut")

    @property
    def wants_spare(self) -> bool:
        """Whether `make_spare` should be called."""
        return not self._has_spare

    def make_spare(self) -> None:
        """Make the file ahead; blocks until it has its blocks, raises OSError when the disk is full."""
        with self._making_spare:
            if self._has_spare:
                return
            path = self._folder / _SPARE_NAME
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                reserve(fd, self._file_bytes)
                os.fsync(fd)
            except OSError:
                path.unlink()
                raise
            finally:
                os.close(fd)
            sync_folder(self._folder)
            self._has_spare = True

    def append(self, entries: Sequence[Entry]) -> None:
        """Write `entries` behind the last one; `write_mark` is to follow."""
        self._write(self._parts, entries, self._change)
        self._head, self._head_hash = entries[-1].slot, entries[-1].hash

    def write_mark(self) -> None:
        """Write down where the journal ends."""
        mark = Mark(self._change, self._head, self._head_hash)
        os.pwrite(self._mark_fd, pack_mark(self._key, mark), 0)

    def stage_begin(self) -> None:
        """Forget what was staged."""
        for part in self._staged:
            os.close(part.fd)
            part_path(self._folder, part.number).unlink()
        self._staged = []

    def stage(self, entries: Sequence[Entry]) -> None:
        """Write `entries` beside the journal."""
        self._write(self._staged, entries, self._change + 1)

    def _write(self, parts: list[_Part], entries: Sequence[Entry], change: int) -> None:
        at = 0
        while at < len(entries):
            if not parts or not self._fits(parts[-1], len(entries[at].raw)):
                parts.append(self._begin_file(entries[at].slot, change))
            part = parts[-1]
            raws = []
            end = part.tail
            while at < len(entries) and end + len(entries[at].raw) <= self._file_bytes:
                raws.append(entries[at].raw)
                part.starts.append(end)
                end += len(entries[at].raw)
                at += 1
            write_whole(part.fd, raws if len(raws) == 1 else [b"".join(raws)], part.tail)
            part.tail = end
            part.dirty = True

    def _fits(self, part: _Part, size: int) -> bool:
        return not part.end and part.tail + size <= self._file_bytes

    def _begin_file(self, first: int, change: int) -> _Part:
        if not self._has_spare:
            self.make_spare()
        number = self._next_number
        self._next_number += 1
        path = part_path(self._folder, number)
        (self._folder / _SPARE_NAME).rename(path)
        self._has_spare = False
        self._folder_dirty = True
        fd = os.open(path, os.O_RDWR)
        write_whole(fd, [pack_file_header(self._key, number, change)], 0)
        return _Part(ScannedPart(JournalPart(number, first), array("I"), HEADER_BYTES), fd)

    def install(self, keep_through: int, head: int, head_hash: bytes) -> None:
        """Let the journal be its entries up to `keep_through` (-1: none) and all that was staged.

        It then ends at (`head`, `head_hash`).
        """
        for part in self._parts:
            if part.first > keep_through:
                os.close(part.fd)
            elif part.last > keep_through:
                part.tail = part.end = part.place(keep_through)[1]
                del part.starts[keep_through - part.first + 1 :]
        self._parts = [part for part in self._parts if part.first <= keep_through] + self._staged
        self._staged = []
        self._change += 1
        self._head, self._head_hash = head, head_hash

    def trim(self, floor: int) -> None:
        """Leave out the files with nothing above `floor`."""
        for part in self._parts[:-1]:
            if part.last <= floor:
                os.close(part.fd)
        self._parts = [part for part in self._parts[:-1] if part.last > floor] + self._parts[-1:]

    def remove_unlisted(self, aside: Path | None = None) -> None:
        """Delete the files that no longer count, or move them to `aside`; only after the list was stored.

        Files that count but are not written any more give the room behind their last entry back: every
        takeover begins a file, and on a full disk that is the room for the next one.
        """
        for part in self._parts[:-1]:
            if part.size > part.tail:
                os.ftruncate(part.fd, part.tail)
                part.size = part.tail
        kept = {part.number for part in (*self._parts, *self._staged)}
        for number in numbers_in(self._folder):
            path = part_path(self._folder, number)
            if number not in kept and aside is not None:
                aside.mkdir(exist_ok=True)
                path.rename(aside / path.name)
            elif number not in kept:
                path.unlink(missing_ok=True)
        sync_folder(self._folder)

    def take_dirty(self) -> tuple[list[int], Path | None]:
        """Return what to sync so that everything written so far is safe, and take it as done.

        Descriptors are the caller's to close; the folder, if given, is to be synced too. Raises
        CorruptReplica when the file being written was deleted or cut by somebody else.
        """
        self.check()
        dirty = [os.dup(part.fd) for part in (*self._parts, *self._staged) if part.dirty]
        for part in (*self._parts, *self._staged):
            part.dirty = False
        folder = self._folder if self._folder_dirty else None
        self._folder_dirty = False
        return dirty, folder

    def read(self, first: int, max_bytes: int) -> bytes:
        """Return the raw entries from `first` on, at most `max_bytes` of them but at least one."""
        chunks: list[bytes] = []
        size = 0
        for part in self._parts:
            if part.last < first:
                continue
            start, end = part.place(max(first, part.first))
            at = max(first, part.first)
            while at < part.last and size + part.place(at + 1)[1] - start <= max_bytes:
                at += 1
                end = part.place(at)[1]
            if chunks and size + end - start > max_bytes:
                break
            chunks.append(os.pread(part.fd, end - start, start))
            size += end - start
            if at < part.last:
                break
        return b"".join(chunks)

    def stretch(self, slot: int, max_bytes: int) -> Stretch | None:
        """Return where entries from `slot` on (or the first behind it) stand in one file, None: nowhere."""
        part = next((part for part in self._parts if part.starts and part.last >= slot), None)
        if part is None:
            return None
        at = max(slot - part.first, 0)
        begin = part.starts[at]
        behind = max(bisect_right(part.starts, begin + max_bytes, at) - 1, at + 1)
        end = part.starts[behind] if behind < len(part.starts) else part.tail
        return Stretch(part.number, part.first + at, part.first + behind - 1, begin, end)

    def entries_after(self, slot: int) -> Iterator[Entry]:
        """Yield the entries behind `slot` (from the first there is); raises CorruptReplica on damage."""
        for part in self._parts:
            for at in range(max(slot + 1, part.first), part.last + 1):
                start, end = part.place(at)
                yield open_entry(self._key, os.pread(part.fd, end - start, start))

    def close(self) -> None:
        """Close all files."""
        for part in (*self._parts, *self._staged):
            os.close(part.fd)
        os.close(self._mark_fd)
        self._parts = self._staged = []
