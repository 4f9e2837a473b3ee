"""The journal with small files: rolling over, cutting, trimming, and going on where the list ends."""

from pathlib import Path

import pytest

from trivet.bank.journal_file import Journal
from trivet.bank.journal_format import JournalList
from trivet.bank.journal_scan import Scan
from trivet.errors import CorruptReplica
from trivet.wire.entries import GENESIS_HASH, Entry, EntryBody, Epoch, RecordOp, seal_entry, split_entries

KEY = bytes(range(32))
FILE_BYTES = 16 << 10


def author(count: int, slot: int = 0, previous: bytes = GENESIS_HASH, *, mark: bytes = b"") -> list[Entry]:
    entries = []
    for _ in range(count):
        slot += 1
        body = EntryBody(0, [RecordOp(b"i/x", 0, mark.ljust(3000, b"."))])
        entries.append(seal_entry(KEY, slot, Epoch(1, 1), previous, body))
        previous = entries[-1].hash
    return entries


def reopened(folder: Path, listed: JournalList, floor: int = 0, floor_hash: bytes = GENESIS_HASH) -> Scan:
    journal = Journal(folder, KEY, FILE_BYTES)
    scan = journal.open(listed, floor, floor_hash)
    journal.close()
    return scan


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path, KEY, FILE_BYTES)
    journal.open(JournalList(), 0, GENESIS_HASH)
    return journal


def test_files_begun_after_the_list_was_stored_still_count(journal: Journal, tmp_path: Path) -> None:
    stored = journal.listed()
    entries = author(23)
    for entry in entries[:20]:
        journal.append([entry])
    journal.write_mark()
    for entry in entries[20:]:  # killed between the last appends and their mark
        journal.append([entry])
    scan = reopened(tmp_path, stored)
    assert len(scan.parts) > 3
    assert (scan.chain.head, scan.chain.head_hash, scan.damaged) == (23, entries[-1].hash, False)


def test_many_entries_in_one_append_go_over_several_files(journal: Journal, tmp_path: Path) -> None:
    entries = author(12)
    journal.append(entries)
    assert split_entries(journal.read(1, 1 << 20)) == [entry.raw for entry in entries]
    assert split_entries(journal.read(4, 7000)) == [entry.raw for entry in entries[3:5]]
    assert [entry.slot for entry in journal.entries_after(9)] == [10, 11, 12]
    assert reopened(tmp_path, journal.listed()).chain.head == 12


@pytest.mark.parametrize("kept", [0, 2, 5, 7, 12])
def test_an_installed_tail_takes_the_place_of_what_stood_there(
    journal: Journal, tmp_path: Path, kept: int
) -> None:
    old = author(12, mark=b"old")
    journal.append(old)
    previous = old[kept - 1].hash if kept else GENESIS_HASH
    new = author(6, kept, previous, mark=b"new")
    journal.stage_begin()
    journal.stage(new)
    assert reopened(tmp_path, journal.listed()).chain.head == 12, (
        "nothing staged counts before the list says so"
    )
    journal.install(kept if kept else -1, new[-1].slot, new[-1].hash)
    journal.write_mark()
    stored = journal.listed()
    journal.remove_unlisted()
    later = author(3, new[-1].slot, new[-1].hash)
    journal.append(later)
    scan = reopened(tmp_path, stored)
    assert (scan.chain.head, scan.chain.head_hash) == (kept + 9, later[-1].hash)
    assert not scan.damaged
    raws = split_entries(journal.read(1, 1 << 20))
    assert raws == [entry.raw for entry in (*old[:kept], *new, *later)]


def test_a_cut_with_nothing_staged_goes_on_in_a_new_file(journal: Journal, tmp_path: Path) -> None:
    old = author(4)
    journal.append(old)
    journal.install(2, 2, old[1].hash)
    journal.write_mark()
    stored = journal.listed()
    again = author(2, 2, old[1].hash, mark=b"again")
    journal.append(again)
    scan = reopened(tmp_path, stored)
    assert (scan.chain.head, scan.chain.head_hash, scan.damaged) == (4, again[-1].hash, False)


def test_trimming_drops_whole_files_and_never_the_last(journal: Journal, tmp_path: Path) -> None:
    entries = author(12)
    journal.append(entries)
    journal.trim(9)
    journal.remove_unlisted()
    stored = journal.listed()
    assert stored.parts[0].first <= 10
    scan = reopened(tmp_path, stored, 9, entries[8].hash)
    assert (scan.chain.floor, scan.chain.head, scan.damaged) == (9, 12, False)
    journal.trim(12)
    assert len(journal.listed().parts) == 1


def test_a_file_of_another_number_is_not_taken(journal: Journal, tmp_path: Path) -> None:
    journal.append(author(12))
    stored = journal.listed()
    first, second = sorted(tmp_path.glob("*.log"))[:2]
    first.rename(tmp_path / "swapped")
    second.rename(first)
    (tmp_path / "swapped").rename(second)
    scan = reopened(tmp_path, stored)
    assert (scan.chain.head, scan.damaged) == (0, True)


def test_a_file_cut_under_the_journal_is_noticed_before_the_sync_counts(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(author(1))
    [path] = tmp_path.glob("*.log")
    path.unlink()
    with pytest.raises(CorruptReplica, match="deleted or cut"):
        journal.take_dirty()


def test_files_behind_which_another_was_begun_give_their_room_back(journal: Journal, tmp_path: Path) -> None:
    entries = author(3)
    journal.append(entries[:2])
    journal.stage_begin()
    journal.stage(entries[2:])
    journal.install(2, 3, entries[2].hash)
    journal.write_mark()
    journal.remove_unlisted()
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.log"))]
    assert sizes[0] < FILE_BYTES == sizes[1]
    assert split_entries(journal.read(1, 1 << 20)) == [entry.raw for entry in entries]
    scan = reopened(tmp_path, journal.listed())
    assert (scan.chain.head, scan.damaged) == (3, False)


def test_room_ahead_takes_nothing_when_there_is_not_enough(tmp_path: Path) -> None:
    journal = Journal(tmp_path, KEY, 1 << 50)
    journal.open(JournalList(), 0, GENESIS_HASH)
    with pytest.raises(OSError, match="No space left"):
        journal.make_spare()
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]
    journal.close()
