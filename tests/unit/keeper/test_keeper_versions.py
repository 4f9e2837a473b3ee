"""Versions: names, numbers that grow, snapshots, exchanged content, the private directory."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from memory_ports import MemoryBanks
from trivet.errors import Conflict, FileSystemError
from trivet.keeper.findings import NamedBlobs, PathFinder
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.interface import (
    PRIVATE_INO,
    REVISIONS,
    ROOT_INO,
    TRASH,
    UPLOADS,
    AttributeChanges,
)
from trivet.volume.namespace import Namespace
from trivet.volume.private import make_private
from volume_files import ME, content, put
from volume_snapshot import assert_same_volume

SIZES = (0, 1, 4096, 5000, 65_536, 65_537, 300_000, (1 << 20) + 5, 3_500_000)


@pytest.fixture
async def banks() -> MemoryBanks:
    """Banks in memory that answer at once."""
    return MemoryBanks()


@pytest.fixture
async def volume(banks: MemoryBanks) -> AsyncIterator[LocalVolume]:
    """A volume with its private directory; at the end its banks must fit together."""
    volume = banks.fresh()
    make_private(volume.space, 0, 0, 1)
    await volume.start()
    yield volume
    await volume.close()
    banks.audit()
    space, problems = banks.loaded()
    assert problems == []
    await assert_same_volume(volume, banks, space)


async def write(volume: LocalVolume, ino: int, offset: int, data: bytes) -> None:
    """Write into a file, without flushing."""
    handle = await volume.open(ino, writing=True, truncate=False, sync=False)
    await volume.write(handle, offset, data)
    await volume.release(handle)


async def test_names_are_told_oldest_first(volume: LocalVolume) -> None:
    folder = (await volume.mkdir(ROOT_INO, b"d", 0o755, ME)).ino
    ino = await put(volume, folder, b"z", b"x")
    await volume.link(ino, ROOT_INO, b"b")
    await volume.link(ino, folder, b"a")
    assert await volume.names_of(ino) == [(folder, b"z"), (ROOT_INO, b"b"), (folder, b"a")]
    await volume.rename(folder, b"z", ROOT_INO, b"y", replace=True, exchange=False)
    assert await volume.names_of(ino) == [(ROOT_INO, b"b"), (folder, b"a"), (ROOT_INO, b"y")]
    assert await volume.names_of(folder) == [(ROOT_INO, b"d")]
    await volume.unlink(ROOT_INO, b"b")
    other = await put(volume, ROOT_INO, b"other", b"")
    await volume.rename(ROOT_INO, b"other", ROOT_INO, b"y", replace=True, exchange=False)
    assert await volume.names_of(ino) == [(folder, b"a")]
    assert await volume.names_of(other) == [(ROOT_INO, b"y")]
    await volume.rename(ROOT_INO, b"y", folder, b"a", replace=False, exchange=True)
    assert await volume.names_of(ino) == [(ROOT_INO, b"y")]
    assert await volume.names_of(ROOT_INO) == []
    with pytest.raises(FileSystemError):
        await volume.names_of(12345)


async def test_a_version_grows_with_every_change_and_only_then(volume: LocalVolume) -> None:
    ino = await put(volume, ROOT_INO, b"a", b"x")
    seen = [await volume.version(ino)]
    assert await volume.version(ino) == seen[0]

    async def change(name: str) -> None:
        if name == "write":
            await write(volume, ino, 0, b"dirty")
        elif name == "chmod":
            await volume.setattr(ino, AttributeChanges(mode=0o600))
        elif name == "truncate":
            await volume.setattr(ino, AttributeChanges(size=3))
        elif name == "xattr":
            await volume.setxattr(ino, b"user.a", b"1", create=False, replace=False)
        elif name == "link":
            await volume.link(ino, ROOT_INO, b"b")
        else:
            await volume.rename(ROOT_INO, b"b", ROOT_INO, b"c", replace=True, exchange=False)

    for name in ("write", "chmod", "truncate", "xattr", "link", "rename"):
        await change(name)
        seen.append(await volume.version(ino))
        await put(volume, ROOT_INO, b"other " + name.encode(), b"y")
        assert await volume.version(ino) == seen[-1], name
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("other_size", [0, 5000, 300_000, 3_500_000])
async def test_content_changes_places_whole(volume: LocalVolume, size: int, other_size: int) -> None:
    one, two = random.Random(1).randbytes(size), random.Random(2).randbytes(other_size)
    first = await put(volume, ROOT_INO, b"a", one)
    second = await put(volume, ROOT_INO, b"b", two)
    await write(volume, second, 10, b"dirty")
    two = two[:10].ljust(10, b"\0") + b"dirty" + two[15:]
    await volume.setattr(first, AttributeChanges(mtime_ns=7))
    await volume.setxattr(first, b"user.mine", b"1", create=False, replace=False)
    await volume.exchange_content(first, second)
    assert (await content(volume, first), await content(volume, second)) == (two, one)
    assert (await volume.getattr(second)).mtime_ns == 7
    assert await volume.listxattr(first) == [b"user.mine"]
    await volume.exchange_content(second, first)
    assert (await content(volume, first), await content(volume, second)) == (one, two)


async def test_an_exchange_is_one_entry_and_frees_nothing(volume: LocalVolume, banks: MemoryBanks) -> None:
    first = await put(volume, ROOT_INO, b"a", b"x" * 200_000)
    second = await put(volume, ROOT_INO, b"b", b"y" * 9000)
    await volume.fsyncdir(ROOT_INO)
    before = len(banks.entries)
    await volume.exchange_content(first, second)
    assert len(banks.entries) == before + 1
    assert banks.freed == set()


async def test_many_page_records_are_packed_before_they_change_places(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    first = await put(volume, ROOT_INO, b"a", bytes(30 << 20))
    handle = await volume.open(first, writing=True, truncate=False, sync=False)
    expected = bytearray(30 << 20)
    for at in range(0, 30 << 20, 100_000):
        await volume.write(handle, at, b"scattered")
        expected[at : at + 9] = b"scattered"
        await volume.flush(handle)
    second = await put(volume, ROOT_INO, b"b", b"y")
    await volume.exchange_content(first, second)
    assert await content(volume, second) == bytes(expected)[: 1 << 24]
    assert len(banks.entries[-1].changes.records) < 700


async def test_what_cannot_be_exchanged_is_refused(volume: LocalVolume) -> None:
    file = await put(volume, ROOT_INO, b"a", b"x")
    folder = (await volume.mkdir(ROOT_INO, b"d", 0o755, ME)).ino
    for one, two in ((file, folder), (folder, file), (file, file), (file, 12345)):
        with pytest.raises(FileSystemError):
            await volume.exchange_content(one, two)


async def test_publishing_asks_for_the_version_it_replaces(volume: LocalVolume) -> None:
    uploads = (await volume.lookup(PRIVATE_INO, UPLOADS)).ino
    target = await put(volume, ROOT_INO, b"a", b"old")
    staged = await put(volume, uploads, b"key", b"new content")
    version = await volume.version(target)
    await write(volume, target, 0, b"OLD")
    with pytest.raises(Conflict):
        await volume.publish(staged, target, version)
    assert await content(volume, target) == b"OLD"
    version = await volume.version(target)
    new = await volume.publish(staged, target, version)
    assert new > version
    assert await volume.version(target) == new
    assert (await content(volume, target), await content(volume, staged)) == (b"new content", b"OLD")
    with pytest.raises(Conflict):
        await volume.publish(staged, target, version)
    await volume.publish(staged, target, None)
    assert await content(volume, target) == b"OLD"


async def test_of_two_publishers_of_one_version_one_wins(volume: LocalVolume) -> None:
    target = await put(volume, ROOT_INO, b"a", b"old")
    staged = [await put(volume, ROOT_INO, b"s%d" % n, b"%d" % n * 5000) for n in range(5)]
    version = await volume.version(target)
    outcomes = await asyncio.gather(
        *(volume.publish(ino, target, version) for ino in staged), return_exceptions=True
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(won) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 4
    assert await volume.version(target) == won[0]


@pytest.mark.parametrize("size", SIZES)
async def test_a_snapshot_stays_what_it_was(volume: LocalVolume, size: int) -> None:
    data = random.Random(size).randbytes(size)
    ino = await put(volume, ROOT_INO, b"a", data)
    await write(volume, ino, size, b"dirty tail")
    held = await volume.open_snapshot(ino)
    assert held.attributes.size == size + 10
    assert held.version == await volume.version(ino)
    await write(volume, ino, 0, b"later")
    await volume.exchange_content(ino, await put(volume, ROOT_INO, b"b", b"other"))
    await volume.setattr(ino, AttributeChanges(size=1))
    await volume.unlink(ROOT_INO, b"a")
    await volume.fsyncdir(ROOT_INO)
    assert await volume.read(held.handle, 0, 1 << 24) == data + b"dirty tail"
    assert await volume.read(held.handle, size // 2, 4097) == (data + b"dirty tail")[size // 2 :][:4097]
    with pytest.raises(FileSystemError):
        await volume.write(held.handle, 0, b"x")
    await volume.release(held.handle)
    assert not len(volume.space.pins)


async def test_blobs_of_a_snapshot_are_pinned_until_it_is_released(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    ino = await put(volume, ROOT_INO, b"a", b"x" * 3_000_000)
    named = set(NamedBlobs(volume.space).refs)
    held = [await volume.open_snapshot(ino), await volume.open_snapshot(ino)]
    await volume.setattr(ino, AttributeChanges(size=0))
    await volume.fsyncdir(ROOT_INO)
    assert banks.freed == named
    assert all(name in volume.space.pins for name in named)
    await volume.release(held[0].handle)
    assert all(name in volume.space.pins for name in named)
    await volume.release(held[1].handle)
    assert not any(name in volume.space.pins for name in named)


async def test_writers_wait_while_a_body_is_held_still(volume: LocalVolume) -> None:
    ino = await put(volume, ROOT_INO, b"a", b"x" * 9000)
    async with volume._writes.still(ino):
        writing = asyncio.create_task(write(volume, ino, 0, b"y"))
        cutting = asyncio.create_task(volume.setattr(ino, AttributeChanges(size=5)))
        for _turn in range(20):
            await asyncio.sleep(0)
        assert not writing.done()
        assert not cutting.done()
    await asyncio.wait_for(asyncio.gather(writing, cutting), 5)
    assert await content(volume, ino) in (b"yxxxx", b"y" + b"x" * 4)


async def test_the_private_directory_is_out_of_reach_and_kept(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    root = await volume.getattr(ROOT_INO)
    folders = {entry.name for entry in await volume.listing(PRIVATE_INO, 0, 10)}
    assert folders == {UPLOADS, TRASH, REVISIONS}
    assert await volume.listing(ROOT_INO, 0, 10) == []
    assert root.nlink == 2
    uploads = (await volume.lookup(PRIVATE_INO, UPLOADS)).ino
    staged = await put(volume, uploads, b"key", b"x" * 200_000)
    assert set(NamedBlobs(volume.space).refs) == banks.blobs.keys()
    assert PathFinder(volume.space).path_of(staged) == "(private)/uploads/key"
    with pytest.raises(FileSystemError):
        await volume.rename(PRIVATE_INO, UPLOADS, uploads, b"within", replace=True, exchange=False)
    await volume.rename(uploads, b"key", ROOT_INO, b"shown", replace=False, exchange=False)
    assert (await volume.lookup(ROOT_INO, b"shown")).ino == staged
    again: Namespace = banks.loaded()[0]
    assert set(again.directories[PRIVATE_INO]) == {UPLOADS, TRASH, REVISIONS}
