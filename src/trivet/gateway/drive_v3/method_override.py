"""Methods said in X-HTTP-Method-Override: Google's clients send questions too long for an address as POST.

Rule: only on the face of Drive v3, only for POST; a form that comes with GET is the query.
Source: the published clients; google-api-python-client does so for addresses over 2,048 characters.
"""

from starlette.requests import Request

from trivet.errors import RequestError, TrivetError
from trivet.gateway.bodies import small_body
from trivet.gateway.faces import is_v3, on_error
from trivet.gateway.teardown import App, Message, Receive, Scope, Send

_METHODS = {"GET", "PUT", "PATCH", "DELETE"}
_FORM = "application/x-www-form-urlencoded"


class MethodOverrideMiddleware:
    """Lets requests reach `app` with the method they mean."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and is_v3(scope["path"]):
            request = Request(scope, receive)
            said = request.headers.get("x-http-method-override")
            if said is not None:
                try:
                    receive = await _meant(request, said.upper(), receive)
                except TrivetError as error:
                    await (await on_error(request, error))(scope, receive, send)
                    return
        await self.app(scope, receive, send)


async def _meant(request: Request, method: str, receive: Receive) -> Receive:
    """Make the scope what `request` means; return what its body is to be read from."""
    scope = request.scope
    if method not in _METHODS:
        raise RequestError(f"X-HTTP-Method-Override is one of {', '.join(sorted(_METHODS))}")
    if method == "GET" and request.headers.get("content-type", "").startswith(_FORM):
        form = await small_body(request)
        scope["query_string"] = b"&".join(part for part in (scope["query_string"], form) if part)
        receive = _nothing
    scope["method"] = method
    return receive


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
