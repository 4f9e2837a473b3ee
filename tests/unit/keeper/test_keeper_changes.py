"""The history of changes: what is told, in which order, what a new keeper still knows, what is forgotten."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from memory_ports import MemoryBanks
from trivet.errors import ChangesExpired
from trivet.keeper.local_volume import LocalVolume
from trivet.volume import change_log, tombstones
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller, Change

ME = Caller(0, 0)


@pytest.fixture
async def banks() -> MemoryBanks:
    """Banks in memory that answer at once."""
    return MemoryBanks()


@pytest.fixture
async def volume(banks: MemoryBanks) -> AsyncIterator[LocalVolume]:
    """An empty volume at work."""
    volume = banks.fresh()
    await volume.start()
    yield volume
    await volume.close()


async def make(volume: LocalVolume, name: bytes) -> int:
    """Make an empty file."""
    return (await volume.mknod(ROOT_INO, name, 0o100644, 0, ME)).ino


async def all_changes(volume: LocalVolume, after: int, limit: int) -> list[Change]:
    """Return everything behind `after`, asked for in parts."""
    found: list[Change] = []
    while True:
        part, after = await volume.changes(after, limit)
        if not part:
            return found
        found += part


async def test_each_inode_comes_once_at_its_newest_slot(volume: LocalVolume) -> None:
    start = await volume.newest_slot()
    first = await make(volume, b"a")
    second = await make(volume, b"b")
    await volume.setattr(first, AttributeChanges(mode=0o600))
    found = await all_changes(volume, start, 100)
    assert [(change.ino, change.removed) for change in found] == [
        (ROOT_INO, False),
        (second, False),
        (first, False),
    ]
    assert found[-1].slot == await volume.version(first)
    again, after = await volume.changes(found[-1].slot, 100)
    assert (again, after) == ([], await volume.newest_slot())


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
async def test_parts_add_up_to_the_whole(volume: LocalVolume, limit: int) -> None:
    start = await volume.newest_slot()
    inos = [await make(volume, b"%d" % n) for n in range(20)]
    for n in range(0, 20, 3):
        await volume.unlink(ROOT_INO, b"%d" % n)
    found = await all_changes(volume, start, limit)
    assert {change.ino for change in found} == {*inos, ROOT_INO}
    assert {change.ino for change in found if change.removed} == set(inos[::3])
    assert [change.slot for change in found] == sorted(change.slot for change in found)
    part, _after = await volume.changes(start, limit)
    assert len(part) <= limit + 1


async def test_a_new_keeper_tells_what_happened_before_it(volume: LocalVolume, banks: MemoryBanks) -> None:
    kept = await make(volume, b"kept")
    start = await volume.newest_slot()
    gone = [await make(volume, b"%d" % n) for n in range(5)]
    later = await make(volume, b"later")
    for n in range(5):
        await volume.unlink(ROOT_INO, b"%d" % n)
    await volume.fsyncdir(ROOT_INO)
    space, problems = banks.loaded()
    assert problems == []
    again = banks.volume(space)
    await again.start()
    found = await all_changes(again, start, 3)
    assert {change.ino for change in found if change.removed} == set(gone)
    assert {change.ino for change in found if not change.removed} == {ROOT_INO, later}
    await again.unlink(ROOT_INO, b"kept")
    last = (await all_changes(again, found[-1].slot, 3))[-1]
    assert {change.ino for change in await all_changes(again, found[-1].slot, 9)} == {kept, ROOT_INO}
    assert last.slot > found[-1].slot
    await again.close()


async def test_what_is_forgotten_is_said(
    volume: LocalVolume, banks: MemoryBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "KEPT_REMOVALS", 10)
    monkeypatch.setattr(tombstones, "RING_BLOCKS", 3)
    monkeypatch.setattr(tombstones, "BLOCK_INODES", 4)
    start = await volume.newest_slot()
    inos = []
    for n in range(30):
        inos.append(await make(volume, b"%d" % n))
        await volume.unlink(ROOT_INO, b"%d" % n)
    with pytest.raises(ChangesExpired):
        await volume.changes(start, 5)
    near = await volume.newest_slot() - 4
    assert await volume.changes(near, 100)
    again = banks.volume(banks.loaded()[0])
    await again.start()
    with pytest.raises(ChangesExpired):
        await again.changes(start, 5)
    told = {change.ino for change in (await again.changes(near, 100))[0] if change.removed}
    assert set(inos[-2:]) <= told <= set(inos)
    with pytest.raises(ChangesExpired):
        await again.changes(10_000, 5)
    await again.close()


async def test_more_changes_than_are_kept_are_looked_up(
    volume: LocalVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "KEPT_CHANGES", 5)
    start = await volume.newest_slot()
    inos = [await make(volume, b"%d" % n) for n in range(20)]
    assert {change.ino for change in await all_changes(volume, start, 4)} == {*inos, ROOT_INO}


async def test_waiting_ends_with_the_next_change_or_in_time(volume: LocalVolume) -> None:
    now = await volume.newest_slot()
    assert not await volume.wait_changed(now, 0.05)
    waiters = [asyncio.create_task(volume.wait_changed(now, 30)) for _waiter in range(3)]
    await asyncio.sleep(0)
    ino = await make(volume, b"a")
    assert await asyncio.wait_for(asyncio.gather(*waiters), 5) == [True] * 3
    assert ino in {change.ino for change in (await volume.changes(now, 10))[0]}
    assert await volume.wait_changed(now, 30)
