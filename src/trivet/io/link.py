"""The link between two of our processes: framed messages over one TCP or unix connection.

Rule: requests leave in the order of the calls; the server starts them in the order they came.
Rule: a peer that breaks the protocol loses the connection, with one log line, and nothing else happens.
Rule: a link that is over leaves no cycles behind: the keeper does without the cyclic collector.
"""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

from trivet.errors import ProtocolError, ReplicaError
from trivet.io.frame_connection import Body as Body
from trivet.io.frame_connection import FrameConnection
from trivet.io.reply_deadline import ReplyDeadline, never
from trivet.io.tls import Address, connect_to, why_not_trusted
from trivet.wire import auth
from trivet.wire.frames import Frame
from trivet.wire.journal_messages import BankMessage

log = logging.getLogger(__name__)

Reply = tuple[BankMessage, Body]
HandlerResult = BankMessage | Reply
Handler = Callable[[BankMessage, Body, "Peer"], HandlerResult | Awaitable[HandlerResult]]
OnReply = Callable[[BankMessage, Body], None]

HANDSHAKE_TIMEOUT_S = 5.0
REQUESTS_AT_ONCE = 128
_EARLY_BYTES = 16 << 10


class LinkLost(ReplicaError):
    """The connection is gone, or its peer did not answer in time."""


class NoAnswer(LinkLost):
    """The connection stands, but its peer did not answer in time: it hangs."""


class NotTrusted(LinkLost):
    """What answers there can't show a certificate of this volume: it waits for a person, not for time."""


class Link(FrameConnection):
    """The client's end: pipelined requests, each with its deadline."""

    def __init__(self, volume_key: bytes, on_event: Callable[[BankMessage], None]) -> None:
        super().__init__()
        self._key = volume_key
        self._nonce = os.urandom(auth.NONCE_BYTES)
        self._on_event = on_event
        self._waiting: dict[int, asyncio.Future[Reply] | OnReply] = {}
        self._next_request = 1
        self._greeted = asyncio.Event()
        self._lost = ""
        self.lost = asyncio.Event()

    @classmethod
    async def connect(
        cls, address: Address, volume_key: bytes, *, timeout_s: float,
        on_event: Callable[[BankMessage], None] = lambda message: None,
        tls: ssl.SSLContext | None = None, gone_after_s: float | None = None,
    ) -> Self:  # fmt: skip
        """Connect to a server that holds `volume_key`; `on_event` gets what it sends unasked.

        `address` is (host, port) or the path of a unix socket; by `tls` the host must prove that it is the
        host. `gone_after_s`: see connect_to. Raises LinkLost; NotTrusted if it can't.
        """
        link = cls(volume_key, on_event)
        try:
            async with asyncio.timeout(timeout_s):
                await connect_to(address, link, tls, gone_after_s)
                link.say_hello(link._nonce)
                await link._greeted.wait()
        except (OSError, TimeoutError) as error:
            link.abort()
            if tls is not None and (why := why_not_trusted(address, error)):
                raise NotTrusted(why) from error
            raise LinkLost(f"no link to {address}: {error or type(error).__name__}") from error
        except asyncio.CancelledError:
            link.abort()
            raise
        if link._lost:
            raise LinkLost(f"no link to {address}: {link._lost}")
        return link

    def send_request(self, message: BankMessage, body: Body, on_reply: OnReply) -> None:
        """Send a request now; `on_reply` gets its reply as soon as that came, nothing if none does."""
        if not self._lost:
            self._send_request(message, body, on_reply)

    def start(self, message: BankMessage, body: Body = b"") -> asyncio.Future[Reply]:
        """Send a request now and return the future of its reply; the caller keeps the deadline."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._lost:
            future.set_exception(LinkLost(self._lost))
        else:
            self._send_request(message, body, future)
        return future

    async def request(
        self,
        message: BankMessage,
        body: Body = b"",
        *,
        timeout_s: float,
        is_needed: Callable[[], bool] = never,
    ) -> Reply:
        """Send a request and return its reply; raises LinkLost, NoAnswer if none comes within `timeout_s`.

        Beyond that it waits on while `is_needed` says so, up to PATIENCE_S.
        """
        future = self.start(message, body)
        why = f"no answer to {type(message).__name__} within {timeout_s} s"
        deadline = ReplyDeadline(future, timeout_s, is_needed, NoAnswer(why))
        try:
            return await future
        finally:
            deadline.cancel()
            del future, deadline

    def _send_request(
        self, message: BankMessage, body: Body, waiting: asyncio.Future[Reply] | OnReply
    ) -> None:
        request = self._next_request
        self._next_request = request % 0xFFFFFFFF + 1
        self._waiting[request] = waiting
        try:
            self.send(request, message, body)
        except OSError as error:
            self._give_up(str(error))

    async def close(self, timeout_s: float = HANDSHAKE_TIMEOUT_S) -> None:
        """Close the connection; whoever still waits gets LinkLost."""
        self._give_up("the link was closed", abort=False)
        await super().close(timeout_s)

    def on_hello(self, nonce: bytes) -> None:
        """Take the server's nonce: from now on requests may be sent."""
        to_server, to_client = auth.session_keys(self._key, self._nonce, nonce)
        self.begin(key_out=to_server, key_in=to_client)
        self._greeted.set()

    def on_frame(self, frame: Frame, message: BankMessage) -> None:
        """Hand a reply to whoever waits for it."""
        if frame.request == 0:
            self._on_event(message)
            return
        waiting = self._waiting.pop(frame.request, None)
        if isinstance(waiting, asyncio.Future):
            if not waiting.done():
                waiting.set_result((message, frame.body))
        elif waiting is not None:
            waiting(message, frame.body)

    def on_end(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        self._give_up(f"the link broke: {error or 'the server closed it'}")

    def _give_up(self, why: str, *, abort: bool = True) -> None:
        self._lost = self._lost or why
        if abort:
            self.abort()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if isinstance(future, asyncio.Future) and not future.done():
                future.set_exception(LinkLost(self._lost))
                future.exception()  # a caller that has stopped waiting must not be warned about
        self._greeted.set()
        self.lost.set()


class Peer:
    """The server's view of one connection."""

    def __init__(self, connection: FrameConnection, name: str) -> None:
        self._connection = connection
        self.name = name

    def send_event(self, message: BankMessage) -> None:
        """Send `message` unasked."""
        self._connection.send(0, message, b"")


class _ServedLink(FrameConnection):
    """The server's end: calls `handle` in the order of the requests and sends what it answers."""

    def __init__(self, volume_key: bytes, handle: Handler, name: str) -> None:
        super().__init__()
        self._key = volume_key
        self._handle = handle
        self._name = name
        self._peer = Peer(self, name)
        self._running: set[asyncio.Future[HandlerResult]] = set()
        self._is_clogged = False
        self.began = False

    def on_hello(self, nonce: bytes) -> None:
        """Answer the client's hello."""
        own = os.urandom(auth.NONCE_BYTES)
        self.say_hello(own)
        to_server, to_client = auth.session_keys(self._key, nonce, own)
        self.begin(key_out=to_client, key_in=to_server)
        self.began = True

    def on_frame(self, frame: Frame, message: BankMessage) -> None:
        """Carry a request out."""
        result = self._handle(message, frame.body, self._peer)
        if isinstance(result, BankMessage):
            self.send(frame.request, result, b"")
        elif isinstance(result, tuple):
            self.send(frame.request, *result)
        else:
            self._answer_later(frame.request, asyncio.ensure_future(result))

    def _answer_later(self, request: int, running: asyncio.Future[HandlerResult]) -> None:
        def answer(done: asyncio.Future[HandlerResult]) -> None:
            self._running.discard(done)
            self._go_on()
            if done.cancelled():
                return
            result = done.result()  # a bug surfaces in the loop's exception handler
            message, body = result if isinstance(result, tuple) else (result, b"")
            with contextlib.suppress(ConnectionResetError):
                self.send(request, message, body)

        self._running.add(running)
        running.add_done_callback(answer)
        if len(self._running) >= REQUESTS_AT_ONCE:
            self.hold()

    def pause_writing(self) -> None:
        """Read no further requests while the client does not take its answers."""
        self._is_clogged = True
        self.hold()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_clogged = False
        self._go_on()

    def _go_on(self) -> None:
        if not self._is_clogged and len(self._running) < REQUESTS_AT_ONCE:
            self.let_go()

    def on_end(self, error: Exception | None) -> None:
        """Stop what still runs for this client."""
        if isinstance(error, ProtocolError):
            log.warning("closed the connection of %s: %s", self._name, error)
        else:
            log.debug("%s went away: %r", self._name, error)
        for running in self._running:
            running.cancel()


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
    name = str(writer.get_extra_info("peername") or "a process of this machine")
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            hello = first + await reader.readexactly(auth.HELLO_BYTES - len(first))
        hello += await _early_bytes(reader)
        if reader.at_eof():
            raise ConnectionResetError("it said all it had to say")
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        log.debug("%s went away: %r", name, error)
        writer.transport.abort()
        return
    served = _ServedLink(volume_key, handle, name)
    served.take_over(writer.transport, hello)
    try:
        await asyncio.shield(served.ended)
    finally:
        served.abort()


async def _early_bytes(reader: asyncio.StreamReader) -> bytes:
    """Return what a client said before it was answered: nothing, if it keeps to the rules."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            return await reader.read(_EARLY_BYTES)
    return b""
