"""Logging in and out over HTTP: by password, by one-time link; who one is.

Rule: errors are raised; the door's one translating `except` gives them their face.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from trivet.errors import InputError, NotFound
from trivet.gateway.bodies import small_body
from trivet.gateway.native.operations import Operation, answer
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


def login_operations(people: People) -> list[Operation]:
    """Return the operations of `people`: /login, /logout, /me."""

    async def login(request: Request) -> Response:
        body = await small_body(request, _MAX_BODY_BYTES)
        try:
            asked = msgspec.json.decode(body, type=Credentials)
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
        found = Me(
            user=principal.user,
            admin=principal.admin,
            groups=list(principal.groups),
            rights=[(scope.path, scope.verbs) for scope in principal.scopes],
            logins=people.no_auth_user is None,
        )
        return answer(found)

    return [
        Operation("POST", "/login", login, "Log in.", status=204, body=Credentials, errors=(413,)),
        Operation("POST", "/logout", logout, "Log out.", status=204),
        Operation("GET", "/me", me, "Tell who is logged in.", Me),
    ]


def login_routes(people: People) -> list[Route]:
    """Return the routes of `people`: their operations, and /login/CODE."""

    async def redeem(request: Request) -> Response:
        try:
            user = await people.redeem(request.path_params["code"])
        except NotFound:
            return RedirectResponse("/?login=used", 303)
        request.scope["trivet.session"].log_in(user)
        return RedirectResponse("/", 303)

    return [
        *(one.route() for one in login_operations(people)),
        Route("/login/{code}", redeem, methods=["GET"]),
    ]
