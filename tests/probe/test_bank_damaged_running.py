"""Files spoilt under a server that runs: right bytes or ones that tell they are wrong, and no crash loop."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bank_process import BankProcess, Keeper, random_blob, root_for
from file_damage import cut, drop, empty, flip, garbage, speckle
from trivet.wire.bank_messages import (
    BlobData,
    BlobNames,
    DeleteBlobs,
    Digest,
    Digests,
    GetBlob,
    GetRecords,
    ListBlobs,
    PutRows,
    Rows,
    ServerStat,
    Stat,
)
from trivet.wire.blobs import BlobRef, is_intact
from trivet.wire.entries import RecordOp
from trivet.wire.journal_messages import Appended, Done, Refusal
from trivet.wire.records import Row, record_mac, row_is_valid

RECORDS = 400
KEYS = [b"i/%05d" % number for number in range(RECORDS)]
FAILED_EXIT_CODE = 3


def value_of(key: bytes) -> bytes:
    return key * 40


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    server = BankProcess.of_new_volume(tmp_path)
    server.start()
    keeper = await Keeper.connect(server)
    await keeper.form()
    await keeper.append([RecordOp(key, 0, value_of(key)) for key in KEYS], sync=True)
    await keeper.heartbeat(1)
    assert await digest(keeper) == (RECORDS, 0)
    yield keeper
    await keeper.link.close()
    server.end()


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
    assert await keeper.ask(PutRows(whole)) == Done()
    assert await digest(keeper) == (RECORDS, 0)
    server.kill()
    server.start()
    again = await Keeper.connect(server)
    assert (await again.identity()).standing == "voter"
    again.head = 1
    assert await digest(again) == (RECORDS, 0)
    await again.link.close()


async def test_a_flipped_row_is_named_by_the_digest(keeper: Keeper) -> None:
    server = keeper.server
    server.stop()
    server.start()
    again = await Keeper.connect(server)
    again.head = 1
    path = server.own / "records.sqlite"
    at = path.read_bytes().index(value_of(KEYS[200]))
    flip(path, at + 100)
    damaged = await again.ask(Digest(1))
    assert isinstance(damaged, Digests)
    assert damaged.damaged == [KEYS[200]]
    await again.link.close()


@pytest.mark.parametrize("damage", [drop, empty, cut])
async def test_a_journal_taken_away_ends_the_server_and_makes_it_suspect(
    keeper: Keeper, damage: Callable[[Path], None]
) -> None:
    server = keeper.server
    [path] = (server.own / "journal").glob("*.log")
    damage(path)
    assert await asyncio.to_thread(server.wait) == FAILED_EXIT_CODE
    assert "was deleted or cut" in server.log()
    server.start()
    again = await Keeper.connect(server)
    assert (await again.identity()).standing == "suspect"
    await again.link.close()


async def test_a_folder_deleted_under_a_server_leaves_an_empty_one(keeper: Keeper) -> None:
    server = keeper.server
    shutil.rmtree(server.own)
    assert await asyncio.to_thread(server.wait) == FAILED_EXIT_CODE
    server.start()
    again = await Keeper.connect(server)
    assert (await again.identity()).standing == "empty"
    await again.form()
    await again.link.close()


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
    keeper.server.kill()
    keeper.server.start()
    again = await Keeper.connect(keeper.server)
    assert all([await holds(again, name, data) for name, data in blobs.items()])
    await again.link.close()


async def holds(keeper: Keeper, name: int, data: bytes) -> bool:
    found, body = await keeper.link.request(GetBlob(name, 0, len(data)), timeout_s=10)
    assert isinstance(found, BlobData)
    ref = BlobRef(name, len(data), root_for(data))
    return found.found and len(body) == len(data) and is_intact(ref, found.hashes, 0, body)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "none", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def test_a_full_disk_refuses_blobs_and_still_commits(small_disk: Path) -> None:
    server = BankProcess.of_new_volume(small_disk)
    server.start()
    try:
        keeper = await Keeper.connect(server)
        await keeper.form()
        await keeper.append([RecordOp(b"i/before", 0, b"x")], sync=True)
        blob = random_blob(1 << 20)
        stored = []
        refusal = None
        for name in range(1, 200):
            answer = await keeper.put_blob(name, blob)
            if isinstance(answer, Refusal):
                refusal = answer
                break
            stored.append(name)
        assert refusal is not None
        assert refusal.reason == "space"
        stat = await keeper.ask(Stat())
        assert isinstance(stat, ServerStat)
        assert stat.full
        for number in range(50):
            appended = await keeper.append([RecordOp(b"i/%d" % number, 0, bytes(4096))], sync=True)
            assert isinstance(appended, Appended)
        await keeper.heartbeat(keeper.head)
        assert await holds(keeper, stored[0], blob)
        server.kill()
        server.start()
        again = await Keeper.connect(server)
        identity = await again.identity()
        assert (identity.standing, identity.head) == ("voter", keeper.head)
        assert await again.ask(DeleteBlobs(stored[: len(stored) // 2])) == Done()
        assert await again.put_blob(1000, blob) == Done()
        stat = await again.ask(Stat())
        assert isinstance(stat, ServerStat)
        assert not stat.full
        await again.link.close()
        await keeper.link.close()
        assert server.stop() == 0
    finally:
        server.end()
