"""Files spoilt under open stores: right bytes, or ones that tell they are wrong, and all can be repaired."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bank_in_process import BankInProcess
from bank_process import Keeper, random_blob, root_for
from file_damage import cut, drop, empty, flip, garbage, speckle
from trivet.wire.bank_messages import (
    BlobData,
    BlobNames,
    Digest,
    Digests,
    GetBlob,
    GetRecords,
    ListBlobs,
    PutRows,
    Rows,
)
from trivet.wire.blobs import BlobRef, is_intact
from trivet.wire.entries import Epoch, RecordOp
from trivet.wire.journal_messages import Done
from trivet.wire.records import Row, record_mac, row_is_valid

RECORDS = 400
KEYS = [b"i/%05d" % number for number in range(RECORDS)]


def value_of(key: bytes) -> bytes:
    return key * 40


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
    await keeper.append([RecordOp(key, 0, value_of(key)) for key in KEYS], sync=True)
    await keeper.heartbeat(1)
    assert await digest(keeper) == (RECORDS, 0)
    return keeper


async def digest(keeper: Keeper) -> tuple[int, int]:
    """Return (rows, damaged rows) of the records now."""
    while True:
        digests = await keeper.ask(Digest(keeper.head))
        assert isinstance(digests, Digests)
        if digests.at >= 0:
            return digests.rows, len(digests.damaged)


@pytest.mark.parametrize("damage", [drop, cut, empty, garbage, speckle])
async def test_records_spoilt_while_running_are_found_and_can_be_repaired(
    keeper: Keeper, damage: Callable[[Path], None]
) -> None:
    server = keeper.server
    for path in list(server.own.glob("records.sqlite*")):
        damage(path)
    rows = await keeper.ask(GetRecords(KEYS))
    assert isinstance(rows, Rows)
    assert all(row.value == value_of(row.key) for row in rows.rows if row_is_valid(server.key, row))
    await digest(keeper)
    whole = [Row(key, 1, value_of(key), record_mac(server.key, key, 1, value_of(key))) for key in KEYS]
    assert await keeper.ask(PutRows(whole, keeper.epoch)) == Done()
    assert await digest(keeper) == (RECORDS, 0)
    await server.crash()
    await server.open()
    assert (await keeper.identity()).standing == "voter"
    assert await digest(keeper) == (RECORDS, 0)


async def test_a_flipped_row_is_named_by_the_digest(keeper: Keeper) -> None:
    server = keeper.server
    await server.stop()
    await server.open()
    path = server.own / "records.sqlite"
    at = path.read_bytes().index(value_of(KEYS[200]))
    flip(path, at + 100)
    damaged = await keeper.ask(Digest(1))
    assert isinstance(damaged, Digests)
    assert damaged.damaged == [KEYS[200]]


def swap_with_older(path: Path) -> None:
    older = path.with_name("older")
    older.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    older.rename(path)


@pytest.mark.parametrize("damage", [drop, cut, empty, garbage, swap_with_older])
async def test_blobs_spoilt_while_running_are_lost_copies(
    keeper: Keeper, damage: Callable[[Path], None]
) -> None:
    blobs = {name: random_blob(100_000) for name in range(1, 21)}
    for name, data in blobs.items():
        await keeper.put_blob(name, data)
    [segment] = (keeper.server.own / "segments").iterdir()
    damage(segment)
    listed = await keeper.ask(ListBlobs(0, 100))
    assert isinstance(listed, BlobNames)
    good = 0
    for name, data in blobs.items():
        good += await holds(keeper, name, data)
        assert await keeper.put_blob(name, data, replace=True) == Done()
    assert good < len(blobs)
    assert all([await holds(keeper, name, data) for name, data in blobs.items()])
    await keeper.server.crash()
    await keeper.server.open()
    assert all([await holds(keeper, name, data) for name, data in blobs.items()])


async def holds(keeper: Keeper, name: int, data: bytes) -> bool:
    found, body = await keeper.link.request(GetBlob(name, 0, len(data)), timeout_s=10)
    assert isinstance(found, BlobData)
    ref = BlobRef(name, len(data), root_for(data))
    return found.found and len(body) == len(data) and is_intact(ref, found.hashes, 0, body)
