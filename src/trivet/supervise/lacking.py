"""What a drive still lacks before `trivet up` may say that it is up."""

import asyncio
from dataclasses import dataclass

import msgspec

from trivet.errors import NoMajority
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.mount_table import find_mount
from trivet.io.reach import Reach
from trivet.supervise.drive_plan import DrivePlan
from trivet.supervise.probing import ask_server
from trivet.wire.control_messages import HEARS_OF_NONE, LOADING, SHOWN_READ_ONLY, STANDS_BY, Status

_ANSWERING = {"up", "joining", "full"}


@dataclass(frozen=True, slots=True)
class Lack:
    """What a drive still lacks; `stuck` when all processes answer and yet nothing is served."""

    what: str
    stuck: bool = False


async def lack_of(plan: DrivePlan) -> Lack | None:
    """Say what the drive still lacks on this host, None when it is ready."""
    if not plan.has_keeper:
        return await _lack_of_servers(plan)
    try:
        status = msgspec.convert(await ask(plan.folder.keeper_socket, "status"), Status)
    except (NotRunning, Remote):
        return Lack("the keeper does not answer")
    servers = [server for bank in status.banks for server in bank.servers]
    silent = [
        str(server.port) for server in servers if server.state not in _ANSWERING and server.host == plan.host
    ]
    if silent:
        return Lack(f"no answer from server {', '.join(silent)}")
    if plan.config.standby and any(note.startswith(STANDS_BY) for note in status.notes):
        return await _lack_beside(plan, hears_of_one=HEARS_OF_NONE not in status.notes)
    unserved = [note for note in status.notes if note.startswith(NoMajority.__name__)]
    if unserved:
        shown = [note for note in status.notes if SHOWN_READ_ONLY in note]
        return Lack("; ".join(unserved + shown), stuck=True)
    loading = [note for note in status.notes if note.startswith(LOADING)]
    if loading:
        return Lack(loading[0])
    if plan.mount_point is not None:
        entry = await asyncio.to_thread(find_mount, plan.mount_point)
        if entry is None or not entry.is_ours:
            return Lack(f"{plan.mount_point} is not mounted")
    if plan.standby is not None and (status.standby is None or status.standby.state != "follows"):
        return Lack("the second keeper does not stand by yet")
    if plan.door is not None and not await plan.door.answers():
        return Lack(f"the HTTP door does not answer on port {plan.door.port}")
    return None


async def _lack_beside(plan: DrivePlan, *, hears_of_one: bool) -> Lack | None:
    """Say what a host lacks whose keeper stands by; that of the second may be the first to be started."""
    if not hears_of_one:
        return None if plan.host == plan.config.standby else Lack(HEARS_OF_NONE, stuck=True)
    return await _lack_of_servers(plan)


async def _lack_of_servers(plan: DrivePlan) -> Lack | None:
    reach = Reach(plan.folder)
    silent = [str(port) for port in plan.own_ports() if await ask_server(port, reach) is None]
    if silent:
        return Lack(f"no answer from server {', '.join(silent)}")
    if plan.door is not None and not await plan.door.answers():
        return Lack(f"the HTTP door does not answer on port {plan.door.port}")
    return None
