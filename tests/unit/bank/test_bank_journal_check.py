"""The scrub of a journal: damage is found while the server runs, and what merely changed is no damage."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_bank_journal_file import FILE_BYTES, KEY, author

from trivet.bank import journal_check
from trivet.bank.journal_check import JournalCheck
from trivet.bank.journal_file import Journal
from trivet.bank.journal_format import JournalList, numbers_in, part_path
from trivet.quorum.acceptor import Acceptor
from trivet.quorum.acceptor_start import fresh, start
from trivet.quorum.hash_chain import HashChain
from trivet.wire.entries import GENESIS_HASH, Entry


class Rig:
    """A journal of 20 entries in several files, its acceptor, and what is found."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.folder = folder
        self.journal = Journal(folder, KEY, FILE_BYTES)
        self.journal.open(JournalList(), 0, GENESIS_HASH)
        self.acceptor: Acceptor = start(fresh("v", 1, "a", "b", acceptor=True), HashChain(), 0, "b")[0]
        self.found: list[Exception] = []
        self.entries = author(20)
        self.write(self.entries)
        self.check = JournalCheck(
            self.journal, self.acceptor, folder, volume_key=KEY, pool=pool, on_damage=self.found.append,
            on_ended=lambda task: None,
        )  # fmt: skip

    def write(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.journal.append([entry])
        self.acceptor.chain.extend(entries)

    async def look(self) -> None:
        self.check.begin()
        assert self.check.round is not None
        async with asyncio.timeout(10):
            await self.check.round

    def spoil(self, number: int, at: int) -> None:
        """Turn one byte of a file."""
        path = part_path(self.folder, number)
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        descriptor = os.open(path, os.O_WRONLY)
        os.pwrite(descriptor, data, 0)
        os.close(descriptor)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(journal_check, "STEP_PAUSE_S", 0.0)
    monkeypatch.setattr(journal_check, "STEP_BYTES", 7000)
    with ThreadPoolExecutor(1) as pool:
        rig = Rig(tmp_path, pool)
        yield rig
        rig.journal.close()


async def test_a_whole_journal_is_whole(rig: Rig) -> None:
    assert len(numbers_in(rig.folder)) > 3
    await rig.look()
    assert rig.found == []


@pytest.mark.parametrize("at", [3, 70, 2000, 3500, 9000])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_any_byte_that_differs_is_found(rig: Rig, number: int, at: int) -> None:
    rig.spoil(number, at)
    await rig.look()
    assert len(rig.found) == 1
    assert f"file {number}," in str(rig.found[0])


async def test_another_entry_at_its_place_is_found(rig: Rig) -> None:
    """A write that went astray: an entry of this volume and slot, of another history."""
    other = author(20, mark=b"other")
    path = part_path(rig.folder, 1)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(rig.entries[1].raw, other[1].raw))
    assert path.read_bytes() != whole
    await rig.look()
    assert len(rig.found) == 1


async def test_a_file_that_is_gone_is_found(rig: Rig) -> None:
    part_path(rig.folder, 2).unlink()
    await rig.look()
    assert len(rig.found) == 1


async def test_what_is_trimmed_and_appended_meanwhile_is_no_damage(rig: Rig) -> None:
    rig.check.begin()
    await asyncio.sleep(0)
    rig.acceptor.chain.trim(12)
    rig.journal.trim(12)
    rig.journal.remove_unlisted()
    rig.write(author(5, 20, rig.entries[-1].hash))
    assert rig.check.round is not None
    await rig.check.round
    assert rig.found == []


async def test_a_log_that_is_cut_and_goes_on_differently_is_no_damage(rig: Rig) -> None:
    rig.check.begin()
    await asyncio.sleep(0)
    rig.acceptor.chain.cut(6)
    rig.journal.install(6, 6, rig.entries[5].hash)
    rig.journal.remove_unlisted()
    rig.write(author(9, 6, rig.entries[5].hash, mark=b"other"))
    assert rig.check.round is not None
    await rig.check.round
    assert rig.found == []


async def test_rounds_are_not_begun_one_upon_the_other(rig: Rig) -> None:
    await rig.look()
    first = rig.check.round
    rig.check.begin()
    assert rig.check.round is first
