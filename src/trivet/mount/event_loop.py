"""Lets pyfuse3 wait for the kernel on asyncio (uvloop or plain) and lets a bug end the process.

pyfuse3 reaches its event loop only through its module attribute `trio`; `install` puts the few names it uses
there, as pyfuse3's own asyncio mode does. It differs from that mode in two things: an error in a worker ends
`pyfuse3.main` instead of vanishing, and before it waits a worker looks for a request for a short while.
Rule: nobody looks while an operation waits for something (a bank): the event loop has work then.
Rule: only this module knows that pyfuse3 can be told what to wait with.
"""

import asyncio
import select
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import pyfuse3

POLL_S = 0.00004
POLLED_IN_A_ROW = 32


class Lock:
    """Lets one worker at a time wait for the kernel; one that is done at once goes on without handing over.

    asyncio's own lock is fair, so that two idle workers would take turns, a task switch for each request.
    """

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        while self._is_taken:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._hand_over()
                raise
        self._is_taken = True

    async def __aexit__(self, *failure: object) -> None:
        self._is_taken = False
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        while self._waiting and not self._is_taken:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class InFlight:
    """How many operations have begun and not ended; `when_none` is called when the last one ends."""

    def __init__(self) -> None:
        self.count = 0
        self.when_none: Callable[[], object] = lambda: None

    def ended(self) -> None:
        """Count one operation less."""
        self.count -= 1
        if not self.count:
            self.when_none()


#: pyfuse3 serves one mount a process, so there is one count.
in_flight = InFlight()


class ClosedResourceError(Exception):
    """The session is being closed; pyfuse3 takes it as the end of its loop."""


class _Waiting:
    """Waits until the kernel has a request; one worker at a time, pyfuse3 holds a lock for that."""

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._watched: int | None = None
        self._poll: select.poll | None = None
        self._polled_in_a_row = 0

    async def readable(self, fd: int) -> None:
        """Return once `fd` can be read without blocking."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(fd, select.POLLIN)
        if not in_flight.count and self._polled_in_a_row < POLLED_IN_A_ROW:
            self._polled_in_a_row += 1
            if self._looks(self._poll):
                return
        # The event loop's other work (banks, timers) gets its turn here at the latest.
        self._polled_in_a_row = 0
        loop = asyncio.get_running_loop()
        self._future = loop.create_future()
        if self._watched is None:
            self._watched = fd
            loop.add_reader(fd, self._resolve)
        try:
            await self._future
        finally:
            self._future = None

    def _looks(self, poll: select.poll) -> bool:
        """Look for a request for a short while; tell whether there is one."""
        until = perf_counter() + POLL_S
        while not poll.poll(0):
            if perf_counter() > until:
                return False
        return True

    def look_again(self) -> None:
        """Have a worker that waits look once more: what was in flight is answered, and the next one near."""
        if self._future is not None and not self._future.done():
            asyncio.get_running_loop().call_soon(self._look_now)

    def _look_now(self) -> None:
        waits = self._future is not None and not self._future.done()
        if waits and not in_flight.count and self._poll is not None and self._looks(self._poll):
            self._resolve()

    def _resolve(self) -> None:
        """Wake the worker that waits; without one look away, or the loop would spin."""
        if self._future is None:
            self.look_away()
        elif not self._future.done():
            self._future.set_result(None)

    def look_away(self) -> None:
        """Watch the kernel's requests no longer, until somebody waits for one again."""
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = None

    def close(self) -> None:
        """Wake the waiting worker: the session ends."""
        if self._future is not None and not self._future.done():
            self._future.set_exception(ClosedResourceError())


class _Nursery:
    """What pyfuse3 starts its workers in; a worker's error cancels the others and is raised at the end."""

    def __init__(self, waiting: _Waiting) -> None:
        self._group = asyncio.TaskGroup()
        self._waiting = waiting

    async def __aenter__(self) -> "_Nursery":
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        try:
            await self._group.__aexit__(*failure)
        finally:
            self._waiting.look_away()

    def start_soon(self, work: Callable[..., Awaitable[None]], *arguments: Any, name: str = "") -> None:
        async def run() -> None:
            await work(*arguments)

        self._group.create_task(run(), name=name)


class _Task:
    name = "fuse"


class _Lowlevel:
    """The part of pyfuse3's event loop it calls `lowlevel`."""

    def __init__(self, waiting: _Waiting) -> None:
        self.wait_readable = waiting.readable
        self.notify_closing = lambda fd: waiting.close()
        self.current_task = lambda: _Task
        self.current_trio_token = lambda: "asyncio"


class _EventLoop:
    """Everything pyfuse3 asks of its event loop."""

    def __init__(self) -> None:
        waiting = _Waiting()
        in_flight.when_none = waiting.look_again
        self.Lock = Lock
        self.ClosedResourceError = ClosedResourceError
        self.open_nursery = lambda: _Nursery(waiting)
        self.lowlevel = _Lowlevel(waiting)


def install() -> None:
    """Make pyfuse3 wait on asyncio's running loop; call it before `pyfuse3.init`."""
    vars(pyfuse3)["trio"] = _EventLoop()
