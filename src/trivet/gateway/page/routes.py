"""Serves the page's files, and says with every answer of the door what a browser may do with it.

Rule: every answer of the door forbids scripts but those of the page; what people store can't run here.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from trivet.gateway.teardown import App, Message, Receive, Scope, Send

_ASSETS = Path(__file__).with_name("assets")
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CONTENT_POLICY = b"default-src 'none'; sandbox; frame-ancestors 'none'"
_POLICY = b"content-security-policy"
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))


async def index(_: Request) -> Response:
    """Answer with the page itself."""
    return FileResponse(_ASSETS / "index.html")


ROUTES: list[BaseRoute] = [Route("/", index), Mount("/page", StaticFiles(directory=_ASSETS))]


class PolicyMiddleware:
    """Adds to answers of `app`, unless they say so, what keeps browsers from running stored content."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        of_page = path == "/" or path.startswith("/page/")
        wanted = [(_POLICY, _PAGE_POLICY if of_page else _CONTENT_POLICY), *_ALWAYS]
        if of_page:
            wanted.append((b"cache-control", b"no-cache"))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in wanted if pair[0] not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, sending)
