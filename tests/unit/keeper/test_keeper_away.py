"""Bodies that are at a vendor: never read as zeros, and the mark goes where the body goes."""

import pytest

from memory_ports import MemoryBanks
from trivet.errors import Conflict, ContentAway, FileSystemError
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.use_tally import KEPT_FILES, UseTally
from trivet.volume.interface import AWAY, PRIVATE_INO, ROOT_INO, AttributeChanges, Caller
from trivet.volume.private import make_private

ME = Caller(0, 0)


async def _file(volume: LocalVolume, parent: int, name: bytes, body: bytes = b"") -> int:
    made, handle = await volume.create(parent, name, 0o644, ME)
    await volume.write(handle, 0, body)
    await volume.flush(handle)
    await volume.release(handle)
    return made.ino


async def _away(volume: LocalVolume, name: bytes, size: int) -> int:
    ino = await _file(volume, ROOT_INO, name)
    await volume.setattr(ino, AttributeChanges(size=size))
    await volume.setxattr(ino, AWAY, b"google/1", create=False, replace=False)
    return ino


async def test_what_is_away_is_not_read_not_cut_and_may_be_replaced() -> None:
    banks = MemoryBanks()
    volume = banks.fresh()
    make_private(volume.space, 0, 0, 1)
    await volume.start()
    ino = await _away(volume, b"far", 100)
    assert (await volume.getattr(ino)).size == 100
    for writing in (False, True):
        with pytest.raises(ContentAway):
            await volume.open(ino, writing=writing, truncate=False, sync=False)
    with pytest.raises(ContentAway):
        await volume.open_snapshot(ino)
    with pytest.raises(ContentAway):
        await volume.setattr(ino, AttributeChanges(size=10))
    await volume.setattr(ino, AttributeChanges(mtime_ns=5))
    handle = await volume.open(ino, writing=True, truncate=True, sync=False)
    await volume.write(handle, 0, b"ours")
    await volume.release(handle)
    with pytest.raises(FileSystemError):
        await volume.getxattr(ino, AWAY)
    snapshot = await volume.open_snapshot(ino)
    assert await volume.read(snapshot.handle, 0, 100) == b"ours"
    await volume.release(snapshot.handle)
    await volume.close()


async def test_the_mark_goes_with_the_body_also_over_a_restart() -> None:
    banks = MemoryBanks()
    volume = banks.fresh()
    make_private(volume.space, 0, 0, 1)
    await volume.start()
    target = await _away(volume, b"far", 4)
    staged = await _file(volume, PRIVATE_INO, b"staged", b"body")
    await volume.publish(staged, target, None)
    with pytest.raises(ContentAway):
        await volume.open_snapshot(staged)
    await volume.close()
    again = banks.volume(banks.loaded()[0])
    await again.start()
    snapshot = await again.open_snapshot(target)
    assert await again.read(snapshot.handle, 0, 100) == b"body"
    await again.release(snapshot.handle)
    assert await again.getxattr(staged, AWAY) == b"google/1"
    with pytest.raises(ContentAway):
        await again.open(staged, writing=False, truncate=False, sync=False)
    await again.close()


async def test_what_somebody_writes_to_is_not_exchanged_where_it_must_be_unwritten() -> None:
    banks = MemoryBanks()
    volume = banks.fresh()
    make_private(volume.space, 0, 0, 1)
    await volume.start()
    target = await _file(volume, ROOT_INO, b"here", b"body")
    staged = await _away(volume, b"far", 4)
    writer = await volume.open(target, writing=True, truncate=False, sync=False)
    version = await volume.version(target)
    with pytest.raises(Conflict):
        await volume.publish(staged, target, version, unwritten=True)
    await volume.write(writer, 0, b"ours")
    await volume.release(writer)
    with pytest.raises(Conflict):
        await volume.publish(staged, target, version, unwritten=True)
    reader = await volume.open(target, writing=False, truncate=False, sync=False)
    await volume.publish(staged, target, await volume.version(target), unwritten=True)
    assert await volume.read(reader, 0, 100) == b"ours", "who has it open goes on with what it opened"
    with pytest.raises(ContentAway):
        await volume.open_snapshot(target)
    await volume.release(reader)
    await volume.close()


async def test_uses_are_opens_of_either_kind_and_are_told_once() -> None:
    volume = MemoryBanks().fresh()
    make_private(volume.space, 0, 0, 1)
    await volume.start()
    ino = await _file(volume, ROOT_INO, b"here", b"body")
    handle = await volume.open(ino, writing=False, truncate=False, sync=False)
    await volume.release(handle)
    snapshot = await volume.open_snapshot(ino)
    await volume.release(snapshot.handle)
    assert await volume.take_uses() == [(ino, 2)]
    assert await volume.take_uses() == []
    tally = UseTally()
    for number in range(KEPT_FILES + 5):
        tally.note(number)
    assert (len(tally.take()), tally.take()) == (KEPT_FILES, [])
    await volume.close()
