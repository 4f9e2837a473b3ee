"""One connection of the framed protocol as an asyncio protocol: handshake, frames in, frames out.

Rule: small frames pass through one buffer; a large one is received into memory of its own, without a copy.
Rule: a peer that breaks the protocol loses the connection; `ended` says why, nothing else happens.
"""

import asyncio
import contextlib
import socket
import ssl
from abc import ABC, abstractmethod
from typing import cast

from trivet.errors import ProtocolError
from trivet.wire import auth
from trivet.wire.bank_messages import PROVEN_KINDS, decode_message, encode_message
from trivet.wire.frames import LENGTH_BYTES, Frame, FrameOpener, FrameSealer, frame_length
from trivet.wire.journal_messages import BankMessage

Body = bytes | memoryview

SMALL_BYTES = 64 << 10
_LARGE_FRAME_BYTES = SMALL_BYTES // 2
_JOINED_BYTES = 16 << 10
_SOCKET_BUFFER_BYTES = 2 << 20
_SO_SNDBUFFORCE = 32


class FrameConnection(asyncio.BufferedProtocol, ABC):
    """Both ends' common half; `on_hello`, `on_frame` and `on_end` are the subclass's.

    While `held` is true no frame is handed on; `let_go` goes on with what came meanwhile.
    """

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_closing = False
        self.is_local = False
        self.held = False
        self._transport: asyncio.Transport
        self._is_made = False
        self._before: asyncio.BaseProtocol | None = None
        self._small = memoryview(b"")
        self._start = self._end = 0
        self._large: bytearray | None = None
        self._filled = 0
        self._sealer: FrameSealer | None = None
        self._opener: FrameOpener | None = None

    # -- what a subclass does

    @abstractmethod
    def on_hello(self, nonce: bytes) -> None:
        """The peer said hello with its `nonce`; `begin` must be called."""

    @abstractmethod
    def on_frame(self, frame: Frame, message: BankMessage) -> None:
        """A frame came, checked."""

    @abstractmethod
    def on_end(self, error: Exception | None) -> None:
        """The connection is gone; `error` is a ProtocolError if the peer broke the rules."""

    @property
    def certificate_ends_s(self) -> float | None:
        """When the certificate that the peer showed expires, by the clock of the day; None without TLS."""
        shown = self._transport.get_extra_info("peercert") if self._is_made else None
        return ssl.cert_time_to_seconds(shown["notAfter"]) if shown else None

    # -- out

    def begin(self, *, key_out: bytes, key_in: bytes) -> None:
        """Seal and open frames with these keys from now on."""
        self._sealer = FrameSealer(key_out, PROVEN_KINDS)
        self._opener = FrameOpener(key_in, PROVEN_KINDS)

    def say_hello(self, nonce: bytes) -> None:
        """Send our hello."""
        self._transport.write(auth.hello(nonce))

    def send(self, request: int, message: BankMessage, body: Body) -> None:
        """Send one frame; raises ConnectionResetError when the connection is gone."""
        if self.is_closing or self._sealer is None:
            raise ConnectionResetError("the connection is gone")
        kind, header = encode_message(message)
        head = self._sealer.seal(kind, request, header, body)
        if not body:
            self._transport.write(head)
        elif len(body) <= _JOINED_BYTES:
            self._transport.write(b"".join((head, body)))
        else:
            self._transport.writelines((head, body))

    def abort(self) -> None:
        """Break the connection at once; a transport that is gone already bears no further word."""
        self.is_closing = True
        if self._is_made and not self.ended.done():
            self._transport.abort()

    async def close(self, timeout_s: float) -> None:
        """Let what was sent leave, at most `timeout_s`, and end."""
        self.is_closing = True
        if self.ended.done():
            return
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self.ended)
        self.abort()

    def take_over(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Serve `transport` in place of its protocol, which hears of the end; `data` was read before."""
        stream = cast("asyncio.Transport", transport)
        self._before = stream.get_protocol()
        stream.pause_reading()  # a transport looks at what its protocol can do when reading begins
        stream.set_protocol(self)
        stream.resume_reading()
        self.connection_made(stream)
        self._small[: len(data)] = data
        self.buffer_updated(len(data))

    # -- told by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_made = True
        connection = transport.get_extra_info("socket")
        self.is_local = connection is not None and connection.family == socket.AF_UNIX
        self._small = memoryview(bytearray(SMALL_BYTES))
        enlarge_send_buffer(connection)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        if self._before is not None:
            self._before.connection_lost(error)
        self._finish(error)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        if self._large is not None:
            return memoryview(self._large)[self._filled :]
        return self._small[self._end :]

    def buffer_updated(self, count: int) -> None:
        """Take in `count` bytes."""
        try:
            if self._large is None:
                self._end += count
                self._take_small()
                return
            self._filled += count
            if self._filled == len(self._large):
                large, self._large = self._large, None
                self._open(large)
        except ProtocolError as error:
            self._broken(error)

    # -- in

    def hold(self) -> None:
        """Hand no frame on until `let_go`."""
        if not self.held and not self.is_closing:
            self.held = True
            self._transport.pause_reading()

    def let_go(self) -> None:
        """Go on handing frames on."""
        if self.held and not self.is_closing:
            self.held = False
            try:
                self._take_small()
            except ProtocolError as error:
                self._broken(error)
            if not self.held and not self.is_closing:
                self._transport.resume_reading()

    def _take_small(self) -> None:
        """Hand on the frames that are whole; what is left moves to the buffer's beginning."""
        small, start = self._small, self._start
        while not self.held and not self.is_closing:
            have = self._end - start
            if self._opener is None:
                if have < auth.HELLO_BYTES:
                    break
                hello = bytes(small[start : start + auth.HELLO_BYTES])
                start += auth.HELLO_BYTES
                self.on_hello(auth.nonce_of(hello))
                continue
            if have < LENGTH_BYTES:
                break
            length = frame_length(small, start)
            begin = start + LENGTH_BYTES
            if begin + length > self._end:
                if length > _LARGE_FRAME_BYTES:
                    self._begin_large(length, small[begin : self._end])
                    start = self._end
                break
            start = begin + length
            self._open(bytes(small[begin:start]))
        rest = self._end - start
        if start and rest:
            small[:rest] = bytes(small[start : self._end])
        self._start, self._end = 0, rest

    def _begin_large(self, length: int, known: memoryview) -> None:
        self._large = bytearray(length)
        self._filled = len(known)
        memoryview(self._large)[: self._filled] = known

    def _open(self, data: bytes | bytearray) -> None:
        assert self._opener is not None
        frame = self._opener.open(data)
        self.on_frame(frame, decode_message(frame))

    def _broken(self, error: ProtocolError) -> None:
        self.abort()
        self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        self.is_closing = True
        self._small = memoryview(b"")
        self._large = None
        if not self.ended.done():
            self.ended.set_result(None)
            self.on_end(error)


def enlarge_send_buffer(connection: socket.socket | None) -> None:
    """Let a unix socket hold a whole blob, so that neither side wakes for every 200 KB of it."""
    if connection is None or connection.family != socket.AF_UNIX:
        return
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SOCKET_BUFFER_BYTES)
    except OSError:  # only root may go beyond the system's limit
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
