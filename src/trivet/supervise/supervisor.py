"""`trivet up`'s own process: starts the drive, answers the control socket, ends everything in order.

Rule: ready means every bank's servers answer the keeper and the folder is mounted; what is not ready in time
(of loading: while it goes on) is an error that names what is missing and where its log is.
Rule: a drive whose processes all run but which may not serve (no majority) stays up, so that it can be seen
to and recovered; only one whose processes end again and again is ended.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from trivet.errors import InputError, TrivetError
from trivet.io.control_socket import Handler, Report, serve_control
from trivet.io.reach import Reach
from trivet.io.server_folder import finish_exchanges
from trivet.io.shared_port import listening
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.adding import Adding
from trivet.supervise.children import ChildKeeper
from trivet.supervise.describing import Describing
from trivet.supervise.door_plan import DoorPlan
from trivet.supervise.door_scaling import DoorScaling
from trivet.supervise.door_workers import DoorWorkers
from trivet.supervise.drive_plan import DrivePlan
from trivet.supervise.lacking import Lack, lack_of
from trivet.supervise.probing import ask_server
from trivet.supervise.replacing import Replacing
from trivet.supervise.volume_setup import check_ports, prepare_mount_point
from trivet.supervise.watching import EVERY_S, DriveWatch

READY_DEADLINE_S = 60.0
READY_POLL_S = 0.1
#: Longer than the wait before banks that lost their memory may elect, or for a lease to run out.
STUCK_S = 12.0
#: Hosts are started one after the other, by hand.
FAR_STUCK_S = 30.0
#: All servers answer, and what they say only a person can decide.
DECIDED_S = 2.0
DEATHS_GIVE_UP = 3
LOG_TAIL_LINES = 12

log = logging.getLogger(__name__)


OnReady = Callable[[ChildKeeper, str], Awaitable[None]]


async def run_drive(plan: DrivePlan, on_ready: OnReady, note: Callable[[str], None]) -> None:
    """Run the drive until SIGINT, SIGTERM, SIGHUP or `down`; then end everything.

    `on_ready` runs (as a task, cancelled at the end) once the drive answers; its text says why nothing is
    served all the same, "" if all is well. `note` is told one line of what was done on the way.
    Raises ConfigError or TrivetError when the drive can't be brought up.
    """
    reach, ports = Reach(plan.folder), plan.own_ports()
    by_hand = [port for port in ports if await ask_server(port, reach) is not None]
    await check_ports([port for port in ports if port not in by_hand])
    for made in await asyncio.to_thread(finish_exchanges, plan.folder):
        note(f"{made} is new and empty: its server is filled from the other banks")
    for point in (plan.mount_point, plan.standby.mount_point if plan.standby else None):
        if point is not None and (cleared := await prepare_mount_point(point)):
            note(cleared)
    async with contextlib.AsyncExitStack() as stack:
        workers = scaling = None
        if plan.door is not None:
            workers = await _door_workers(plan.folder, plan.door, stack)
            scaling = DoorScaling(plan.door.scaling, workers, plan.folder.path, EVERY_S)
            await stack.enter_async_context(scaling.running())
        children = ChildKeeper(
            plan.folder,
            plan.config,
            plan.keeper_arguments(),
            plan.mount_point,
            supervise=plan.supervise,
            host=plan.host,
            standby_arguments=plan.standby_arguments(),
            standby_mount=plan.standby.mount_point if plan.standby else None,
            mount_arguments=plan.mount_arguments(),
            workers=workers,
            publishes=plan.publishes,
        )
        await _live(plan, children, scaling, on_ready)


async def _door_workers(
    folder: VolumeFolder, door: DoorPlan, stack: contextlib.AsyncExitStack
) -> DoorWorkers:
    """Return the door's workers, who accept from a socket that lives as long as `stack`."""
    sock = stack.enter_context(listening(door.host, door.port, folder.gateway_path))
    for counted in folder.metrics_path.glob("*.db"):  # of workers before; what they counted begins anew
        counted.unlink(missing_ok=True)
    count = door.scaling.thresholds.min_workers
    return DoorWorkers(partial(door.child, folder, sock), folder.worker_socket, count)


async def _live(
    plan: DrivePlan, children: ChildKeeper, scaling: DoorScaling | None, on_ready: OnReady
) -> None:
    """Run `children` until a signal or `down`; whatever ends before that ends all."""
    stop, ended = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = DriveWatch(children, plan.folder.figures_path, scaling)
    handlers = _handlers(children, stop, ended) | _watch_handlers(watch, scaling)
    turn = asyncio.Lock()
    handlers["replace"] = Replacing(plan.folder, children, turn).asked
    handlers["add"] = Adding(plan.folder, children, turn, plan.host).asked
    async with serve_control(plan.folder.supervisor_socket, handlers):
        running = asyncio.create_task(children.run())
        watching = asyncio.create_task(watch.run())
        showing = asyncio.create_task(_begin(plan, children, on_ready))
        stopping = asyncio.create_task(stop.wait())
        lives = {running, watching, showing, stopping}
        if plan.host is not None:
            lives.add(asyncio.create_task(Describing(plan.folder, children).run()))
        try:
            done, _ = await asyncio.wait(lives, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
        finally:
            for task in lives:
                task.cancel()
            await asyncio.wait(lives)
            ended.set()


async def _begin(plan: DrivePlan, children: ChildKeeper, on_ready: OnReady) -> None:
    await on_ready(children, await _wait_ready(plan, children))
    await asyncio.Event().wait()


async def _wait_ready(plan: DrivePlan, children: ChildKeeper) -> str:
    """Return "" once the drive serves, or why it may not; TrivetError when it does not come up."""
    moved_s = stuck_since_s = time.monotonic()
    last: Lack | None = None
    while True:
        for child in children.all:
            if child.role != "upstream" and (child.restarts >= DEATHS_GIVE_UP or child.left_alone):
                raise TrivetError(
                    f"{child.name} ends again and again; the end of {child.log_path}:\n"
                    + await asyncio.to_thread(_log_tail, child.log_path)
                )
        lack = await lack_of(plan)
        if lack is None:
            return ""
        now_s = time.monotonic()
        if lack != last:
            last, moved_s = lack, now_s
        if not lack.stuck:
            stuck_since_s = now_s
        patience_s = STUCK_S if plan.host is None else FAR_STUCK_S
        if now_s - stuck_since_s > (DECIDED_S if "`trivet recover" in lack.what else patience_s):
            return lack.what
        if now_s - moved_s > READY_DEADLINE_S:
            first = (children.keepers.children or children.servers)[0]
            raise TrivetError(
                f"the drive does not come up: {lack.what}, and nothing changed for {READY_DEADLINE_S:g} s; "
                f"the end of the log of {first.name}:\n{await asyncio.to_thread(_log_tail, first.log_path)}"
            )
        await asyncio.sleep(READY_POLL_S)


def _log_tail(path: Path) -> str:
    try:
        lines = path.read_bytes()[-8192:].decode(errors="replace").splitlines()
    except OSError as error:
        return f"  ({error.strerror})"
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])


def _handlers(children: ChildKeeper, stop: asyncio.Event, ended: asyncio.Event) -> dict[str, Handler]:
    """Return what the supervisor answers on its control socket (see wire/control_messages.py)."""

    def told() -> Mapping[str, Any]:
        answer: Mapping[str, Any] = msgspec.to_builtins(children.told())
        return answer

    async def tell(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        return told()

    async def stop_servers(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        await children.stop(_ports(arguments))
        return told()

    async def start_servers(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        children.start(_ports(arguments))
        return told()

    async def upstream(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        await children.restart_upstream()
        return told()

    async def down(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        stop.set()
        await ended.wait()
        return {}

    verbs: dict[str, Handler] = {"children": tell, "stop": stop_servers, "start": start_servers}
    return verbs | {"upstream": upstream, "down": down}


def _watch_handlers(watch: DriveWatch, scaling: DoorScaling | None) -> dict[str, Handler]:
    """Return what the supervisor answers about processes and workers."""

    async def processes(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = msgspec.to_builtins(await watch.told(_series_s(arguments)))
        return answer

    async def workers(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        if scaling is None:
            raise InputError("the drive runs without an HTTP door (--no-gateway)")
        count = arguments.get("count")
        if not isinstance(count, int):
            raise InputError("count: how many workers there are to be")
        await scaling.set_count(count)
        return await processes({}, report)

    return {"processes": processes, "workers": workers}


def _series_s(arguments: dict[str, Any]) -> float:
    try:
        series_s: float = msgspec.convert(
            arguments.get("series_s", 0.0), Annotated[float, msgspec.Meta(ge=0)]
        )
    except msgspec.ValidationError as error:
        raise InputError(f"series_s: {error}") from error
    return series_s


def _ports(arguments: dict[str, Any]) -> list[int]:
    try:
        return msgspec.convert(arguments.get("ports"), list[int])
    except msgspec.ValidationError as error:
        raise InputError(f"ports: {error}") from error
