"""Files spoilt under a server that runs: right bytes or ones that tell they are wrong, and no crash loop."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bank_process import BankProcess, Keeper, random_blob, root_for
from file_damage import drop, empty
from trivet.wire.bank_messages import (
    BlobData,
    DeleteBlobs,
    GetBlob,
    ServerStat,
    Stat,
)
from trivet.wire.blobs import BlobRef, is_intact
from trivet.wire.entries import RecordOp
from trivet.wire.journal_messages import Appended, Done, Refusal

FAILED_EXIT_CODE = 3


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    server = BankProcess.of_new_volume(tmp_path)
    server.start()
    keeper = await Keeper.connect(server)
    await keeper.form()
    await keeper.append([RecordOp(b"i/a", 0, b"x")], sync=True)
    yield keeper
    await keeper.link.close()
    server.end()


@pytest.mark.parametrize("damage", [drop, empty])
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
        for name in range(1, 400):  # a journal file ahead may come and go meanwhile
            answer = await keeper.put_blob(name, blob)
            if not isinstance(answer, Refusal):
                stored.append(name)
                continue
            assert answer.reason == "space"
            stat = await keeper.ask(Stat())
            assert isinstance(stat, ServerStat)
            if stat.full:
                break
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
