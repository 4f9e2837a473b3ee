"""One worker of the door: connects to the drive, serves HTTP until SIGTERM, cleans up behind itself.

Rule: at the end requests under way have a while to finish; an upload that is cut then is parked.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from trivet.client.remote_volume import RemoteVolume
from trivet.gateway.access_log import AccessLog
from trivet.gateway.app import build_app
from trivet.gateway.board_feed import board_feed
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.door_file import DoorFile
from trivet.gateway.files.drive import Drive, open_drive
from trivet.gateway.guarded_protocol import GuardedProtocol
from trivet.gateway.listening import listening
from trivet.gateway.people import People
from trivet.gateway.teardown import App
from trivet.gateway.upkeep import keep_up
from trivet.gateway.waypoints import EventSink, Waypoints
from trivet.io.freed_memory import keep_freed
from trivet.io.volume_folder import VolumeFolder

CONNECT_S = 60.0
DRAIN_S = 5
DECODERS = 1
#: The event loop must not wait long for the interpreter while a thread hashes.
_SWITCH_INTERVAL_S = 0.0005
_KEPT_BYTES = 32 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen; `no_auth_user` is whose all requests are without logins, None with them."""

    host: str
    port: int
    no_auth_user: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


@asynccontextmanager
async def opened(folder: VolumeFolder, no_auth_user: str | None) -> AsyncIterator[Drive]:
    """Yield the drive in `folder`, connected; NoMajority when no keeper serves in time."""
    place = folder.gateway_path
    async with contextlib.AsyncExitStack() as stack:
        volume = await RemoteVolume.connect(folder, timeout_s=CONNECT_S)
        stack.push_async_callback(volume.close)
        people = People(place, no_auth_user=no_auth_user)
        stack.callback(people.close)
        door = DoorFile(place / "door.sqlite")
        stack.callback(door.close)
        pool = await stack.enter_async_context(DecodingPool(DECODERS))
        drive = await open_drive(volume, people, door, place, pool)
        stack.callback(drive.checks.close)
        yield drive


async def serve_door(folder: VolumeFolder, where: Door, sink: EventSink) -> int:
    """Serve the drive in `folder` at `where` until SIGTERM or SIGINT; waypoints go to `sink`."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    keep_freed(_KEPT_BYTES)
    with listening(where.host, where.port, folder.gateway_path) as sock:
        async with opened(folder, where.no_auth_user) as drive:
            access = AccessLog(folder.gateway_path / "access.log")
            waypoints = Waypoints(sink)
            with contextlib.closing(access), contextlib.closing(waypoints):
                upkeep = asyncio.create_task(keep_up(drive))
                board = board_feed(folder.path)
                try:
                    log.info("serving http on %s:%s", where.host, sock.getsockname()[1])
                    app = build_app(drive, access, waypoints, board)
                    await _Server(_config(app, where)).serve(sockets=[sock])
                finally:
                    await board.close()
                    upkeep.cancel()
                    await asyncio.wait([upkeep])
    return 0


class _Server(uvicorn.Server):
    """uvicorn's server, ended by SIGTERM and SIGINT with the exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let go of the port, finish what is under way, then return."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _config(app: App, where: Door) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="websockets-sansio",
        ws_max_size=64 << 10,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_S,
        ssl_certfile=where.tls_cert,
        ssl_keyfile=where.tls_key,
    )
