"""Teardown handlers: exactly once per request, after its last byte or the disconnect."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from trivet.gateway.teardown import TeardownMiddleware
from trivet.gateway.testing import TestClient

Seen = list[Any]


def _client(endpoint: Callable[[Request], Any]) -> TestClient:
    return TestClient(
        TeardownMiddleware(Starlette(routes=[Route("/", endpoint)])), raise_server_exceptions=False
    )


def test_once_after_the_last_byte_with_none() -> None:
    seen: Seen = []

    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        seen.append("streaming")
        yield b"b"

    async def endpoint(request: Request) -> Response:
        request.scope["trivet.teardown"].append(seen.append)
        return StreamingResponse(body())

    with _client(endpoint) as client:
        assert client.get("/").text == "ab"
        assert seen == ["streaming", None]
        client.get("/")
        assert seen == ["streaming", None] * 2


def test_once_with_the_exception() -> None:
    seen: Seen = []

    async def endpoint(request: Request) -> Response:
        request.scope["trivet.teardown"].append(seen.append)
        raise KeyError("lost")

    with _client(endpoint) as client:
        assert client.get("/").status_code == 500
    assert [type(one) for one in seen] == [KeyError]


def test_an_exception_in_the_middle_of_the_body_is_handed_on() -> None:
    seen: Seen = []

    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        raise KeyError("lost")

    async def endpoint(request: Request) -> Response:
        request.scope["trivet.teardown"].append(seen.append)
        return StreamingResponse(body())

    with _client(endpoint) as client:
        client.get("/")
    assert [type(one) for one in seen] == [KeyError]


def test_all_callbacks_run_last_first_also_when_one_fails() -> None:
    seen: Seen = []

    async def slow(error: BaseException | None) -> None:
        await asyncio.sleep(0)
        seen.append("slow")

    def failing(error: BaseException | None) -> None:
        seen.append("failing")
        raise AssertionError("a bug")

    async def endpoint(request: Request) -> Response:
        request.scope["trivet.teardown"].extend([slow, failing, lambda _: seen.append("last")])
        return PlainTextResponse("x")

    client = TestClient(TeardownMiddleware(Starlette(routes=[Route("/", endpoint)])))
    with client, pytest.raises(AssertionError, match="a bug"):
        client.get("/")
    assert seen == ["last", "failing", "slow"]


async def test_a_client_that_went_away_and_a_cancelled_request() -> None:
    seen: Seen = []

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        scope["trivet.teardown"].append(seen.append)
        while (await receive())["type"] != "http.disconnect":
            pass

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        raise AssertionError("nothing is answered")

    await TeardownMiddleware(waits)({"type": "http"}, gone, send)
    assert [type(one) for one in seen] == [ConnectionResetError]
    task = asyncio.create_task(TeardownMiddleware(waits)({"type": "http"}, never, send))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(one) for one in seen] == [ConnectionResetError, asyncio.CancelledError]
