"""/healthz, /api/v1/health, processes, repairs: whether this worker serves, how banks and processes are.

Rule: /healthz asks nobody who they are (like /readyz, in metrics_routes); it tells no more than yes or no.
Rule: administrators see all; others how the banks are, in words, and repairs of what they may read.
Processes, logs and paths of the machine are for administrators alone.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.errors import Forbidden, NoMajority, OutcomeUnknown, TrivetError, Unsupported
from trivet.gateway.native.operations import Operation, Parameter, answer, asker, drive_of, number
from trivet.insight.board.verdict import judge
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.keeper_asking import ask_keeper
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO
from trivet.wire.control_messages import BankStatus, RepairHistory, ScrubState, ServerStatus, Status
from trivet.wire.health_messages import SERIES_MAX_S, DriveFigures

ANSWER_S = 2.0
MAX_BACK_S = 366 * 24 * 3600


async def healthz(request: Request) -> Response:
    """Answer 200 when the volume answers, 503 with the reason when it does not."""
    problem = ""
    try:
        async with asyncio.timeout(ANSWER_S):
            await drive_of(request).volume.getattr(ROOT_INO)
    except (TrivetError, TimeoutError) as error:
        problem = str(error) or f"the keeper did not answer within {ANSWER_S:g} s"
    told = {"status": "down" if problem else "ok", "problem": problem}
    status = NoMajority.http_status if problem else 200
    return Response(msgspec.json.encode(told), status, media_type="application/json")


async def health(request: Request) -> Response:
    """Tell what `trivet status --json` tells: banks, servers, damage, scrub; to others in short."""
    who = asker(request)
    told = await _asked_keeper(request, "status", {})
    return answer(told if who.sees_all else _in_short(msgspec.convert(told, Status)))


def _in_short(status: Status) -> Status:
    """Return what everybody may see of `status`: no process, no path, no count of what others do."""
    banks = [BankStatus(bank.base, [ServerStatus(one.port, one.state) for one in bank.servers])
             for bank in status.banks]  # fmt: skip
    return Status(
        volume=status.volume,
        healthy=status.healthy,
        banks=banks,
        open_damage=status.open_damage,
        repaired_total=status.repaired_total,
        refresh_age_s=status.refresh_age_s,
        notes=[] if status.healthy else [judge(status).sentence],
        scrub=ScrubState(finished_age_s=status.scrub.finished_age_s),
    )


async def repairs(request: Request) -> Response:
    """Tell what was repaired, the newest last; to others what they may read."""
    who = asker(request)
    since_s = number(request, "since_s", 3600, 1, MAX_BACK_S)
    told = await _asked_keeper(request, "repairs", {"since_s": float(since_s)})
    if who.sees_all:
        return answer(told)
    repairs = msgspec.convert(told, RepairHistory).repairs
    return answer(RepairHistory([one for one in repairs if who.may("r", one.path)]))


async def processes(request: Request) -> Response:
    """Tell what each process of the drive uses, how many workers the door has and why."""
    if not asker(request).sees_all:
        raise Forbidden("only administrators see the processes of the drive")
    series_s = number(request, "series_s", 0, 0, SERIES_MAX_S)
    socket = VolumeFolder(drive_of(request).folder.parent).supervisor_socket
    try:
        return answer(await ask(socket, "processes", {"series_s": float(series_s)}))
    except NotRunning as error:
        raise Unsupported("`trivet up` looks at the processes, and these were started by hand") from error
    except Remote as error:
        raise OutcomeUnknown(f"`trivet up` does not answer; it looks at the processes: {error}") from error


async def _asked_keeper(request: Request, verb: str, arguments: dict[str, float]) -> Mapping[str, Any]:
    folder = VolumeFolder(drive_of(request).folder.parent)
    try:
        return await ask_keeper(folder, verb, arguments)
    except (NotRunning, Remote) as error:
        raise NoMajority(f"the keeper does not answer: {error}") from error


_SINCE = Parameter(
    "since_s", "query", "How many seconds back.", {"type": "integer", "minimum": 1, "maximum": MAX_BACK_S}
)
_SERIES = Parameter(
    "series_s", "query", "How many seconds of series to add.",
    {"type": "integer", "minimum": 0, "maximum": SERIES_MAX_S},
)  # fmt: skip
OPERATIONS = [
    Operation("GET", "/health", health, "Tell how the banks are.", Status),
    Operation(
        "GET",
        "/processes",
        processes,
        "Tell what each process uses, and about the door's workers.",
        DriveFigures,
        parameters=(_SERIES,),
    ),
    Operation("GET", "/repairs", repairs, "Tell what was repaired.", RepairHistory, parameters=(_SINCE,)),
]
ROUTES = [Route("/healthz", healthz, methods=["GET"])]
