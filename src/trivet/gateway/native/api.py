"""All of /api/v1: its operations in one list, their routes, the document that tells of them."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trivet.gateway.login_routes import login_operations
from trivet.gateway.native import (
    board,
    cache,
    content,
    events,
    files,
    health,
    history,
    locks,
    transfers,
    vendors,
)
from trivet.gateway.native.openapi import document
from trivet.gateway.native.operations import ROOT, drive_of

OPERATIONS = [
    *content.OPERATIONS,
    *locks.OPERATIONS,
    *files.OPERATIONS,
    *transfers.OPERATIONS,
    *health.OPERATIONS,
    *cache.OPERATIONS,
    *history.OPERATIONS,
    *vendors.OPERATIONS,
]


async def openapi(request: Request) -> Response:
    """Tell the OpenAPI document."""
    return Response(
        msgspec.json.encode(document([*OPERATIONS, *login_operations(drive_of(request).people)])),
        media_type="application/json",
    )


ROUTES: list[BaseRoute] = [
    *(one.route() for one in OPERATIONS),
    Route(f"{ROOT}/openapi.json", openapi, methods=["GET"]),
    *health.ROUTES,
    *events.ROUTES,
    *board.ROUTES,
]
