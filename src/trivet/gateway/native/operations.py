"""What an operation of the native face is: its route and its lines in the OpenAPI document, said once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_changes import Kind, decode_json
from trivet.drive.rights import Principal
from trivet.gateway.bodies import small_body
from trivet.gateway.files.drive import Drive
from trivet.gateway.sessions import principal_of

ROOT = "/api/v1"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the query or a header; `schema` is JSON Schema."""

    name: str
    place: str
    says: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Operation:
    """`method` on `path` (below /api/v1) answered by `handler`; `errors` are the codes it may answer with."""

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    summary: str
    answer: type | None = None
    status: int = 200
    body: type | None = None
    body_kind: str = "application/json"
    body_required: bool = True
    answer_kind: str = "application/json"
    parameters: Sequence[Parameter] = ()
    errors: Sequence[int] = ()

    def route(self) -> Route:
        """Return the route of it."""
        path = self.path.replace("{path}", "{path:path}")
        return Route(ROOT + path, self.handler, methods=[self.method])


def drive_of(request: Request) -> Drive:
    """Return the drive that this worker serves."""
    drive: Drive = request.app.state.drive
    return drive


def asker(request: Request) -> Principal:
    """Return who asks; Unauthorized if nobody is logged in."""
    return principal_of(request.scope)


async def json_body(request: Request, kind: type[Kind]) -> Kind:
    """Return the JSON body as `kind`; an absent body is an empty object."""
    return decode_json(await small_body(request) or b"{}", kind)


def answer(told: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return the JSON answer `told`."""
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(told), status, sent, media_type="application/json")


def number(request: Request, name: str, default: int, low: int, high: int) -> int:
    """Return the whole number that the parameter `name` is; InvalidParameter beyond `low` to `high`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdecimal() and len(text) < 19 and low <= int(text) <= high:
        return int(text)
    raise InvalidParameter(f"{name} is a whole number from {low} to {high}", name)


def lock_of(request: Request) -> tuple[str, int | None]:
    """Return as whom, and with which fencing token, `request` changes files."""
    token = request.headers.get("x-trivet-lock")
    if token is not None and not (token.isascii() and token.isdecimal() and len(token) < 19):
        raise InvalidParameter(
            "X-Trivet-Lock is the token of a lock, a number", "X-Trivet-Lock", kind="header"
        )
    owner = request.headers.get("x-trivet-owner", "")
    return lock_owner(asker(request), owner), int(token) if token else None


def lock_owner(who: Principal, owner: str) -> str:
    """Return the name that locks of `who`, acting as `owner` ("" = themselves), stand under."""
    return f"{who.user}/{owner[:100]}" if owner else who.user


OWNER = Parameter("X-Trivet-Owner", "header", "Which of your programs this is; locks are held per owner.")
LOCK = Parameter(
    "X-Trivet-Lock", "header", "The fencing token of the lock that must still be held.",
    {"type": "integer", "minimum": 1},
)  # fmt: skip
IF_MATCH = Parameter("If-Match", "header", "The ETag that must still be the present one; else 412.")
IF_NONE_MATCH = Parameter("If-None-Match", "header", "An ETag known already (304), or * for nothing there.")
RANGE = Parameter("Range", "header", "Which bytes, as in bytes=0-99.")
PAGE = Parameter("page_token", "query", "Where the page before ended.")
SIZE = Parameter(
    "page_size", "query", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 1000}
)
