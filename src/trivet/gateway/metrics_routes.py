"""/metrics and /readyz: for Prometheus, and for whoever sends requests to this worker.

Rule: /metrics wants a login or a token, as it tells how much people do; who they are it tells administrators.
Rule: /readyz asks nobody who they are.
Rule: a part that does not answer in time is told as down; the rest is told all the same.
"""

import asyncio
import time
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.usage_limits import day_of
from trivet.errors import NoMajority, TrivetError
from trivet.gateway.drive_metrics import DriveMetrics, Vendors
from trivet.gateway.native.operations import asker, drive_of
from trivet.gateway.request_metrics import RequestMetrics
from trivet.insight.board.verdict import most_are_away
from trivet.io.control_socket import NotRunning, ask
from trivet.io.keeper_asking import ask_keeper
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import Status
from trivet.wire.health_messages import DriveFigures

ANSWER_S = 2.0
USERS_MAX = 20
_OVER = {"committed", "rolled back"}


async def metrics(request: Request) -> Response:
    """Tell everything that is counted, in Prometheus's text format."""
    who = asker(request)
    folder = VolumeFolder(drive_of(request).folder.parent)
    status, figures, moving, vendors = await asyncio.gather(
        _status(folder), _figures(folder), _moving(request), _vendors(folder)
    )
    told = DriveMetrics(status, figures, moving, vendors, await _users(request) if who.admin else {})
    counted: RequestMetrics | None = request.app.state.counted
    text = await asyncio.to_thread(metrics_text, told, counted)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


def metrics_text(told: DriveMetrics, counted: RequestMetrics | None) -> bytes:
    """Return the text of all that `told` and the workers counted."""
    registry = CollectorRegistry()
    registry.register(told)
    if counted is not None:
        counted.collect_into(registry)
    return generate_latest(registry)


async def _status(folder: VolumeFolder) -> Status | None:
    try:
        return msgspec.convert(await ask_keeper(folder, "status", silence_s=ANSWER_S), Status)
    except TrivetError:
        return None


async def _figures(folder: VolumeFolder) -> DriveFigures | None:
    try:
        told = await ask(folder.supervisor_socket, "processes", silence_s=ANSWER_S)
    except TrivetError:
        return None
    return msgspec.convert(told, DriveFigures)


async def _vendors(folder: VolumeFolder) -> Vendors | None:
    """Return what is told of vendors; None when no process looks after any."""

    async def told(verb: str, rows: str) -> list[dict[str, Any]]:
        answer = await ask(folder.upstream_socket, verb, silence_s=ANSWER_S)
        found: list[dict[str, Any]] = answer[rows]
        return found

    try:
        return Vendors(await told("status", "upstreams"), await told("cache", "caches"))
    except NotRunning:
        return None
    except TrivetError:
        return Vendors(None, None)


async def _moving(request: Request) -> dict[str, int]:
    found: dict[str, int] = {}
    for what in ("transfers", "downloads"):
        rows = await drive_of(request).door.rows(f"SELECT state, count(*) FROM {what} GROUP BY state")
        found |= {f"{what} {state}": count for state, count in rows if state not in _OVER}
    return found


async def _users(request: Request) -> dict[str, int]:
    """Return how often those who asked most today have asked (counted where there is a limit)."""
    rows = await drive_of(request).door.rows(
        "SELECT user, requests FROM usage WHERE day = ? ORDER BY requests DESC LIMIT ?",
        *(day_of(time.time()), USERS_MAX),
    )
    return dict(rows)


async def readyz(request: Request) -> Response:
    """Answer 200 when requests may be sent here; 503 while the volume has no majority or this worker ends."""
    problem = "this worker is leaving" if request.app.state.is_leaving() else ""
    if not problem:
        status = await _status(VolumeFolder(drive_of(request).folder.parent))
        problem = "the keeper does not answer" if status is None else _stuck(status)
    told = {"status": "not ready" if problem else "ready", "problem": problem}
    code = NoMajority.http_status if problem else 200
    return Response(msgspec.json.encode(told), code, media_type="application/json")


def _stuck(status: Status) -> str:
    told = "; ".join(note for note in status.notes if note.startswith(NoMajority.__name__))
    return told or (f"{NoMajority.__name__}: most banks are away" if most_are_away(status) else "")


ROUTES = [Route("/metrics", metrics, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
