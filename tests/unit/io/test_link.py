"""The link over real sockets: replies, order, events, and peers that break the protocol."""

import asyncio
import gc
import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from trivet.io.link import Handler, HandlerResult, Link, LinkLost, Peer, serve_link
from trivet.io.unix_socket import bound_socket
from trivet.wire import auth
from trivet.wire.bank_messages import BlobData, GetBlob, Stat, Touched
from trivet.wire.journal_messages import BankMessage, Done, Hello

KEY = bytes(range(32))


@asynccontextmanager
async def listening(handle: Handler) -> AsyncIterator[int]:
    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_link(reader, writer, KEY, handle)

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def echo(message: BankMessage, body: bytes | memoryview, peer: Peer) -> HandlerResult:
    if isinstance(message, GetBlob):
        return BlobData(True, len(body), 0, b""), bytes(body)
    return Done()


async def test_a_reply_carries_its_body_back() -> None:
    async with listening(echo) as port:
        link = await Link.connect(("127.0.0.1", port), KEY, timeout_s=5)
        body = os.urandom(1 << 20)
        reply, returned = await link.request(GetBlob(1, 0, 1), body, timeout_s=5)
        assert reply == BlobData(True, len(body), 0, b"")
        assert returned == body
        await link.close()


async def test_a_slow_request_does_not_hold_up_the_next() -> None:
    gate = asyncio.Event()

    async def slowly() -> HandlerResult:
        await gate.wait()
        return Done()

    def handle(
        message: BankMessage, body: bytes | memoryview, peer: Peer
    ) -> HandlerResult | Awaitable[HandlerResult]:
        return slowly() if isinstance(message, Stat) else Done()

    async with listening(handle) as port:
        link = await Link.connect(("127.0.0.1", port), KEY, timeout_s=5)
        slow = link.start(Stat())
        await link.request(Hello("journal"), timeout_s=5)
        assert not slow.done()
        gate.set()
        assert (await asyncio.wait_for(slow, 5))[0] == Done()
        await link.close()


async def test_an_event_reaches_the_client_unasked() -> None:
    seen: asyncio.Queue[BankMessage] = asyncio.Queue()

    def handle(message: BankMessage, body: bytes | memoryview, peer: Peer) -> HandlerResult:
        peer.send_event(Touched(b"/a"))
        return Done()

    async with listening(handle) as port:
        link = await Link.connect(("127.0.0.1", port), KEY, timeout_s=5, on_event=seen.put_nowait)
        await link.request(Hello("journal"), timeout_s=5)
        assert await asyncio.wait_for(seen.get(), 5) == Touched(b"/a")
        await link.close()


async def test_another_volumes_key_is_refused() -> None:
    called = []

    def handle(message: BankMessage, body: bytes | memoryview, peer: Peer) -> HandlerResult:
        called.append(message)
        return Done()

    async with listening(handle) as port:
        link = await Link.connect(("127.0.0.1", port), bytes(32), timeout_s=5)
        with pytest.raises(LinkLost):
            await link.request(Hello("journal"), timeout_s=5)
        await link.close()
    assert called == []


async def test_a_unix_socket_carries_a_link_however_deep_it_lies(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 40) / "link.sock"
    path.parent.mkdir()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_link(reader, writer, KEY, echo)

    with bound_socket(path) as bound:
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(LinkLost):
            await Link.connect(path, KEY, timeout_s=5)
        async with await asyncio.start_unix_server(on_connect, sock=bound):
            link = await Link.connect(path, KEY, timeout_s=5)
            assert (await link.request(Hello("journal"), timeout_s=5))[0] == Done()
            await link.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_small_and_large_frames_keep_their_order_on_a_full_unix_socket(
    run: Callable[[Coroutine[Any, Any, None]], None], tmp_path: Path
) -> None:
    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_link(reader, writer, KEY, echo)

    async def talk() -> None:
        bodies = [os.urandom(size) for size in (100, 900_000, 7, 15_000, 3_000_000, 1)] * 4
        with bound_socket(tmp_path / "socket") as bound:
            async with await asyncio.start_unix_server(on_connect, sock=bound):
                link = await Link.connect(tmp_path / "socket", KEY, timeout_s=5)
                waiting = []
                for at, body in enumerate(bodies):
                    waiting.append(link.start(GetBlob(at, 0, 1), body))
                    if at % 3:  # the next finds the socket full, or just with room again
                        await asyncio.sleep(0)
                async with asyncio.timeout(30):
                    assert [bytes(returned) for _, returned in await asyncio.gather(*waiting)] == bodies
                await link.close()

    run(talk())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_server_whose_client_takes_no_answers_reads_no_more(
    run: Callable[[Coroutine[Any, Any, None]], None], tmp_path: Path
) -> None:
    body = os.urandom(1 << 20)
    asked: list[BankMessage] = []

    def handle(message: BankMessage, _body: bytes | memoryview, peer: Peer) -> HandlerResult:
        asked.append(message)
        return BlobData(True, len(body), 0, b""), body

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_link(reader, writer, KEY, handle)

    async def talk() -> None:
        with bound_socket(tmp_path / "socket") as bound:
            async with await asyncio.start_unix_server(on_connect, sock=bound):
                link = await Link.connect(tmp_path / "socket", KEY, timeout_s=5)
                link.hold()
                waiting = [link.start(GetBlob(at, 0, 1)) for at in range(100)]
                async with asyncio.timeout(30):
                    while not asked:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(0.1)
                    assert len(asked) < 20, "it keeps what nobody takes in memory"
                    link.let_go()
                    assert {bytes(returned) for _, returned in await asyncio.gather(*waiting)} == {body}
                await link.close()

    run(talk())
    assert len(asked) == 100


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n" * 9, os.urandom(400), auth.hello(bytes(32)) + b"\xff" * 64]
)
async def test_garbage_loses_the_connection(garbage: bytes) -> None:
    async with listening(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(4096), 5)
        writer.close()


async def test_links_that_are_over_leave_no_cycles(tmp_path: Path) -> None:
    """The keeper does without the cyclic collector: what a lost link leaves behind would stay for ever."""

    async def never() -> HandlerResult:
        await asyncio.Event().wait()
        return Done()

    links: list[weakref.ref[Link]] = []
    async with listening(lambda message, body, peer: never()) as port:
        gc.collect()
        before = weakref.WeakSet(one for one in gc.get_objects() if isinstance(one, Link))
        gc.disable()
        try:
            for _ in range(20):
                with pytest.raises(LinkLost):
                    await Link.connect(tmp_path / "nobody", KEY, timeout_s=5)
                link = await Link.connect(("127.0.0.1", port), KEY, timeout_s=5)
                links.append(weakref.ref(link))
                with pytest.raises(LinkLost):
                    await link.request(Stat(), timeout_s=0.01)
                waiting = asyncio.ensure_future(link.request(Stat(), timeout_s=5))
                await asyncio.sleep(0)
                await link.close()
                with pytest.raises(LinkLost):
                    await waiting
                del link, waiting
            await asyncio.sleep(0)
            assert sum(link() is not None for link in links) <= 1
            assert sum(isinstance(one, Link) and one not in before for one in gc.get_objects()) <= 1
        finally:
            gc.enable()


async def test_no_answer_is_a_lost_link_after_the_deadline() -> None:
    async def never() -> HandlerResult:
        await asyncio.Event().wait()
        return Done()

    async with listening(lambda message, body, peer: never()) as port:
        link = await Link.connect(("127.0.0.1", port), KEY, timeout_s=5)
        with pytest.raises(LinkLost, match="no answer to Stat"):
            await link.request(Stat(), timeout_s=0.05)
        await link.close()
