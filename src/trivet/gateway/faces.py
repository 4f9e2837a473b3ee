"""The door's one translating place: an error becomes the answer of the face it was asked on.

Rule: no answer to an error has an empty body; a browser gets a page, a program JSON.
"""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from trivet.drive.errors_v3 import drive_error, faces_of, problem
from trivet.errors import (
    BadRange,
    BudgetSpent,
    Parked,
    RateLimited,
    TooSlow,
    TrivetError,
    Unauthorized,
    UsageLimit,
    VendorQuotaSpent,
)
from trivet.gateway.page.error_page import error_page, wants_page
from trivet.gateway.sending import bad_range_headers
from trivet.gateway.waypoints import failed
from trivet.io.clock import wall_s

_V3_PREFIXES = ("/drive/", "/upload/", "/resumable/", "/batch")
RETRY_AFTER_S = 2


def is_v3(path: str) -> bool:
    """Tell whether `path` belongs to the face of Drive v3."""
    return path.startswith(_V3_PREFIXES)


async def on_error(request: Request, error: Exception) -> Response:
    """Return the answer that tells of an expected failure."""
    assert isinstance(error, TrivetError)
    faces = faces_of(error)
    failed(faces.code)
    headers = _headers(error)
    if wants_page(request):
        return error_page(request, error, faces, headers)
    request_id = request.scope.get("trivet.request_id", "")
    if is_v3(request.url.path):
        status, told = drive_error(error)
        return _json(status, told, "application/json; charset=UTF-8", headers)
    status, told = problem(error, request_id)
    return _json(status, told, "application/problem+json", headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Return the answer for an address or a method that there is not."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    headers = dict(error.headers or {})
    detail = "There is nothing at this address; /api/v1/openapi.json lists what there is."
    if status == 405:
        headers["Allow"] = ", ".join(sorted(_methods_of(request)))
        detail = f"This address answers {headers['Allow']}, not {request.method}."
    if is_v3(request.url.path):
        item = {"domain": "global", "reason": "notFound" if status == 404 else "badRequest"}
        errors = [{**item, "message": detail}]
        told: dict[str, Any] = {"error": {"code": status, "message": detail, "errors": errors}}
        return _json(status, told, "application/json; charset=UTF-8", headers)
    code = str(error.detail).lower().replace(" ", "_")
    told = {"type": "about:blank", "title": error.detail, "status": status, "code": code, "detail": detail}
    told["request_id"] = request.scope.get("trivet.request_id", "")
    return _json(status, told, "application/problem+json", headers)


def _methods_of(request: Request) -> set[str]:
    """Return every method that some route answers at the address of `request`."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in found for method in route.methods or ()}


def _json(status: int, told: Any, kind: str, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(told), status, headers, media_type=kind)


def _headers(error: TrivetError) -> dict[str, str]:
    if isinstance(error, BadRange):
        return bad_range_headers(error)
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="trivet"'}
    if isinstance(error, TooSlow):
        return {"Connection": "close"}
    if isinstance(error, BudgetSpent):
        return {"Retry-After": str(max(1, round(error.resets_at_s - wall_s())))}
    if isinstance(error, RateLimited | UsageLimit | VendorQuotaSpent | Parked):
        return {"Retry-After": str(max(1, round(error.retry_after_s)))}
    return {"Retry-After": str(RETRY_AFTER_S)} if faces_of(error).status == 503 else {}
