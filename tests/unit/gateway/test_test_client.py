"""The session tests every door must pass: sessions, redirects, transactions, re-use, teardown."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from trivet.gateway.people import People
from trivet.gateway.sessions import PeopleMiddleware
from trivet.gateway.teardown import App
from trivet.gateway.testing import TestClient


async def _set(request: Request) -> Response:
    request.scope["trivet.session"].update(request.query_params)
    return JSONResponse({})


async def _first(request: Request) -> Response:
    request.scope["trivet.session"]["first"] = 1
    return RedirectResponse("/second", 303)


async def _second(request: Request) -> Response:
    request.scope["trivet.session"]["second"] = 2
    return JSONResponse({})


async def _get(request: Request) -> Response:
    return JSONResponse(dict(request.scope["trivet.session"]))


def _starlette() -> Starlette:
    return Starlette(
        routes=[Route("/set", _set), Route("/first", _first), Route("/second", _second), Route("/get", _get)]
    )


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    found = People(tmp_path)
    yield found
    found.close()


@pytest.fixture
def app(people: People) -> App:
    return PeopleMiddleware(_starlette(), people)


def test_session(app: App) -> None:
    with TestClient(app) as client:
        assert client.get("/get").json() == {}
        client.get("/set?colour=red")
        assert client.get("/get").json() == {"colour": "red"}
    with TestClient(app) as stranger:
        assert stranger.get("/get").json() == {}


def test_redirect_keeps_session(app: App) -> None:
    with TestClient(app) as client:
        assert client.get("/first", follow_redirects=True).status_code == 200
        assert client.get("/get").json() == {"first": 1, "second": 2}


def test_session_transactions(app: App) -> None:
    with TestClient(app) as client:
        client.get("/set?kept=1")
        with client.session_transaction() as session:
            assert dict(session) == {"kept": "1"}
            session["put"] = [1, 2]
        assert client.get("/get").json() == {"kept": "1", "put": [1, 2]}
        with client.session_transaction() as session:
            del session["kept"]
        assert client.get("/get").json() == {"put": [1, 2]}


def test_a_session_transaction_can_begin_a_session(app: App, people: People) -> None:
    with TestClient(app) as client:
        with client.session_transaction() as session:
            session["put"] = 1
        assert client.get("/get").json() == {"put": 1}
        assert people.sessions.count() == 1
        with client.session_transaction() as session:
            session.log_out()
        assert people.sessions.count() == 0
        assert not client.cookies


def test_a_session_transaction_that_fails_changes_nothing(app: App) -> None:
    with TestClient(app) as client:
        with pytest.raises(ZeroDivisionError), client.session_transaction() as session:
            session["put"] = 1 / 0
        assert client.get("/get").json() == {}


def test_session_transactions_need_a_backend() -> None:
    with (
        TestClient(_starlette()) as client,
        pytest.raises(RuntimeError, match="session backend"),
        client.session_transaction(),
    ):
        pass


def test_session_transactions_need_cookies(app: App) -> None:
    with TestClient(app, cookies=False) as client:
        client.get("/set?colour=red")
        assert client.get("/get").json() == {}, "a client without cookies starts anew each time"
        with pytest.raises(TypeError, match=r"^Cookies are disabled\."), client.session_transaction():
            pass


def test_reuse_of_a_client(app: App) -> None:
    client = TestClient(app)
    for number in range(3):
        with client:
            assert client.get(f"/set?n{number}=1").status_code == 200
    assert len(client.get("/get").json()) == 3


def test_nesting_a_client_is_refused(app: App) -> None:
    client = TestClient(app)
    with client:
        with pytest.raises(RuntimeError, match="nest"), client:
            pass
        assert client.get("/get").status_code == 200
    with client:
        assert client.get("/get").status_code == 200


def test_two_requests_at_once_lose_nothing_of_each_other(people: People) -> None:
    begun = people.sessions.open(None)
    begun["zero"] = 0
    cookie = people.sessions.save_now(begun)
    one, other = people.sessions.open(cookie), people.sessions.open(cookie)
    one["one"], other["other"] = 1, 2
    people.sessions.save_now(other)
    people.sessions.save_now(one)
    assert dict(people.sessions.open(cookie)) == {"zero": 0, "one": 1, "other": 2}


def test_a_session_that_was_ended_meanwhile_stays_ended(people: People) -> None:
    begun = people.sessions.open(None)
    begun["zero"] = 0
    cookie = people.sessions.save_now(begun)
    slow, fast = people.sessions.open(cookie), people.sessions.open(cookie)
    fast.log_out()
    people.sessions.save_now(fast)
    slow["late"] = 1
    people.sessions.save_now(slow)
    assert dict(people.sessions.open(cookie)) == {}
