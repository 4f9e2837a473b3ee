"""The whole HTTP door over a volume in memory, served on a real port by a thread of its own."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from memory_ports import MemoryBanks
from trivet.drive.usage_limits import DoorLimits
from trivet.gateway.access_log import AccessLog
from trivet.gateway.app import build_app
from trivet.gateway.board_feed import board_feed
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.door_file import DoorFile
from trivet.gateway.files.drive import NO_LIMITS, Drive, open_drive
from trivet.gateway.guarded_protocol import GuardedProtocol
from trivet.gateway.guarded_socket import GuardedSocket
from trivet.gateway.people import People
from trivet.gateway.upkeep import keep_up
from trivet.gateway.waypoints import Waypoints
from trivet.io.control_socket import serve_control
from trivet.io.volume_folder import VolumeFolder
from trivet.monitor.runs.waypoint_store import WaypointStore
from trivet.volume.private import make_private


@dataclass
class DoorInMemory:
    """A door that is being served: its address, its people, its drive, the loop all that lives on,
    the banks in memory."""

    url: str
    people: People
    drive: Drive
    loop: asyncio.AbstractEventLoop
    banks: MemoryBanks


@contextlib.contextmanager
def door_in_memory(
    place: Path,
    *,
    no_auth_user: str | None = None,
    status: dict[str, object] | None = None,
    limits: DoorLimits = NO_LIMITS,
    **people: Any,
) -> Iterator[DoorInMemory]:
    """Serve a new, empty drive whose state lies in `place`; `status` is what its keeper answers."""
    ready: list[DoorInMemory] = []
    started, failed = threading.Event(), list[BaseException]()
    stop = asyncio.Event()

    async def run() -> None:
        async with _served(place, no_auth_user, status or {}, limits, people) as door:
            ready.append(door)
            started.set()
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            started.set()

    thread = threading.Thread(target=work, name="door")
    thread.start()
    try:
        assert started.wait(60)
        if failed:
            raise failed[0]
        yield ready[0]
    finally:
        if ready:
            ready[0].loop.call_soon_threadsafe(stop.set)
        thread.join(30)


@contextlib.asynccontextmanager
async def _served(
    place: Path,
    no_auth_user: str | None,
    status: dict[str, object],
    limits: DoorLimits,
    people: dict[str, Any],
) -> AsyncIterator[DoorInMemory]:
    folder = VolumeFolder(place)
    folder.gateway_path.mkdir(parents=True)
    folder.keeper_path.mkdir()
    banks = MemoryBanks()
    volume = banks.fresh()
    make_private(volume.space, 0, 0, 1)
    async with contextlib.AsyncExitStack() as stack:
        await volume.start()
        stack.push_async_callback(volume.close)
        everybody = People(folder.gateway_path, no_auth_user=no_auth_user, **people)
        stack.callback(everybody.close)
        door = DoorFile(folder.gateway_path / "door.sqlite")
        stack.callback(door.close)
        pool = await stack.enter_async_context(DecodingPool(1))
        drive = await open_drive(volume, everybody, door, folder.gateway_path, pool, limits)
        stack.callback(drive.checks.close)
        board = board_feed(folder.path)
        stack.push_async_callback(board.close)
        access = AccessLog(folder.gateway_path / "access.log")
        stack.callback(access.close)
        waypoints = Waypoints(WaypointStore(folder.gateway_path / "runs"))
        stack.callback(waypoints.close)
        await stack.enter_async_context(_kept_up(drive))
        if status:
            await stack.enter_async_context(serve_control(folder.keeper_socket, _answers(status)))
        # the protocol is named: asyncio only then sends without waiting for more to send
        listening = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # whoever is quick waits in the queue
        config = uvicorn.Config(
            build_app(drive, access, waypoints, board),
            http=GuardedProtocol,
            ws=GuardedSocket,
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            yield DoorInMemory(url, everybody, drive, asyncio.get_running_loop(), banks)
        finally:
            server.should_exit = True
            await serving


@contextlib.asynccontextmanager
async def _kept_up(drive: Drive) -> AsyncIterator[None]:
    keeping = asyncio.create_task(keep_up(drive))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


def _answers(status: dict[str, object]) -> dict[str, object]:
    async def told(_: object, __: object) -> object:
        return status["status"]

    async def repairs(_: object, __: object) -> object:
        return status["repairs"]

    return {"status": told, "repairs": repairs}
