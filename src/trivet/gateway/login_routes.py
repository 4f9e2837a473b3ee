"""Logging in and out over HTTP: by password, by one-time link; who one is.

Rule: errors are raised; the door's one translating `except` gives them their face.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from trivet.errors import InputError, NotFound, PayloadTooLarge
from trivet.gateway.people import People
from trivet.gateway.sessions import principal_of

_MAX_BODY_BYTES = 16 * 1024


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON body of a login."""

    user: str
    password: str


class Me(msgspec.Struct):
    """Who is logged in; `logins` is false under `--no-auth`."""

    user: str
    admin: bool
    groups: list[str]
    rights: list[tuple[str, str]]
    logins: bool


def login_routes(people: People) -> list[Route]:
    """Return the routes of `people`: /api/v1/login, /api/v1/logout, /api/v1/me, /login/CODE."""

    async def login(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await _body(request), type=Credentials)
        except msgspec.DecodeError as error:
            raise InputError(f'a login is JSON, {{"user": ..., "password": ...}}: {error}') from None
        address = request.client.host if request.client else ""
        request.scope["trivet.session"].log_in(await people.log_in(asked.user, asked.password, address))
        return Response(status_code=204)

    async def logout(request: Request) -> Response:
        request.scope["trivet.session"].log_out()
        return Response(status_code=204)

    async def me(request: Request) -> Response:
        principal = principal_of(request.scope)
        told = Me(
            user=principal.user,
            admin=principal.admin,
            groups=list(principal.groups),
            rights=[(scope.path, scope.verbs) for scope in principal.scopes],
            logins=people.no_auth_user is None,
        )
        return JSONResponse(msgspec.to_builtins(told))

    async def redeem(request: Request) -> Response:
        try:
            user = await people.redeem(request.path_params["code"])
        except NotFound:
            return RedirectResponse("/?login=used", 303)
        request.scope["trivet.session"].log_in(user)
        return RedirectResponse("/", 303)

    return [
        Route("/api/v1/login", login, methods=["POST"]),
        Route("/api/v1/logout", logout, methods=["POST"]),
        Route("/api/v1/me", me, methods=["GET"]),
        Route("/login/{code}", redeem, methods=["GET"]),
    ]


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise PayloadTooLarge(f"the body of a login has at most {_MAX_BODY_BYTES:,} bytes")
    return body
