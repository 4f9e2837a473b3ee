"""One worker of the door: connects to the drive, serves HTTP until SIGTERM, cleans up behind itself.

Rule: at the end requests under way have a while to finish; an upload that is cut then is parked.
Rule: a worker that leaves while others stay cuts nothing short: it accepts no more, tells WebSockets to
connect anew (1012), lets every connection end by itself, and has LEAVING_S for that.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from trivet.client.remote_volume import RemoteVolume
from trivet.drive.usage_limits import DoorLimits
from trivet.gateway.access_log import AccessLog
from trivet.gateway.app import build_app
from trivet.gateway.board_feed import board_feed
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.door_file import DoorFile
from trivet.gateway.files.drive import NO_LIMITS, Drive, open_drive
from trivet.gateway.guarded_protocol import DoorState, GuardedProtocol
from trivet.gateway.guarded_socket import GuardedSocket
from trivet.gateway.people import People
from trivet.gateway.request_metrics import RequestMetrics
from trivet.gateway.teardown import App
from trivet.gateway.upkeep import keep_up
from trivet.gateway.waypoints import EventSink, Waypoints
from trivet.io.control_socket import Report, serve_control
from trivet.io.freed_memory import keep_freed
from trivet.io.shared_port import listening
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import LEAVING_S

CONNECT_S = 60.0
DRAIN_S = 5
DECODERS = 1
_PARTING_POLL_S = 0.05
#: The event loop must not wait long for the interpreter while a thread hashes.
_SWITCH_INTERVAL_S = 0.0005
_KEPT_BYTES = 32 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen; `no_auth_user` is whose all requests are without logins, None with them.

    A worker of `trivet up` has a number and the descriptor `fd` of a socket that listens already.
    """

    host: str
    port: int
    no_auth_user: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    limits: DoorLimits = NO_LIMITS
    worker: int = 0
    fd: int | None = None


@asynccontextmanager
async def opened(folder: VolumeFolder, no_auth_user: str | None, limits: DoorLimits) -> AsyncIterator[Drive]:
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
        drive = await open_drive(volume, people, door, place, pool, limits)
        stack.callback(drive.checks.close)
        stack.push_async_callback(drive.usage.flush)
        yield drive


async def serve_door(folder: VolumeFolder, where: Door, sink: EventSink) -> int:
    """Serve the drive in `folder` at `where` until SIGTERM or SIGINT; waypoints go to `sink`."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    keep_freed(_KEPT_BYTES)
    with _accepting(folder, where) as sock:
        async with opened(folder, where.no_auth_user, where.limits) as drive:
            access = AccessLog(folder.gateway_path / "access.log")
            waypoints = Waypoints(sink)
            with contextlib.closing(access), contextlib.closing(waypoints):
                upkeep = asyncio.create_task(keep_up(drive))
                board = board_feed(folder.path)
                try:
                    log.info("serving http on %s:%s", where.host, sock.getsockname()[1])
                    name = str(where.worker or f"hand-{os.getpid()}")
                    counted = RequestMetrics(folder.metrics_path, name)
                    state = DoorState()
                    app = build_app(drive, access, waypoints, board, counted, lambda: state.leaving)
                    server = _Server(_config(app, where), state)
                    async with server.controlled(folder, where.worker):
                        await server.serve(sockets=[sock])
                finally:
                    await board.close()
                    upkeep.cancel()
                    await asyncio.wait([upkeep])
    return 0


@contextlib.contextmanager
def _accepting(folder: VolumeFolder, where: Door) -> Iterator[socket.socket]:
    """Yield the socket to accept from: the one handed down, or one of our own."""
    if where.fd is None:
        with listening(where.host, where.port, folder.gateway_path) as sock:
            yield sock
        return
    with socket.socket(fileno=where.fd) as sock:
        sock.set_inheritable(False)
        yield sock


class _Server(uvicorn.Server):
    """uvicorn's server, ended by SIGTERM and SIGINT with the exit code 0, or by leaving."""

    def __init__(self, config: uvicorn.Config, state: DoorState) -> None:
        super().__init__(config)
        self.server_state: DoorState = state
        self._patience_s = float(DRAIN_S)
        self._parting: asyncio.Timeout | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let go of the port, finish what is under way, then return."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        yield

    @asynccontextmanager
    async def controlled(self, folder: VolumeFolder, worker: int) -> AsyncIterator[None]:
        """Answer the supervisor for the time of the block, if this is one of its workers."""

        async def spread(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
            self.server_state.spread()
            return {}

        async def leave(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
            self._patience_s = LEAVING_S
            self.server_state.leaving = self.should_exit = True
            self.server_state.spread()
            return {}

        if not worker:
            yield
            return
        async with serve_control(folder.worker_socket(worker), {"spread": spread, "leave": leave}):
            yield

    def _end(self) -> None:
        """End soon, also when leaving has begun."""
        self.should_exit = True
        self._patience_s = float(DRAIN_S)
        if self._parting is not None:
            self._parting.reschedule(asyncio.get_running_loop().time() + DRAIN_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more; wait for what is under way as long as our patience goes, then cut it."""
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        state = self.server_state
        lingers, state.leaving = state.leaving, True
        for connection in list(state.connections):
            if lingers or not isinstance(connection, GuardedProtocol):
                connection.shutdown()
            else:
                connection.cut()
        try:
            async with asyncio.timeout(self._patience_s) as self._parting:
                while True:
                    if not (state.connections or state.tasks):
                        break
                    await asyncio.sleep(_PARTING_POLL_S)
        except TimeoutError:
            log.warning("%s requests are cut, as they took too long", len(state.tasks))
            cut = list(state.tasks)
            for task in cut:
                task.cancel()
            if cut:
                await asyncio.wait(cut, timeout=DRAIN_S)


def _config(app: App, where: Door) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws=GuardedSocket,
        ws_max_size=64 << 10,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        ssl_certfile=where.tls_cert,
        ssl_keyfile=where.tls_key,
    )
