"""The upstream's process over a small drive, as a process of its own: started, asked, killed.

It is what `trivet serve upstream` runs, forked from one that has loaded everything, so that it is soon there.
"""

import asyncio
import multiprocessing
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import uvloop

from small_drive import SmallDrive
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.queues.servers import Servers
from trivet.io.volume_folder import VolumeFolder
from trivet.keeper.volume_door import OutsideBlobs, VolumeDoor, open_door
from trivet.upstream.service import serve_upstreams
from trivet.upstream.telling import Statuses, TransfersTold, UpstreamStatus
from trivet.upstream.transfers import OPEN
from trivet.volume.interface import Caller

ME = Caller(0, 0)


def serve(path: Path, servers: Servers) -> None:
    """Serve the upstreams of the drive whose state is at `path`."""
    uvloop.run(serve_upstreams(VolumeFolder(path), servers))


def start_upstream(folder: VolumeFolder, servers: Servers | None = None) -> BaseProcess:
    """Start the process; `kill`, or `terminate` it, and `join`. It ends with the tests at the latest."""
    folder.upstream_path.mkdir(parents=True, exist_ok=True)
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["trivet.upstream.service", "aio_pika", "google.auth"])
    process = forks.Process(target=serve, args=(folder.path, servers or Servers()), daemon=True)
    process.start()
    return process


def door(drive: SmallDrive) -> AbstractAsyncContextManager[None]:
    """Open the door for other processes, as the keeper's service does."""
    keeper, loaded = drive.keeper, drive.loaded
    assert keeper.shell is not None
    blobs = OutsideBlobs(loaded.journal, loaded.queue, loaded.blobs)
    epoch = keeper.shell.leader.reign.epoch.number
    return open_door(VolumeDoor(loaded.volume, epoch, keeper.key, blobs, None), drive.folder.volume_socket)


async def ended(process: BaseProcess) -> int | None:
    await asyncio.to_thread(process.join)
    return process.exitcode


async def write(drive: SmallDrive, folder: int, name: str, body: bytes) -> None:
    volume = drive.loaded.volume
    _, handle = await volume.create(folder, name.encode(), 0o644, ME)
    await volume.write(handle, 0, body)
    await volume.flush(handle)
    await volume.release(handle)


async def bring(drive: SmallDrive, ino: int, wait_s: float = 20.0) -> None:
    """Ask for a body; the process may be killed meanwhile."""
    wish = {"ino": ino, "user": "ann", "queue": True, "wait_s": wait_s}
    try:
        await ask(drive.folder.upstream_socket, "bring", wish)
    except (NotRunning, Remote):
        return


async def bring_in_time(drive: SmallDrive, process: BaseProcess, ino: int) -> None:
    """Ask for a body as soon as the process listens."""
    while process.is_alive() and not (await status(drive)).upstreams:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    await bring(drive, ino)


async def until(drive: SmallDrive, is_so: Callable[[UpstreamStatus], bool]) -> None:
    while not any(map(is_so, (await status(drive)).upstreams)):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)


async def status(drive: SmallDrive) -> Statuses:
    try:
        return msgspec.convert(await ask(drive.folder.upstream_socket, "status"), Statuses)
    except (NotRunning, Remote):
        return Statuses([])


async def all_done(drive: SmallDrive) -> None:
    """Wait until no transfer is open; assert that none has failed."""
    while True:
        told = msgspec.convert(await ask(drive.folder.upstream_socket, "transfers"), TransfersTold)
        transfers = [one.transfer for one in told.transfers]
        if not any(one.state in OPEN for one in transfers):
            break
        await asyncio.sleep(0.05)
    assert [(one.name, one.error) for one in transfers if one.state != "done"] == []


async def read(drive: SmallDrive, folder: int, name: str) -> bytes:
    volume = drive.loaded.volume
    snapshot = await volume.open_snapshot((await volume.lookup(folder, name.encode())).ino)
    try:
        return bytes(await volume.read(snapshot.handle, 0, 1 << 24))
    finally:
        await volume.release(snapshot.handle)


async def until_listed(drive: SmallDrive) -> None:
    """Let the process list the vendor's tree once."""
    process = start_upstream(drive.folder)
    await until(drive, lambda one: one.polled_at_s is not None)
    process.terminate()
    assert await ended(process) == 0
