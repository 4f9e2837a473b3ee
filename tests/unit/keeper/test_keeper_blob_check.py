"""Blobs compared and mended on real banks: missing, damaged, on the wrong server, named by nobody."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from stat import S_IFREG
from typing import Any

import pytest

from small_drive import ServedBank, SmallDrive, small_drive
from trivet.io.link import LinkLost, Reply
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.blob_check import NAMES_A_TURN
from trivet.keeper.findings import NamedBlobs, PathFinder
from trivet.volume.extents import Piece, pack_extents
from trivet.volume.interface import ROOT_INO
from trivet.wire.bank_messages import PutBlob, SyncBlobs
from trivet.wire.blobs import BlobRef, sub_hashes
from trivet.wire.control_messages import Finding
from trivet.wire.journal_messages import BankMessage

BODY = bytes(range(256)) * 2000


@pytest.fixture
async def drive(tmp_path: Path) -> AsyncIterator[SmallDrive]:
    async with small_drive(tmp_path, servers=2) as drive:
        await drive.write(b"large", BODY)
        yield drive


def named(drive: SmallDrive) -> NamedBlobs:
    return NamedBlobs(drive.loaded.volume.space)


def holders(drive: SmallDrive, name: int) -> list[ServedBank]:
    return [server for server in drive.servers if server.place.blobs.index.get(name) is not None]


async def check(drive: SmallDrive, bank: int, *, apply: bool, deep: bool = False) -> list[Finding]:
    """Compare the blobs of one bank as a refresh (or a scrub) does, and mend them if `apply`."""
    blobs, links = drive.loaded.queue.blobs, drive.keeper.fleet.banks[bank]
    names = named(drive)
    flaws = await blobs.flaws_by_listing(links, names, collect_orphans=apply)
    for link in links if deep else ():
        flaws |= (await blobs.scrub(link, names, limit_bytes_s=1 << 30))[0]
    return await blobs.mend(flaws, names, PathFinder(drive.loaded.volume.space), apply=apply)


async def test_missing_copy_is_told_and_written_again(drive: SmallDrive) -> None:
    [name] = named(drive).refs
    lost = holders(drive, name)[1]
    await lost.place.blobs.delete([name])
    [found] = await check(drive, 1, apply=False)
    assert (found.verdict, found.path, found.server, found.why) == (
        "would fix",
        "/large",
        lost.port,
        "missing",
    )
    assert found.ranges == [(0, -(-len(BODY) // 4096) * 4096)]
    assert len(holders(drive, name)) == 2
    [fixed] = await check(drive, 1, apply=True)
    assert fixed.verdict == "fixed"
    assert lost in holders(drive, name)
    assert await check(drive, 1, apply=True, deep=True) == []


async def test_damaged_copy_is_found_by_reading_and_replaced(drive: SmallDrive) -> None:
    [name] = named(drive).refs
    bad = holders(drive, name)[2]
    bad.place.blobs.spoil(name, b"wrong")
    assert await check(drive, 2, apply=True) == []
    [fixed] = await check(drive, 2, apply=True, deep=True)
    assert (fixed.verdict, fixed.why, fixed.server) == ("fixed", "checksum differs", bad.port)
    assert await bad.place.blobs.is_whole(name)
    assert await drive.read(b"large") == BODY


async def test_without_a_good_copy_nothing_is_written_over(drive: SmallDrive) -> None:
    [name] = named(drive).refs
    for server in holders(drive, name):
        server.place.blobs.spoil(name, b"all wrong")
    for bank in range(3):
        [lost] = await check(drive, bank, apply=True, deep=True)
        assert (lost.verdict, lost.source) == ("cannot fix", None)
    assert len(holders(drive, name)) == 3


async def test_stray_copy_comes_home_and_orphans_of_closed_epochs_go(drive: SmallDrive) -> None:
    [name] = named(drive).refs
    blobs = drive.loaded.blobs
    home = next(s for s in drive.banks[0] if s.port == blobs.home_of(name, 0).port)
    other = next(s for s in drive.banks[0] if s is not home)
    data = BODY
    await home.place.blobs.delete([name])
    await other.request(PutBlob(name, sub_hashes(data), False), data)
    closed, current = 5, (drive.loaded.queue.blobs._epoch << 32) + 4_000_000_000
    for orphan in (closed, current):
        await other.request(PutBlob(orphan, sub_hashes(b"orphan"), False), b"orphan")
    await check(drive, 0, apply=False)
    assert other.place.blobs.index.get(closed) is not None, "looking changes nothing"
    await check(drive, 0, apply=True)
    assert home.place.blobs.index.get(name) is not None
    assert other.place.blobs.index.get(name) is None
    assert other.place.blobs.index.get(closed) is None
    assert other.place.blobs.index.get(current) is not None


async def test_a_stray_copy_stays_until_the_one_at_home_is_synced(drive: SmallDrive) -> None:
    [name] = named(drive).refs
    at_home = drive.loaded.blobs.home_of(name, 0).port
    home = next(s for s in drive.banks[0] if s.port == at_home)
    other = next(s for s in drive.banks[0] if s is not home)
    await home.place.blobs.delete([name])
    await other.request(PutBlob(name, sub_hashes(BODY), False), BODY)
    ask, asked = ServerLink.ask_blobs, []

    async def fail_to_sync(link: ServerLink, message: BankMessage, *rest: Any, **options: Any) -> Reply:
        if link.port == at_home and isinstance(message, SyncBlobs):
            asked.append(message)
            raise LinkLost("the disk takes nothing")
        return await ask(link, message, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServerLink, "ask_blobs", fail_to_sync)
        with pytest.raises(LinkLost):
            await check(drive, 0, apply=True)
    assert asked
    assert home.place.blobs.index.get(name) is not None
    assert other.place.blobs.index.get(name) is not None, "the copy that may be the only one synced"
    await check(drive, 0, apply=True)
    assert other.place.blobs.index.get(name) is None
    assert await home.place.blobs.is_whole(name)


async def test_comparing_many_blobs_lets_others_work_in_between(drive: SmallDrive) -> None:
    space = drive.loaded.volume.space
    [name] = named(drive).refs
    ref = named(drive).refs[name]
    made = range(5 << 32, (5 << 32) + 3 * NAMES_A_TURN)
    for number in made:
        ino = space.make(ROOT_INO, b"%d" % number, S_IFREG, 0, 0, 1).ino
        space.layout.set_extents(ino, 0, pack_extents([Piece(0, 1, BlobRef(number, 4096, ref.root), 0)]))
    blobs = drive.loaded.queue.blobs
    asked = Counter[int]()
    turn = 0

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def servers_for(name: int, bank: int) -> list[ServerLink]:
        asked[turn] += 1
        return list(drive.keeper.fleet.banks[bank])

    turns = asyncio.create_task(count_turns())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blobs._blobs, "servers_for", servers_for)
        flaws = await blobs.flaws_by_listing(drive.keeper.fleet.banks[0], named(drive), collect_orphans=True)
    turns.cancel()
    assert flaws.keys() == set(made)
    assert max(asked.values()) <= NAMES_A_TURN
    for number in made:
        space.unlink(ROOT_INO, b"%d" % number, 2)
    space.take_changes()
    assert set(named(drive).refs) == {name}


async def test_what_is_set_free_while_a_bank_lists_is_left_to_the_journal(drive: SmallDrive) -> None:
    [name] = named(drive).refs
    blobs, links = drive.loaded.queue.blobs, drive.keeper.fleet.banks[0]
    names = named(drive)
    await drive.loaded.volume.unlink(ROOT_INO, b"large")
    patch = pytest.MonkeyPatch()
    patch.setattr(blobs, "_epoch", blobs._epoch + 1)
    assert await blobs.flaws_by_listing(links, names, collect_orphans=True) == {}
    patch.undo()
    assert len(holders(drive, name)) == 3
    assert not names.is_still_named(name)
