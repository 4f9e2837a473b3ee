"""WebSockets of clients that do not read: what waits for them stays small, and they are cut in the end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from trivet.gateway import guarded_socket
from trivet.gateway.guarded_socket import GuardedSocket

MOST_BYTES = 512 << 10
_HELLO = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")  # fmt: skip
#: A ping of 125 bytes, masked by zeros, and a text message of one letter.
_PING = b"\x89\xfd" + bytes(4) + b"p" * 125
_TEXT = b"\x81\x81" + bytes(4) + b"x"

App = Callable[[Any, Any, Any], Awaitable[None]]


@asynccontextmanager
async def served(app: App) -> AsyncIterator[tuple[uvicorn.Server, socket.socket]]:
    """Serve `app`; yield the server, and a client's socket that is a WebSocket and has read nothing since."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        server = uvicorn.Server(uvicorn.Config(app, ws=GuardedSocket, lifespan="off", log_config=None))
        server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, listening.getsockname())
            await loop.sock_sendall(client, _HELLO)
            assert (await loop.sock_recv(client, 12)).endswith(b"101")
            try:
                yield server, client
            finally:
                server.should_exit = server.force_exit = True
                await serving


def waiting_bytes(server: uvicorn.Server) -> int:
    """Return how much waits to be sent on all WebSockets."""
    sockets = [one for one in server.server_state.connections if isinstance(one, GuardedSocket)]
    return sum(one.transport.get_write_buffer_size() for one in sockets)


async def accept(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def talks(scope: Any, receive: Any, send: Any) -> None:
    """Send for ever, as /api/v1/events does when much happens."""
    await accept(receive, send)
    while True:
        await send({"type": "websocket.send", "text": "x" * 10_000})


async def listens(scope: Any, receive: Any, send: Any) -> None:
    """Take what comes."""
    await accept(receive, send)
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def falls_silent(scope: Any, receive: Any, send: Any) -> None:
    """Say more than fits into the sockets' own buffers, less than what makes it wait; then end."""
    await accept(receive, send)
    while not send.__self__.transport.get_write_buffer_size():
        await send({"type": "websocket.send", "text": "x" * 10_000})


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def test_who_does_not_read_is_sent_no_more_and_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_socket, "STALLED_S", 0.5)
    async with served(talks) as (server, _):
        await until(lambda: waiting_bytes(server) > 0)
        await asyncio.sleep(0.2)
        assert 0 < waiting_bytes(server) < MOST_BYTES
        await until(lambda: not server.server_state.connections)


@pytest.mark.parametrize("said", [_PING, _PING + _TEXT])
async def test_pings_of_who_does_not_read_are_not_read_for_ever(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(guarded_socket, "STALLED_S", 1.5)  # a busy machine must look in between
    loop = asyncio.get_running_loop()
    most = 0
    async with served(listens) as (server, client):
        flood = asyncio.create_task(loop.sock_sendall(client, said * 200_000))
        while server.server_state.connections:
            most = max(most, waiting_bytes(server))
            await asyncio.sleep(0.01)
        flood.cancel()
        await asyncio.wait([flood])
    assert 0 < most < MOST_BYTES


async def test_who_reads_again_in_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_socket, "STALLED_S", 1.8)  # a busy machine must look in between
    loop = asyncio.get_running_loop()
    async with served(talks) as (server, client):
        got = 0
        for _ in range(4):  # longer than STALLED_S all in all
            await until(lambda: waiting_bytes(server) > 0)
            await asyncio.sleep(0.5)
            for _ in range(200):
                got += len(await loop.sock_recv(client, 1 << 16))
        assert server.server_state.connections
        assert got > MOST_BYTES


async def test_last_words_that_nobody_reads_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_socket, "STALLED_S", 0.5)
    async with served(falls_silent) as (server, _):
        await until(lambda: 0 < waiting_bytes(server) < 60_000)
        await until(lambda: not server.server_state.connections)
