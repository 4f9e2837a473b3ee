"""/healthz, /api/v1/health, processes, repairs: whether this worker serves, how banks and processes are.

Rule: /healthz asks nobody who they are (like /readyz, in metrics_routes); it tells no more than yes or no.
"""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.errors import NoMajority, OutcomeUnknown, TrivetError, Unsupported
from trivet.gateway.native.operations import Operation, Parameter, answer, asker, drive_of, number
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO
from trivet.wire.control_messages import RepairHistory, Status
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
    """Tell what `trivet status --json` tells: banks, servers, damage, scrub."""
    return await _asked_keeper(request, "status", {})


async def repairs(request: Request) -> Response:
    """Tell what was repaired, the newest last."""
    since_s = number(request, "since_s", 3600, 1, MAX_BACK_S)
    return await _asked_keeper(request, "repairs", {"since_s": float(since_s)})


async def processes(request: Request) -> Response:
    """Tell what each process of the drive uses, how many workers the door has and why."""
    asker(request)
    series_s = number(request, "series_s", 0, 0, SERIES_MAX_S)
    socket = VolumeFolder(drive_of(request).folder.parent).supervisor_socket
    try:
        return answer(await ask(socket, "processes", {"series_s": float(series_s)}))
    except NotRunning as error:
        raise Unsupported("`trivet up` looks at the processes, and these were started by hand") from error
    except Remote as error:
        raise OutcomeUnknown(f"`trivet up` does not answer; it looks at the processes: {error}") from error


async def _asked_keeper(request: Request, verb: str, arguments: dict[str, float]) -> Response:
    asker(request)
    socket = VolumeFolder(drive_of(request).folder.parent).keeper_socket
    try:
        return answer(await ask(socket, verb, arguments))
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
