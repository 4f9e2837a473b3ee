"""The HTTP protocol of a connection, with limits that a flood or a slow client runs into.

Rule: headers are bounded in bytes and in time, so is the sending of an answer to somebody who does not read.
Rule: a connection that is to end says so in an answer (`Connection: close`) and closes behind it; one that
nobody uses is closed after LINGER_S. So no request meets a connection that closes under it.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEADERS_MAX_BYTES = 64 << 10
HEADERS_S = 15.0
#: How long a client may read nothing of an answer that waits for it.
STALLED_S = 60.0

#: How long a leaving worker waits for the next request of a connection that is open.
LINGER_S = 5

_LEAVING = b"HTTP/1.1 503 Service Unavailable\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n"


class DoorState(ServerState):
    """What the connections of a worker share; `leaving` once it accepts no more."""

    def __init__(self) -> None:
        super().__init__()
        self.leaving = False

    def spread(self) -> None:
        """Ask every client to connect anew, with the answer to its next request."""
        for connection in list(self.connections):
            if isinstance(connection, GuardedProtocol):
                connection.part()


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools; what it lacks is how long and how large headers may be."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._header_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._parting = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._await_headers()
        if isinstance(self.server_state, DoorState) and self.server_state.leaving:
            self.shutdown()  # it was accepted in the very moment

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._got_headers()
        self.resume_writing()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of the next request."""
        super().on_message_begin()
        self._await_headers()

    def on_headers_complete(self) -> None:
        """Wait no longer."""
        self._got_headers()
        super().on_headers_complete()
        if self._parting:
            self.part()

    def data_received(self, data: bytes) -> None:
        """Take what came; refuse headers that go beyond the limit."""
        if self._waiting is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._waiting is not None and self._header_bytes > HEADERS_MAX_BYTES:
            self._refuse(_TOO_LARGE)

    def part(self) -> None:
        """Close behind the answer to this request, or to the next if this one has begun to be answered."""
        self._parting = True
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Part; if no request is under way wait a moment for one, as it may be on its way."""
        self.part()
        self.timeout_keep_alive = LINGER_S
        if self.cycle is None or self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(LINGER_S, self.timeout_keep_alive_handler)

    def cut(self) -> None:
        """Close now, or behind the answer that is under way."""
        self.part()
        super().shutdown()

    def handle_websocket_upgrade(self) -> None:
        """Begin a WebSocket; not any more in a worker that leaves."""
        if self._parting:
            self._refuse(_LEAVING)
        else:
            super().handle_websocket_upgrade()

    def _await_headers(self) -> None:
        self._got_headers()
        self._header_bytes = 0
        self._waiting = self.loop.call_later(HEADERS_S, self._refuse, _TOO_SLOW)

    def _got_headers(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _refuse(self, status_line: bytes) -> None:
        self._got_headers()
        if self.transport is not None and not self.transport.is_closing():
            body = status_line.split(b" ", 2)[2].strip() + b"\n"
            head = b"Content-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.transport.write(status_line + head + body)
            self.transport.close()

    def pause_writing(self) -> None:
        """Give up a client that reads nothing for too long."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()
