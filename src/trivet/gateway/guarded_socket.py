"""The WebSocket protocol of a connection, with limits that a client who does not read runs into.

Rule: what waits to be read by a client is bounded: beyond that nothing more is sent, nothing more is read
from it (its pings want answers, too), and after STALLED_S the connection is cut.
Rule: a connection that is over, but whose last words nobody reads, is cut as well.
"""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from trivet.gateway.guarded_protocol import STALLED_S


class GuardedSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol on websockets, which waits with what it sends until the client reads."""

    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self.transport.pause_reading()
        self._cut_later()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._cut_never()
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return what the client said; what it says next is not read before it reads."""
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the client a while to read the last words."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._cut_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._cut_never()
        super().connection_lost(exc)

    def _cut_later(self) -> None:
        self._cut_never()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def _cut_never(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
