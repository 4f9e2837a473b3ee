"""The link between two of our processes: framed messages over one TCP or unix connection.

Rule: requests leave in the order of the calls; the server starts them in the order they came.
Rule: a peer that breaks the protocol loses the connection, with one log line, and nothing else happens.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from trivet.errors import ProtocolError, ReplicaError
from trivet.io.unix_socket import socket_name
from trivet.wire import auth
from trivet.wire.bank_messages import decode_message, encode_message
from trivet.wire.frames import LENGTH_BYTES, Frame, FrameOpener, FrameSealer, frame_length
from trivet.wire.journal_messages import BankMessage

log = logging.getLogger(__name__)

Address = tuple[str, int] | Path
Body = bytes | memoryview
Reply = tuple[BankMessage, Body]
HandlerResult = BankMessage | Reply
Handler = Callable[[BankMessage, Body, "Peer"], HandlerResult | Awaitable[HandlerResult]]

HANDSHAKE_TIMEOUT_S = 5.0
REQUESTS_AT_ONCE = 128
_READ_LIMIT_BYTES = 4 << 20


class LinkLost(ReplicaError):
    """The connection is gone, or its peer did not answer in time."""


class NoAnswer(LinkLost):
    """The connection stands, but its peer did not answer in time: it hangs."""


async def _open(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, Path):
        with socket_name(address) as name:
            return await asyncio.open_unix_connection(name, limit=_READ_LIMIT_BYTES)
    return await asyncio.open_connection(*address, limit=_READ_LIMIT_BYTES)


class _Channel:
    """One connection after the handshake: seals what goes out, opens what comes in."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, key_out: bytes, key_in: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._sealer = FrameSealer(key_out)
        self._opener = FrameOpener(key_in)

    def send(self, request: int, message: BankMessage, body: Body) -> None:
        if self._writer.is_closing():  # uvloop raises RuntimeError for what asyncio lets pass
            raise ConnectionResetError("the connection is gone")
        kind, header = encode_message(message)
        self._writer.writelines(self._sealer.seal(kind, request, header, body))

    async def drained(self) -> None:
        await self._writer.drain()

    async def receive(self) -> Frame:
        prefix = await self._reader.readexactly(LENGTH_BYTES)
        return self._opener.open(await self._reader.readexactly(frame_length(prefix)))

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), HANDSHAKE_TIMEOUT_S)

    def abort(self) -> None:
        self._writer.transport.abort()


class Link:
    """The client's end: pipelined requests, each with its deadline."""

    def __init__(self, channel: _Channel, on_event: Callable[[BankMessage], None]) -> None:
        self._channel = channel
        self._on_event = on_event
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next_request = 1
        self._lost: LinkLost | None = None
        self.lost = asyncio.Event()
        self._reading = asyncio.create_task(self._read_replies())

    @classmethod
    async def connect(
        cls,
        address: Address,
        volume_key: bytes,
        *,
        timeout_s: float,
        on_event: Callable[[BankMessage], None] = lambda message: None,
    ) -> Self:
        """Connect to a server that holds `volume_key`; `on_event` gets what it sends unasked.

        `address` is (host, port) or the path of a unix socket. Raises LinkLost.
        """
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await _open(address)
                nonce = os.urandom(auth.NONCE_BYTES)
                writer.write(auth.hello(nonce))
                answer = auth.nonce_of(await reader.readexactly(auth.HELLO_BYTES))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ProtocolError) as error:
            if writer is not None:
                writer.transport.abort()
            raise LinkLost(f"no link to {address}: {error or type(error).__name__}") from error
        to_server, to_client = auth.session_keys(volume_key, nonce, answer)
        return cls(_Channel(reader, writer, key_out=to_server, key_in=to_client), on_event)

    def start(self, message: BankMessage, body: Body = b"") -> asyncio.Future[Reply]:
        """Send a request now and return the future of its reply; the caller keeps the deadline."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._lost is not None:
            future.set_exception(self._lost)
            return future
        request = self._next_request
        self._next_request = request % 0xFFFFFFFF + 1
        self._waiting[request] = future
        try:
            self._channel.send(request, message, body)
        except OSError as error:
            self._give_up(LinkLost(str(error)))
        return future

    async def request(self, message: BankMessage, body: Body = b"", *, timeout_s: float) -> Reply:
        """Send a request and return its reply, waiting at most `timeout_s`; raises LinkLost."""
        if self._lost is not None:
            raise self._lost
        future = self.start(message, body)
        try:
            async with asyncio.timeout(timeout_s):
                if len(body) >= _READ_LIMIT_BYTES >> 4:
                    await self._channel.drained()
                return await future
        except TimeoutError as error:
            raise NoAnswer(f"no answer to {type(message).__name__} within {timeout_s} s") from error
        except OSError as error:
            raise LinkLost(str(error)) from error

    def abort(self) -> None:
        """Break the connection at once; whoever still waits gets LinkLost."""
        self._channel.abort()

    async def close(self) -> None:
        """Close the connection; whoever still waits gets LinkLost."""
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        await self._channel.close()

    async def _read_replies(self) -> None:
        reason = "the link was closed"
        try:
            while True:
                frame = await self._channel.receive()
                message = decode_message(frame)
                if frame.request == 0:
                    self._on_event(message)
                    continue
                waiting = self._waiting.pop(frame.request, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result((message, frame.body))
        except (OSError, asyncio.IncompleteReadError, ProtocolError) as error:
            reason = f"the link broke: {error}"
        finally:
            self._give_up(LinkLost(reason))

    def _give_up(self, lost: LinkLost) -> None:
        self._lost = lost
        self._channel.abort()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(lost)
                future.exception()  # a caller that has stopped waiting must not be warned about
        self._waiting.clear()
        self.lost.set()


class Peer:
    """The server's view of one connection."""

    def __init__(self, channel: _Channel, name: str) -> None:
        self._channel = channel
        self.name = name

    def send_event(self, message: BankMessage) -> None:
        """Send `message` unasked."""
        self._channel.send(0, message, b"")


async def serve_link(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    volume_key: bytes,
    handle: Handler,
    *,
    first: bytes = b"",
) -> None:
    """Serve one connection until it ends; `first` are bytes of it that were read already.

    `handle` is called in the order requests come; an awaitable it returns is awaited beside the next calls
    (at most 128 at once), so that a slow sync does not hold up what comes behind it.
    """
    name = str(writer.get_extra_info("peername"))
    running: set[asyncio.Task[None]] = set()
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            hello = first + await reader.readexactly(auth.HELLO_BYTES - len(first))
        client_nonce = auth.nonce_of(hello)
        nonce = os.urandom(auth.NONCE_BYTES)
        writer.write(auth.hello(nonce))
        to_server, to_client = auth.session_keys(volume_key, client_nonce, nonce)
        channel = _Channel(reader, writer, key_out=to_client, key_in=to_server)
        peer = Peer(channel, name)
        while True:
            frame = await channel.receive()
            result = handle(decode_message(frame), frame.body, peer)
            if isinstance(result, BankMessage | tuple):
                _reply(channel, frame.request, result)
            else:
                task = asyncio.ensure_future(_reply_later(channel, frame.request, result))
                running.add(task)
                task.add_done_callback(running.discard)
                if len(running) >= REQUESTS_AT_ONCE:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            await channel.drained()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        log.debug("%s went away: %r", name, error)
    except ProtocolError as error:
        log.warning("closed the connection of %s: %s", name, error)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        writer.transport.abort()


def _reply(channel: _Channel, request: int, result: HandlerResult) -> None:
    message, body = result if isinstance(result, tuple) else (result, b"")
    channel.send(request, message, body)


async def _reply_later(channel: _Channel, request: int, result: Awaitable[HandlerResult]) -> None:
    _reply(channel, request, await result)
