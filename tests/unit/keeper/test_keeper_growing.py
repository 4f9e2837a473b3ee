"""A bank that is given one more server while the drive serves: blobs move there, nobody misses one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from small_drive import ServedBank, SmallDrive, small_drive
from trivet.client.bank_pool import LOOK_EVERY_S, BankPool
from trivet.client.blob_transfer import BlobTransfer
from trivet.keeper.findings import NamedBlobs
from trivet.keeper.keeper import Keeper
from trivet.wire.blobs import BlobRef

BODY = bytes(range(256)) * 2000
FILES = 24


@pytest.fixture
async def drive(tmp_path: Path) -> AsyncIterator[SmallDrive]:
    async with small_drive(tmp_path) as drive:
        for number in range(FILES):
            await drive.write(b"%d" % number, BODY)
        yield drive


def refs(drive: SmallDrive) -> dict[int, BlobRef]:
    return dict(NamedBlobs(drive.loaded.volume.space).refs)


def held(server: ServedBank, names: dict[int, BlobRef]) -> set[int]:
    return {name for name in names if server.place.blobs.index.get(name) is not None}


async def add_server(drive: SmallDrive) -> ServedBank:
    """Add a server to the last bank as the supervisor does, without telling the keeper."""
    config = drive.folder.read_config()
    base = config.bases[2]
    drive.folder.store_config(config.grown(base, 1))
    server = ServedBank(drive.folder.path, base + 1)
    await server.listen()
    drive.banks[2].append(server)
    return server


async def test_blobs_move_to_a_server_that_is_added_and_repair_has_no_part_in_it(drive: SmallDrive) -> None:
    names = refs(drive)
    new = await add_server(drive)
    await drive.ask("grow")
    await drive.until(lambda: new.port in drive.loaded.refresher._returned)
    assert not (await drive.ask("status"))["healthy"]
    await drive.until(lambda: drive.loaded.refresher.is_compared(new.port))
    old = drive.banks[2][0]
    assert held(old, names) | held(new, names) == set(names)
    assert not held(old, names) & held(new, names)
    assert held(new, names) == {n for n in names if drive.loaded.blobs.home_of(n, 2).port == new.port}
    assert len(held(new, names)) > FILES / 8
    assert drive.loaded.history.total == 0
    for number in range(FILES):
        assert await drive.read(b"%d" % number) == BODY


async def test_a_blob_that_is_still_to_be_moved_is_not_missing(drive: SmallDrive) -> None:
    names = refs(drive)
    new = await add_server(drive)
    async with drive.loaded.refresher.busy:  # so that nothing is moved yet
        await drive.ask("grow")
        await drive.until(lambda: drive.keeper.fleet.server_at(new.port).is_up)
        named = NamedBlobs(drive.loaded.volume.space)
        assert await drive.loaded.queue.blobs.check_these(drive.keeper.fleet.banks[2], named) == {}
        lost = next(n for n in names if drive.loaded.blobs.home_of(n, 2).port == new.port)
        await drive.banks[2][0].place.blobs.delete([lost])
        flaws = await drive.loaded.queue.blobs.check_these(drive.keeper.fleet.banks[2], named)
        assert {name: server.port for name, (server, _) in flaws.items()} == {lost: new.port}


async def test_a_keeper_that_began_before_looks_again_when_it_takes_over(drive: SmallDrive) -> None:
    await drive.keeper.close()
    drive.keeper = Keeper(drive.folder, None, 3600.0)
    await drive.keeper.start()
    new = await add_server(drive)
    await drive.keeper.take_over()
    assert [server.port for server in drive.keeper.fleet.banks[2]] == [new.port - 1, new.port]


async def test_a_client_finds_what_was_moved_to_a_server_it_did_not_know(drive: SmallDrive) -> None:
    names = refs(drive)
    bad: list[int] = []  # bases of banks without a good copy
    pool = BankPool(drive.folder)
    transfer = BlobTransfer(pool, lambda name, base, well: None, lambda name, base: bad.append(base))
    try:
        new = await add_server(drive)
        await drive.ask("grow")
        await drive.until(lambda: len(held(drive.banks[2][0], names)) + len(held(new, names)) == len(names))
        await drive.until(lambda: drive.loaded.refresher.is_compared(new.port))
        for server in (drive.banks[0][0], drive.banks[1][0]):
            await server.place.blobs.delete(list(names))
        pool._looked_s -= LOOK_EVERY_S
        for ref in names.values():
            assert await transfer.read(ref, 0, ref.size)
        assert drive.banks[2][0].port not in bad
        assert bad
        assert [server.port for server in pool.banks[2]] == [new.port - 1, new.port]
    finally:
        await transfer.close()
        await pool.close()
