"""`trivet serve bank|keeper|mount|gateway|upstream|board`: one process of a drive, by hand or for a drive.

Rule: this is the composition root: the keeper is handed its door here, and knows no mount.
"""

import asyncio
import getpass
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated, Literal

import uvloop
from cyclopts import App, Parameter

from trivet.cli.asking import DEFAULT_STATE, State, absolute_mount_point, volume_folder
from trivet.cli.door_options import ErrorHandler, NoAuth, PerUserDay, check_door, checked_limits
from trivet.cli.early_folder import EarlyFolder
from trivet.cli.hosts_option import ThisHost
from trivet.cli.server_options import Amqp, Redis, checked_servers
from trivet.cli.standby_options import usual_standby_mount
from trivet.cli.up import DEFAULT_MOUNT, REFRESH_S
from trivet.io.away_files import AwayFiles
from trivet.io.mount_guard import remove_guard
from trivet.io.mount_table import find_mount
from trivet.io.queues.servers import Servers
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.door_plan import DoorPlan
from trivet.supervise.own_host import own_host
from trivet.supervise.volume_setup import Durability, check_fuse, has_supervisor
from trivet.volume.interface import KernelCache, MountableVolume

LOG_BYTES = 16 << 20

app = App(name="serve", help="Run one process of the drive by hand.")


@app.command
def bank(
    *,
    port: Annotated[int, Parameter(help="The port of this server; it says which bank it belongs to.")],
    xmlrpc: Annotated[
        bool, Parameter(negative="", help="Open the XML-RPC door, too (as `trivet up` does).")
    ] = False,
    host: Annotated[
        str | None, Parameter(help="The address to listen on; loopback unless the volume has hosts.")
    ] = None,
    blobs: Annotated[
        str | None, Parameter(help="Keep the blobs in an object store: s3://BUCKET/PREFIX, file:///PATH ...")
    ] = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Run one server of a bank until SIGTERM; the keeper finds it by its port."""
    from trivet.bank.server import run_bank

    return run_bank(port, volume_folder(state).path, xmlrpc=xmlrpc, host=host, blobs=blobs)


@app.command
def keeper(
    *,
    mount: Annotated[Path, Parameter(help="The folder to mount the drive on.")] = DEFAULT_MOUNT,
    no_mount: Annotated[bool, Parameter(negative="", help="Serve without a folder.")] = False,
    durability: Durability | None = None,
    refresh: Annotated[float, Parameter(help="Compare all banks every so many seconds.")] = REFRESH_S,
    read_only: Annotated[bool, Parameter(negative="", help="Mount the folder read-only.")] = False,
    standby: Annotated[
        bool, Parameter(negative="", help="Stand by: follow the keeper that leads, and take over from it.")
    ] = False,
    name: Annotated[Literal["keeper", "standby"] | None, Parameter(show=False)] = None,
    this_host: ThisHost = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Run the keeper, and the folder with it, until SIGTERM."""
    from trivet.keeper.seat import Seat

    volume = volume_folder(state)
    config = volume.read_config()
    if config.standby:
        seat = Seat.on_host(volume, config, own_host(config, this_host))
    else:
        seat = Seat(volume, name or ("standby" if standby else "keeper"), stands_by=standby)
    folder = seat.folder
    _log_to(folder.keeper_path / "keeper.log")
    where = None
    if not no_mount:
        check_fuse()
        where = absolute_mount_point(
            usual_standby_mount(mount) if standby and mount == DEFAULT_MOUNT else mount
        )
        if find_mount(where) is None:
            where.mkdir(parents=True, exist_ok=True)
    from trivet.keeper.service import keep

    source = f"trivet:{config.volume}"
    door = partial(_folder_door, folder, where, read_only, source)
    view = None if where is None else EarlyFolder(folder.path, where, source, stands_by=seat.stands_by)
    return uvloop.run(keep(seat, door, view, durability=durability, refresh_s=refresh))


@app.command
def mount(
    where: Annotated[Path, Parameter(help="The folder to mount the drive on.")],
    /,
    *,
    read_only: Annotated[bool, Parameter(negative="", help="Mount the folder read-only.")] = False,
    state: State = DEFAULT_STATE,
) -> int:
    """Run one more mount of the drive, on this host or on another than the keeper's, until SIGTERM."""
    folder = volume_folder(state)
    config = folder.read_config()
    check_fuse()
    point = absolute_mount_point(where)
    _log_to(folder.mount_path / "mount.log")
    if find_mount(point) is None:
        point.mkdir(parents=True, exist_ok=True)
    return uvloop.run(_mount(folder, point, read_only, f"trivet:{config.volume}"))


@app.command
def gateway(
    *,
    port: Annotated[int, Parameter(help="The port to serve HTTP on; several workers may share it.")] = 8080,
    host: Annotated[str, Parameter(help="The address to listen on.")] = "127.0.0.1",
    no_auth: NoAuth = False,
    tls_cert: Annotated[Path | None, Parameter(help="Serve TLS with this certificate ...")] = None,
    tls_key: Annotated[Path | None, Parameter(help="... and its key.")] = None,
    requests_per_user_day: PerUserDay = None,
    error_handler: ErrorHandler = None,
    worker: Annotated[int, Parameter(show=False)] = 0,
    fd: Annotated[int | None, Parameter(show=False)] = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Run one worker of the HTTP door until SIGTERM."""
    from trivet.gateway.serving import Door, serve_door
    from trivet.monitor.runs.waypoint_store import WaypointStore

    folder = volume_folder(state)
    folder.read_config()
    _log_to(folder.worker_log(worker))
    limits = checked_limits(requests_per_user_day, error_handler)
    check_door(DoorPlan(port, host, no_auth, tls_cert, tls_key))
    where = Door(host, port, getpass.getuser() if no_auth else None, tls_cert, tls_key, limits, worker, fd)
    return uvloop.run(serve_door(folder, where, WaypointStore(folder.gateway_path / "runs")))


@app.command
def upstream(*, amqp: Amqp = None, redis: Redis = None, state: State = DEFAULT_STATE) -> int:
    """Run what stands between the drive and its vendors until SIGTERM."""
    from trivet.upstream.service import serve_upstreams

    folder = volume_folder(state)
    folder.read_config()
    # Started by `trivet up`, which has checked them, it goes on without them until they are back.
    servers = Servers(amqp, redis) if has_supervisor(folder) else checked_servers(amqp, redis)
    _log_to(folder.upstream_path / "upstream.log")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # addresses of uploads are secrets
    return uvloop.run(serve_upstreams(folder, servers))


@app.command
def board(*, state: State = DEFAULT_STATE) -> int:
    """Print what the live board shows, a line of JSON a frame, until SIGTERM; the HTTP door starts it."""
    from trivet.monitor.board.printing import print_frames

    return asyncio.run(print_frames(volume_folder(state)))


@asynccontextmanager
async def _folder_door(
    folder: VolumeFolder, where: Path | None, read_only: bool, source: str, volume: MountableVolume
) -> AsyncIterator[KernelCache | None]:
    """Serve `volume` in the folder `where` (None: nowhere); its unmounting by hand ends the process."""
    if where is None:
        yield None
        return
    from trivet.mount.session import mounted

    bring = partial(AwayFiles(folder).bring, user=getpass.getuser())
    async with mounted(volume, where, source, bring, read_only=read_only) as session:
        watching = asyncio.create_task(_end_when(session.unmounted, where))
        try:
            yield session
        finally:
            watching.cancel()
    if not has_supervisor(folder):  # it was killed, and can't tidy up itself
        remove_guard(where)


async def _mount(folder: VolumeFolder, where: Path, read_only: bool, source: str) -> int:
    """Serve the folder `where` without a keeper in this process, until SIGINT or SIGTERM."""
    from trivet.client.mounted_volume import MountedVolume

    volume = await MountedVolume.when_served(folder)
    try:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with _folder_door(folder, where, read_only, source, volume) as cache:
            await ended.wait()
            if cache is not None and not await volume.is_served():
                await cache.cut_off()  # unmounting would wait for the keeper, too
    finally:
        await volume.close()
    return 0


async def _end_when(unmounted: asyncio.Event, where: Path) -> None:
    await unmounted.wait()
    logging.getLogger(__name__).warning("somebody unmounted %s; this process ends", where)
    os.kill(os.getpid(), signal.SIGTERM)


def _log_to(path: Path) -> None:
    """Log to `path`, bounded; also to the terminal of somebody who runs this by hand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)]
    if sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        level=logging.INFO, handlers=handlers, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
