"""Finds out who stands behind a request: bearer token, session cookie, or the user of `--no-auth`.

Rule: `scope["trivet.principal"]` is that Principal or None; `require` raises what is to be said to nobody.
Rule: a change asked for by another site's page is refused unless a bearer token comes with it.
Rule: `scope["trivet.session"]` is written back when the response starts; answers vary with the cookie.
"""

from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.websockets import WebSocket

from trivet.drive.rights import Grant, Principal, Verb
from trivet.errors import Forbidden, RequestError, TrivetError, Unauthorized
from trivet.gateway.people import People
from trivet.gateway.session_store import Session
from trivet.gateway.teardown import App, Message, Receive, Scope, Send

COOKIE = "trivet_session"
GOOGLE_HOST = "www.googleapis.com"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
#: Names under which a door without logins answers: no other page can let one of them lead to this machine.
#: The last is what Google's clients say behind a proxy.
_OWN_NAMES = {"127.0.0.1", "localhost", "::1", GOOGLE_HOST}


def principal_of(scope: MutableMapping[str, Any]) -> Principal:
    """Return who is behind the request, or raise Unauthorized (or why they were refused)."""
    principal: Principal | None = scope.get("trivet.principal")
    if principal is None:
        refusal: RequestError | None = scope.get("trivet.refusal")
        raise refusal or Unauthorized("log in first, or send a bearer token")
    return principal


async def accepted(socket: WebSocket) -> Principal | None:
    """Accept a WebSocket and return who opened it; None to a stranger: then it is closed."""
    await socket.accept()
    try:
        return principal_of(socket.scope)
    except TrivetError as error:
        await socket.close(4401, str(error)[:120])
        return None


def require(
    scope: MutableMapping[str, Any], verb: Verb, path: str, grants: Iterable[Grant] = ()
) -> Principal:
    """Return who is behind the request if they may `verb` the `path`; raise Unauthorized or Forbidden.

    `grants` are the permissions given on the file and on the folders above it.
    """
    principal = principal_of(scope)
    principal.check(verb, path, grants)
    return principal


class PeopleMiddleware:
    """Puts principal and session of `people` into the scope of every request to `app`."""

    def __init__(self, app: App, people: People) -> None:
        self.app = app
        self.people = people

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
        session = self.people.sessions.open(_cookie(headers.get(b"cookie", "")))
        scope["trivet.session"] = session
        scope["trivet.principal"], scope["trivet.refusal"] = None, None
        try:
            scope["trivet.principal"] = self._principal(scope, headers, session)
        except RequestError as refusal:
            scope["trivet.refusal"] = refusal

        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                cookie = await self.people.sessions.save(session)
                message = {**message, "headers": [*message.get("headers", ()), (b"vary", b"Cookie")]}
                if cookie is not None:
                    message["headers"].append((b"set-cookie", set_cookie(cookie, scope["scheme"])))
            await send(message)

        await self.app(scope, receive, sending)

    def _principal(self, scope: Scope, headers: dict[bytes, str], session: Session) -> Principal | None:
        kind, _, token = headers.get(b"authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.people.no_auth_user is None:
            user, limit = self.people.tokens.holder(token.strip())
            principal = self.people.users.principal(user, limit=(limit,))
            if principal is None:
                raise Unauthorized(f"the user {user} of this token is disabled")
            return principal
        _refuse_other_sites(scope, headers, loopback_only=self.people.no_auth_user is not None)
        if self.people.no_auth_user is not None:
            return self.people.everybodys_principal()
        if session.user is None or session.digest is None:
            return None
        return self.people.users.principal(session.user, session_id=session.digest.hex()[:16])


def set_cookie(value: str, scheme: str) -> bytes:
    """Return the Set-Cookie line that gives the browser the session `value`, "" to take it away."""
    end = "; Max-Age=0" if not value else ""
    secure = "; Secure" if scheme in ("https", "wss") else ""
    return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{end}".encode("latin-1")


def _cookie(header: str) -> str | None:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def _refuse_other_sites(scope: Scope, headers: dict[bytes, str], *, loopback_only: bool) -> None:
    host, origin = headers.get(b"host", ""), headers.get(b"origin")
    if loopback_only and urlsplit(f"//{host}").hostname not in _OWN_NAMES:
        raise Forbidden("without logins the drive answers only to 127.0.0.1 and localhost")
    changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
    if changes and origin is not None and urlsplit(origin).netloc != host:
        raise Forbidden(f"a page of {origin} may not change this drive")
