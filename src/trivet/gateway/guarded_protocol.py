"""The HTTP protocol of a connection, with limits that a flood or a slow client runs into.

Rule: headers are bounded in bytes and in time, so is the sending of an answer to somebody who does not read.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_MAX_BYTES = 64 << 10
HEADERS_S = 15.0
#: How long a client may read nothing of an answer that waits for it.
STALLED_S = 60.0

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools; what it lacks is how long and how large headers may be."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._header_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._await_headers()

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

    def data_received(self, data: bytes) -> None:
        """Take what came; refuse headers that go beyond the limit."""
        if self._waiting is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._waiting is not None and self._header_bytes > HEADERS_MAX_BYTES:
            self._refuse(_TOO_LARGE)

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
