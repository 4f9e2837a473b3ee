"""The client's connection to the keeper: errors come as they are, changes are done once or are unknown."""

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from door_rig import DoorRig, door_rig
from trivet.client import keeper_link
from trivet.client.keeper_link import KeeperLink
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.errors import ChangesExpired, Conflict, FileSystemError, NoMajority
from trivet.keeper import volume_door
from trivet.volume.body_calls import Release, TakeNames
from trivet.volume.interface import ROOT_INO, Attributes, Caller
from trivet.volume.name_calls import GetAttr, MkDir

ME = Caller(0, 0)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[DoorRig]:
    """A keeper's door."""
    async with door_rig(tmp_path / "state") as rig:
        yield rig


@pytest.fixture
async def volume(rig: DoorRig) -> AsyncIterator[RemoteVolume]:
    """A client of it."""
    async with connected(rig.folder) as volume:
        yield volume


async def until(true: object) -> None:
    """Let the loop go on until something is so."""
    async with asyncio.timeout(5):
        while not true():  # type: ignore[operator]  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.002)


class Gate:
    """Holds back what the volume answers to changes."""

    def __init__(self, rig: DoorRig) -> None:
        self.reached = 0
        self.opened = asyncio.Event()
        self._committed = rig.volume._submitter.committed
        rig.volume._submitter.committed = self.committed  # type: ignore[method-assign]

    async def committed(self) -> int:
        """Wait for the gate, then for the banks."""
        self.reached += 1
        await self.opened.wait()
        return await self._committed()


async def test_errors_come_as_the_keeper_raised_them(rig: DoorRig, volume: RemoteVolume) -> None:
    with pytest.raises(FileSystemError) as caught:
        await volume.lookup(ROOT_INO, b"nowhere")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(ChangesExpired):
        await volume.changes(1_000_000, 5)
    one = (await volume.mknod(ROOT_INO, b"a", 0o100644, 0, ME)).ino
    two = (await volume.mknod(ROOT_INO, b"b", 0o100644, 0, ME)).ino
    with pytest.raises(Conflict):
        await volume.publish(one, two, 12345)


async def test_a_change_whose_answer_was_lost_is_done_once(rig: DoorRig, volume: RemoteVolume) -> None:
    gate = Gate(rig)
    making = asyncio.create_task(volume.mkdir(ROOT_INO, b"d", 0o755, ME))
    await until(lambda: gate.reached == 1)
    assert volume._keeper._link is not None
    volume._keeper._link.abort()
    await until(lambda: volume._keeper._link is not None and not volume._keeper._link.lost.is_set())
    gate.opened.set()
    made = await making
    assert gate.reached == 1
    assert made.ino == (await volume.lookup(ROOT_INO, b"d")).ino
    assert volume._keeper.generation == 1


async def test_with_a_new_keeper_a_change_is_done_once_and_a_question_is_repeated(
    rig: DoorRig, volume: RemoteVolume
) -> None:
    gate = Gate(rig)
    making = asyncio.create_task(volume.mkdir(ROOT_INO, b"d", 0o755, ME))
    waiting = asyncio.create_task(volume.wait_changed(await volume.newest_slot(), 0.5))
    await until(lambda: gate.reached == 1)
    volume._keeper._link.abort()  # type: ignore[union-attr]
    gate.opened.set()
    await rig.stop()
    await rig.start()
    made = await making
    await asyncio.wait_for(waiting, 5)
    assert await volume.lookup(ROOT_INO, b"d") == made
    assert gate.reached == 1
    assert volume._keeper.generation == 2


async def test_who_is_gone_for_good_is_told_in_time(
    rig: DoorRig, volume: RemoteVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.stop()
    with pytest.raises(NoMajority, match="keeper"):
        await volume._keeper.ask(GetAttr(ROOT_INO), Attributes, timeout_s=0.3)
    monkeypatch.setattr(keeper_link, "CALL_TIMEOUT_S", 0.3)
    with pytest.raises(NoMajority):
        await RemoteVolume.connect(rig.folder, timeout_s=0.3)
    await rig.start()


async def test_handles_are_opened_anew_and_what_was_not_flushed_is_told_again(
    rig: DoorRig, volume: RemoteVolume
) -> None:
    made, handle = await volume.create(ROOT_INO, b"f", 0o644, ME)
    await volume.write(handle, 0, b"flushed")
    await volume.flush(handle)
    snapshot = await volume.open_snapshot(made.ino)
    _other, dirty = await volume.create(ROOT_INO, b"g", 0o644, ME)
    await volume.write(dirty, 0, b"not flushed")
    await rig.stop()
    await rig.start()
    assert await volume.read(handle, 0, 100) == b"flushed"
    assert await volume.write(handle, 7, b" again") == 6
    await volume.flush(handle)
    assert await volume.read(handle, 0, 100) == b"flushed again"
    await volume.flush(dirty)
    assert await volume.read(dirty, 0, 100) == b"not flushed"
    for one in (handle, dirty, snapshot.handle):
        await volume.release(one)
    assert len(rig.volume.space.open_files) == 0


async def test_a_snapshot_of_an_ended_keeper_is_stale(rig: DoorRig, volume: RemoteVolume) -> None:
    made, handle = await volume.create(ROOT_INO, b"f", 0o644, ME)
    await volume.write(handle, 0, b"x" * 100)
    await volume.flush(handle)
    held = await volume.open_snapshot(made.ino)
    await rig.stop()
    await rig.start()
    assert await volume.read(held.handle, 0, 200) == b"x" * 100  # small: it came with the opening
    volume._files[held.handle].plan = None
    with pytest.raises(FileSystemError) as caught:
        await volume.read(held.handle, 0, 200)
    assert caught.value.errno == errno.ESTALE


async def test_what_a_client_held_is_let_go_when_it_is_gone(
    rig: DoorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_door, "GRACE_S", 0.05)
    files = rig.volume.space.open_files
    async with connected(rig.folder) as volume:
        made, _handle = await volume.create(ROOT_INO, b"f", 0o644, ME)
        await volume.open_snapshot(made.ino)
        first = await volume._keeper.ask(TakeNames(5), int)
        assert len(files) == 2
    await until(lambda: len(files) == 0)
    await rig.volume.fsyncdir(ROOT_INO)
    assert rig.banks.freed == set(range(first, first + 5))


async def test_a_client_that_comes_back_in_time_keeps_its_handles(rig: DoorRig, volume: RemoteVolume) -> None:
    _made, handle = await volume.create(ROOT_INO, b"f", 0o644, ME)
    await volume.write(handle, 0, b"dirty")
    volume._keeper._link.abort()  # type: ignore[union-attr]
    await volume.flush(handle)
    assert await volume.read(handle, 0, 100) == b"dirty"
    assert volume._keeper.generation == 1


async def test_handles_of_others_are_none(rig: DoorRig, volume: RemoteVolume) -> None:
    other = KeeperLink(rig.folder)
    _made, _handle = await volume.create(ROOT_INO, b"f", 0o644, ME)
    (number,) = rig.volume.space.open_files._files
    with pytest.raises(FileSystemError) as caught:
        await other.ask(Release(number), type(None))
    assert caught.value.errno == errno.EBADF
    await other.close()


async def test_calls_beyond_what_is_served_at_once_wait(rig: DoorRig, volume: RemoteVolume) -> None:
    made = await asyncio.gather(*(volume.mkdir(ROOT_INO, b"%d" % n, 0o755, ME) for n in range(600)))
    assert len({one.ino for one in made}) == 600
    assert (await volume.getattr(ROOT_INO)).nlink == 602
    assert len(rig.kernel.names) == 600


async def test_an_abandoned_change_is_carried_out(rig: DoorRig, volume: RemoteVolume) -> None:
    gate = Gate(rig)
    making = asyncio.create_task(volume._keeper.ask(MkDir(ROOT_INO, b"d", 0o755, ME), Attributes))
    await until(lambda: gate.reached == 1)
    making.cancel()
    gate.opened.set()
    await asyncio.gather(making, return_exceptions=True)
    assert (await volume.lookup(ROOT_INO, b"d")).nlink == 2
