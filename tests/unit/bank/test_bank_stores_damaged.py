"""Records and blobs of a server broken between two starts: right bytes, or none, and it says so."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bank_in_process import BankInProcess
from bank_process import Keeper, random_blob, root_for
from file_damage import cut, drop, empty, flip, garbage, speckle
from trivet.wire.bank_messages import (
    BlobNames,
    Digest,
    Digests,
    GetBlob,
    GetRecords,
    ListBlobs,
    Rows,
    Scrubbed,
    ScrubBlobs,
)
from trivet.wire.entries import Epoch, RecordOp
from trivet.wire.journal_messages import Identity, Trim
from trivet.wire.records import row_is_valid

ENTRIES = 40
KEYS = [b"i/%03d" % number for number in range(ENTRIES)]


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[BankInProcess]:
    bank = BankInProcess(tmp_path)
    await bank.open()
    yield bank
    await bank.crash()
    assert bank.failures == []


@pytest.fixture
async def keeper(bank: BankInProcess) -> Keeper:
    keeper = Keeper(bank, bank, Epoch(1, 1))
    await keeper.form()
    for number, key in enumerate(KEYS):
        await keeper.append([RecordOp(key, 0, b"value %d" % number)])
    return keeper


async def trim_and_stop(keeper: Keeper) -> None:
    await keeper.heartbeat(ENTRIES)
    await keeper.ask(Digest(ENTRIES))
    trimmed = await keeper.ask(Trim(30))
    assert isinstance(trimmed, Identity)
    assert trimmed.floor == 30
    await keeper.server.stop()


@pytest.mark.parametrize("damage", [drop, cut, empty, garbage, speckle])
async def test_damaged_records_start_over_from_the_journal_and_say_what_they_lack(
    bank: BankInProcess, keeper: Keeper, damage: Callable[[Path], None]
) -> None:
    await trim_and_stop(keeper)
    damage(bank.own / "records.sqlite")
    await bank.open()
    identity = await keeper.identity()
    assert (identity.standing, identity.head) == ("voter", ENTRIES)
    rows = await keeper.ask(GetRecords(KEYS))
    assert isinstance(rows, Rows)
    values = {row.key: row.value for row in rows.rows if row_is_valid(bank.key, row)}
    assert all(values[key] == b"value %d" % KEYS.index(key) for key in values)
    assert set(KEYS[30:]) <= set(values)
    await keeper.heartbeat(ENTRIES)
    digests = await keeper.ask(Digest(ENTRIES))
    assert isinstance(digests, Digests)
    assert digests.rows - len(digests.damaged) < ENTRIES


async def test_records_rolled_back_are_brought_forward_from_the_journal(
    bank: BankInProcess, keeper: Keeper
) -> None:
    await keeper.heartbeat(20)
    before = await keeper.ask(Digest(20))
    await bank.stop()
    shutil.copy(bank.own / "records.sqlite", bank.own / "old")
    await bank.open()
    await keeper.heartbeat(ENTRIES)
    after = await keeper.ask(Digest(ENTRIES))
    await bank.stop()
    shutil.move(bank.own / "old", bank.own / "records.sqlite")
    await bank.open()
    assert isinstance(before, Digests)
    assert before.rows == 20
    assert await keeper.ask(Digest(ENTRIES)) == after


async def test_damaged_segments_lose_their_copies_only(bank: BankInProcess, keeper: Keeper) -> None:
    blobs = {name: random_blob(20_000) for name in range(1, 30)}
    for name, data in blobs.items():
        await keeper.put_blob(name, data)
    [segment] = (bank.own / "segments").iterdir()
    await bank.stop()
    stored = 20480
    flip(segment, 3 * stored + 30)  # the header of the fourth
    flip(segment, 5 * stored + 5000)  # a byte of the sixth
    os.truncate(segment, 28 * stored + 100)  # the last is torn
    await bank.open()
    listed = await keeper.ask(ListBlobs(0, 100))
    assert isinstance(listed, BlobNames)
    assert [name for name, _, _ in listed.blobs] == [name for name in blobs if name not in (4, 29)]
    assert all(root == root_for(blobs[name]) for name, _, root in listed.blobs)
    scrubbed = await keeper.ask(ScrubBlobs(0, 1 << 30))
    assert isinstance(scrubbed, Scrubbed)
    assert scrubbed.bad == [6]
    for name in (4, 6, 29):
        await keeper.put_blob(name, blobs[name], replace=True)
    assert (await keeper.ask(ScrubBlobs(0, 1 << 30))).bad == []  # type: ignore[attr-defined]
    await bank.crash()
    await bank.open()
    for name, data in blobs.items():
        assert bytes((await bank.request(GetBlob(name, 0, 20_000)))[1]) == data
