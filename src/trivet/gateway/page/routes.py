"""Serves the page and what only it asks for: the state of the banks and their repairs.

Rule: every answer of the door forbids scripts but those of the page; what people store can't run here.
"""

from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from trivet.errors import InputError, NoMajority
from trivet.gateway.sessions import principal_of
from trivet.gateway.teardown import App, Message, Receive, Scope, Send
from trivet.io.control_socket import NotRunning, Remote, ask

_ASSETS = Path(__file__).with_name("assets")
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CONTENT_POLICY = b"default-src 'none'; sandbox; frame-ancestors 'none'"
_POLICY = b"content-security-policy"
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))


def page_routes(keeper_socket: Path) -> list[BaseRoute]:
    """Return the routes of the page, /api/v1/health and /api/v1/repairs; the keeper answers those two."""

    async def index(_: Request) -> Response:
        return FileResponse(_ASSETS / "index.html", headers={"cache-control": "no-cache"})

    async def health(request: Request) -> Response:
        principal_of(request.scope)
        return await _keepers(keeper_socket, "status", {})

    async def repairs(request: Request) -> Response:
        principal_of(request.scope)
        try:
            since_s = float(request.query_params.get("since_s", "86400"))
        except ValueError:
            raise InputError("since_s is a number of seconds back from now") from None
        return await _keepers(keeper_socket, "repairs", {"since_s": since_s})

    return [
        Route("/", index),
        Route("/api/v1/health", health),
        Route("/api/v1/repairs", repairs),
        Mount("/page", StaticFiles(directory=_ASSETS)),
    ]


async def _keepers(socket: Path, verb: str, arguments: dict[str, object]) -> Response:
    try:
        answer = await ask(socket, verb, arguments)
    except (NotRunning, Remote, TimeoutError) as error:
        raise NoMajority(f"the keeper does not answer just now: {error}") from None
    return JSONResponse(msgspec.to_builtins(answer), headers={"cache-control": "no-store"})


class PolicyMiddleware:
    """Adds to answers of `app`, unless they say so, what keeps browsers from running stored content."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        policy = _PAGE_POLICY if path == "/" or path.startswith("/page/") else _CONTENT_POLICY

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in ((_POLICY, policy), *_ALWAYS) if pair[0] not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, sending)
