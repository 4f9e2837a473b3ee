"""Who stands behind a request: cookies, tokens, `--no-auth`, requests of other sites."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from trivet.drive.rights import EVERYTHING, parse_scope
from trivet.errors import Forbidden, TrivetError, Unauthorized
from trivet.gateway.people import People
from trivet.gateway.sessions import PeopleMiddleware, principal_of, require
from trivet.gateway.teardown import App
from trivet.gateway.testing import TestClient


async def _who(request: Request) -> JSONResponse:
    try:
        principal = require(request.scope, "r", request.query_params.get("path", "/"))
    except (Unauthorized, Forbidden) as error:
        return JSONResponse({"error": str(error)}, error.http_status)
    return JSONResponse({"user": principal.user})


async def _change(request: Request) -> JSONResponse:
    try:
        return JSONResponse({"user": principal_of(request.scope).user})
    except TrivetError as error:
        return JSONResponse({"error": str(error)}, error.http_status)


async def _login(request: Request) -> JSONResponse:
    request.scope["trivet.session"].log_in(request.query_params["user"])
    return JSONResponse({})


async def _logout(request: Request) -> JSONResponse:
    request.scope["trivet.session"].log_out()
    return JSONResponse({})


def _app(people: People) -> App:
    routes = [
        Route("/who", _who),
        Route("/change", _change, methods=["POST"]),
        Route("/login", _login),
        Route("/logout", _logout),
    ]
    return PeopleMiddleware(Starlette(routes=routes), people)


@pytest.fixture
def people(tmp_path: Path):
    found = People(tmp_path / "gateway")
    found.users.add("ann", "long enough", scopes=(EVERYTHING,))
    yield found
    found.close()


def test_nobody_is_401_and_a_login_session_is_somebody(people: People) -> None:
    with TestClient(_app(people)) as client:
        assert client.get("/who").status_code == 401
        answer = client.get("/login?user=ann")
        assert "HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]
        assert "Secure" not in answer.headers["set-cookie"]
        assert client.get("/who").json() == {"user": "ann"}
        assert "Cookie" in client.get("/who").headers["vary"]
        assert people.sessions.count() == 1
        client.get("/logout")
        assert client.get("/who").status_code == 401
        assert people.sessions.count() == 0


def test_the_cookie_is_secure_under_tls(people: People) -> None:
    with TestClient(_app(people), base_url="https://testserver") as client:
        assert "; Secure" in client.get("/login?user=ann").headers["set-cookie"]


def test_a_bad_signature_is_an_empty_session(people: People) -> None:
    with TestClient(_app(people)) as client:
        client.get("/login?user=ann")
        name, value = next(iter(client.cookies.items()))
        client.cookies.clear()
        client.cookies.set(name, ("A" if value[0] != "A" else "B") + value[1:])
        assert client.get("/who").status_code == 401


def test_disabling_a_user_ends_sessions_and_tokens_at_once(people: People) -> None:
    text, _ = people.tokens.create("ann", parse_scope("/", "r"))
    bearer = {"authorization": f"Bearer {text}"}
    with TestClient(_app(people)) as client:
        client.get("/login?user=ann")
        assert client.get("/who", headers=bearer).json() == {"user": "ann"}
        people.users.set_disabled("ann", True)
        assert client.get("/who").status_code == 401
        assert client.get("/who", headers=bearer).status_code == 401


def test_a_token_is_held_to_its_scope(people: People) -> None:
    text, token = people.tokens.create("ann", parse_scope("/docs", "r"))
    with TestClient(_app(people)) as client:
        client.headers["authorization"] = f"Bearer {text}"
        assert client.get("/who?path=/docs/a").status_code == 200
        assert client.get("/who?path=/docs2").status_code == 403
        people.tokens.revoke(token.id)
        assert client.get("/who?path=/docs/a").status_code == 401


def test_rights_of_a_user_and_the_groups_add_up(people: People) -> None:
    people.users.add("bob", None, scopes=(parse_scope("/own", "rw"),), groups=("staff",))
    people.users.allow("group", "staff", "/plans", "r")
    with TestClient(_app(people)) as client:
        client.get("/login?user=bob")
        paths = ("/own/a", "/plans/a", "/", "/docs")
        told = {path: client.get(f"/who?path={path}").status_code for path in paths}
        assert told == {"/own/a": 200, "/plans/a": 200, "/": 403, "/docs": 403}
        people.users.allow("group", "staff", "/plans", "")
        assert client.get("/who?path=/plans/a").status_code == 403


def test_another_sites_page_can_not_change_anything(people: People) -> None:
    with TestClient(_app(people)) as client:
        client.get("/login?user=ann")
        assert client.post("/change", headers={"origin": "http://testserver"}).status_code == 200
        assert client.post("/change", headers={"origin": "http://evil.example"}).status_code == 403


def test_without_logins_only_loopback_names_are_answered(tmp_path: Path) -> None:
    people = People(tmp_path, no_auth_user="me")
    with TestClient(_app(people), base_url="http://127.0.0.1:8080") as client:
        assert client.get("/who").json() == {"user": "me"}
        assert client.get("/who", headers={"host": "rebound.example"}).status_code == 403
    people.close()


def test_an_unused_session_runs_out(tmp_path: Path) -> None:
    now = [1000.0]
    people = People(tmp_path, now_s=lambda: now[0], user_ttl_s=60)
    people.users.add("ann", None, scopes=(EVERYTHING,))
    with TestClient(_app(people)) as client:
        client.get("/login?user=ann")
        for _ in range(5):
            now[0] += 50
            assert client.get("/who").status_code == 200
        now[0] += 61
        assert client.get("/who").status_code == 401
        assert people.sessions.count() == 0
    people.close()
