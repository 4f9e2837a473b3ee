"""/healthz: whether this worker serves.

Rule: /healthz is the one address that asks nobody who they are; it tells no more than yes or no.
"""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.errors import NoMajority, TrivetError
from trivet.gateway.native.operations import drive_of
from trivet.volume.interface import ROOT_INO

ANSWER_S = 2.0


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


ROUTES = [Route("/healthz", healthz, methods=["GET"])]
