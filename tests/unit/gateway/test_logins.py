"""Logging in: passwords, one-time links, and how often one may try."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from trivet.drive.login_limits import MAX_PAIR, WINDOW_S
from trivet.drive.rights import EVERYTHING
from trivet.errors import NotFound, RateLimited, TrivetError, Unauthorized
from trivet.gateway.login_routes import login_routes
from trivet.gateway.people import People
from trivet.gateway.sessions import PeopleMiddleware
from trivet.gateway.testing import TestClient


@pytest.fixture
def now() -> list[float]:
    return [1_000_000.0]


@pytest.fixture
def people(tmp_path: Path, now: list[float]) -> Iterator[People]:
    found = People(tmp_path, now_s=lambda: now[0])
    found.users.add("ann", "long enough", scopes=(EVERYTHING,))
    yield found
    found.close()


@pytest.fixture
def client(people: People) -> Iterator[TestClient]:
    def told(_: Request, error: Exception) -> Response:
        assert isinstance(error, TrivetError)
        return JSONResponse({"detail": str(error)}, error.http_status)

    app = Starlette(routes=login_routes(people), exception_handlers={TrivetError: told})
    with TestClient(PeopleMiddleware(app, people)) as found:
        yield found


def test_log_in_and_out(client: TestClient) -> None:
    assert client.get("/api/v1/me").status_code == 401
    answer = client.post("/api/v1/login", json={"user": "ann", "password": "long enough"})
    assert answer.status_code == 204
    assert client.get("/api/v1/me").json()["user"] == "ann"
    assert client.post("/api/v1/logout").status_code == 204
    assert client.get("/api/v1/me").status_code == 401
    assert not client.cookies


def test_logging_in_gives_the_session_a_new_id(client: TestClient) -> None:
    with client.session_transaction() as session:
        session["cart"] = 1
    before = dict(client.cookies)
    client.post("/api/v1/login", json={"user": "ann", "password": "long enough"})
    assert dict(client.cookies) != before
    with client.session_transaction() as session:
        assert session["cart"] == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"user":1,"password":""}', b'{"user":"ann"}', b"\xff", b"{" * 9000]
)
def test_bad_bodies_are_400(client: TestClient, body: bytes) -> None:
    assert client.post("/api/v1/login", content=body).status_code == 400


def test_a_large_body_is_413(client: TestClient) -> None:
    assert client.post("/api/v1/login", content=b" " * 20_000).status_code == 413


async def test_wrong_passwords_run_out_and_come_back(people: People, now: list[float]) -> None:
    for _ in range(MAX_PAIR):
        with pytest.raises(Unauthorized):
            await people.log_in("ann", "wrong wrong", "10.0.0.1")
    with pytest.raises(RateLimited) as refused:
        await people.log_in("ann", "long enough", "10.0.0.1")
    assert 0 < refused.value.retry_after_s <= WINDOW_S
    assert await people.log_in("ann", "long enough", "10.0.0.2") == "ann", "elsewhere is not locked out yet"
    now[0] += WINDOW_S + 1
    assert await people.log_in("ann", "long enough", "10.0.0.1") == "ann"


async def test_right_passwords_never_run_out(people: People) -> None:
    for _ in range(MAX_PAIR + 2):
        assert await people.log_in("ann", "long enough", "10.0.0.1") == "ann"


async def test_an_unknown_user_and_a_disabled_one_are_told_the_same(people: People) -> None:
    people.users.set_disabled("ann", True)
    said = set()
    for user in ("ann", "nobody"):
        with pytest.raises(Unauthorized) as refused:
            await people.log_in(user, "long enough", "10.0.0.1")
        said.add(str(refused.value))
    assert len(said) == 1


def test_the_first_link_makes_the_first_user_and_works_once(tmp_path: Path) -> None:
    people = People(tmp_path / "new")
    code = people.first_link()
    assert code is not None
    assert people.first_link() is None
    (user,) = people.users.users()
    assert user.admin
    with TestClient(PeopleMiddleware(Starlette(routes=login_routes(people)), people)) as client:
        assert client.get(f"/login/{code}", follow_redirects=False).headers["location"] == "/"
        assert client.get("/api/v1/me").json()["user"] == user.name
        again = client.get(f"/login/{code}", follow_redirects=False)
        assert again.headers["location"] == "/?login=used"
    people.close()


async def test_a_link_runs_out(people: People, now: list[float]) -> None:
    code = people.link_for("ann")
    now[0] += 3601
    with pytest.raises(NotFound):
        await people.redeem(code)
    assert await people.redeem(people.link_for("ann")) == "ann"


async def test_sweeping_leaves_only_what_is_in_force(people: People, now: list[float]) -> None:
    session = people.sessions.open(None)
    session["a"] = 1
    people.sessions.save_now(session)
    await people.locks.acquire(7, "ann", "exclusive", 60)
    now[0] += 3601
    await people.sweep()
    rows = people._file.rows("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM locks)")
    assert rows == [(0,)]
