"""The upstream's process killed with SIGKILL in the middle of transfers, again and again: exactly once."""

import asyncio
import os
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import pytest

from small_drive import SmallDrive, small_drive
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.keeper.volume_door import OutsideBlobs, VolumeDoor, open_door
from trivet.upstream.account import Account, keep_account
from trivet.upstream.telling import Statuses, UpstreamStatus
from trivet.volume.interface import ROOT_INO, Caller
from upstream_process import start_upstream
from vendor_server import Vendor, serving

KILLS = int(os.environ.get("TRIVET_UPSTREAM_KILLS", "20"))
FILES, SIZE = 3 * KILLS, 100_000
ME = Caller(0, 0)


def _door(drive: SmallDrive) -> AbstractAsyncContextManager[None]:
    """Open the door for other processes, as the keeper's service does."""
    keeper, loaded = drive.keeper, drive.loaded
    assert keeper.shell is not None
    blobs = OutsideBlobs(loaded.journal, loaded.queue, loaded.blobs)
    epoch = keeper.shell.leader.reign.epoch.number
    return open_door(VolumeDoor(loaded.volume, epoch, keeper.key, blobs, None), drive.folder.volume_socket)


async def _ended(process: BaseProcess) -> int | None:
    await asyncio.to_thread(process.join)
    return process.exitcode


async def _write(drive: SmallDrive, folder: int, name: str, body: bytes) -> None:
    volume = drive.loaded.volume
    _, handle = await volume.create(folder, name.encode(), 0o644, ME)
    await volume.write(handle, 0, body)
    await volume.flush(handle)
    await volume.release(handle)


async def _bring(drive: SmallDrive, ino: int) -> None:
    """Ask for a body; the process may be killed meanwhile."""
    wish = {"ino": ino, "user": "ann", "queue": True, "wait_s": 20.0}
    try:
        await ask(drive.folder.upstream_socket, "bring", wish)
    except (NotRunning, Remote):
        return


async def _bring_in_time(drive: SmallDrive, process: BaseProcess, ino: int) -> None:
    """Ask for a body as soon as the process listens."""
    while process.is_alive() and not (await _status(drive)).upstreams:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    await _bring(drive, ino)


async def _until(drive: SmallDrive, is_so: Callable[[UpstreamStatus], bool]) -> None:
    while not any(map(is_so, (await _status(drive)).upstreams)):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)


async def _status(drive: SmallDrive) -> Statuses:
    try:
        return msgspec.convert(await ask(drive.folder.upstream_socket, "status"), Statuses)
    except (NotRunning, Remote):
        return Statuses([])


@pytest.mark.timeout(60 + 6 * KILLS)
async def test_killed_again_and_again_everything_arrives_once(tmp_path: Path) -> None:
    rng = random.Random(11)
    with serving(Vendor()) as vendor:
        far = {f"far {number}": rng.randbytes(SIZE) for number in range(FILES)}
        for name, body in far.items():
            vendor.put(name, body)
        async with small_drive(tmp_path / "state") as drive, _door(drive), asyncio.timeout(50 + 6 * KILLS):
            account = Account("google", "/google", "ann", vendor.url, poll_s=0.5, quiet_s=0.0)
            keep_account(drive.folder, account)
            await _until_listed(drive)
            folder = (await drive.loaded.volume.lookup(ROOT_INO, b"google")).ino
            inos = [(await drive.loaded.volume.lookup(folder, name.encode())).ino for name in far]
            ours = {f"ours {number}": rng.randbytes(SIZE) for number in range(FILES)}
            for kill in range(KILLS):
                for name in list(ours)[3 * kill : 3 * kill + 3]:
                    await _write(drive, folder, name, ours[name])
                process = start_upstream(drive.folder)
                until = sum(vendor.face.seen.values()) + rng.randrange(2, 10)
                asking = [
                    asyncio.create_task(_bring_in_time(drive, process, ino)) for ino in rng.sample(inos, 3)
                ]
                while sum(vendor.face.seen.values()) < until:  # noqa: ASYNC110 - the vendor is another thread
                    await asyncio.sleep(0.005)
                process.kill()
                await asyncio.gather(_ended(process), *asking)
            process = start_upstream(drive.folder)
            try:
                while not all(map(vendor.named, ours)):  # noqa: ASYNC110 - the vendor is another thread
                    await asyncio.sleep(0.05)
                await _until(drive, lambda one: one.polled_at_s is not None and not one.outbox)
                for ino in inos:
                    await _bring(drive, ino)
            finally:
                process.terminate()
                await _ended(process)
            for name, body in (far | ours).items():
                assert vendor.named(name) == [body], name
            for name, body in far.items():
                assert await _read(drive, folder, name) == body
            assert [what for what, _ in vendor.drive.applied].count("create") == 2 * FILES
            assert vendor.face.used["download_bytes"] <= (FILES + 4 * KILLS) * SIZE


async def _read(drive: SmallDrive, folder: int, name: str) -> bytes:
    volume = drive.loaded.volume
    snapshot = await volume.open_snapshot((await volume.lookup(folder, name.encode())).ino)
    try:
        return bytes(await volume.read(snapshot.handle, 0, 2 * SIZE))
    finally:
        await volume.release(snapshot.handle)


async def _until_listed(drive: SmallDrive) -> None:
    """Let the process list the vendor's tree once."""
    process = start_upstream(drive.folder)
    await _until(drive, lambda one: one.polled_at_s is not None)
    process.terminate()
    assert await _ended(process) == 0
