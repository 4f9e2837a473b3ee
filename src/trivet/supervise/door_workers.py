"""The workers of the HTTP door: more of them, fewer of them, and no request broken on the way.

Rule: all workers accept from one listening socket, which the supervisor holds: a connection that waits to be
accepted outlives the worker that leaves.
Rule: a new worker counts once it answers; then the others ask their clients to connect anew, so that it gets
its share. One that leaves finishes what it has begun; only one that does not answer is made to end.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from trivet.errors import TrivetError
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.supervise.supervised_child import SupervisedChild
from trivet.wire.control_messages import LEAVING_S

READY_S = 60.0
READY_POLL_S = 0.05
#: Behind the time that a leaving worker gives its clients.
OVERDUE_S = 30.0

log = logging.getLogger(__name__)

Keep = Callable[[SupervisedChild], Awaitable[None]]


class DoorWorkers:
    """Workers made by `make`, each asked at `socket_of` its number; `count` to begin with."""

    def __init__(
        self, make: Callable[[int], SupervisedChild], socket_of: Callable[[int], Path], count: int
    ) -> None:
        self._make = make
        self._socket_of = socket_of
        self.children = [make(number) for number in range(1, count + 1)]
        self._start: Callable[[SupervisedChild], object] | None = None

    @property
    def staying(self) -> list[SupervisedChild]:
        """Those that are not about to leave, in the order they came."""
        return [child for child in self.children if not child.leaving]

    async def run(self, keep: Keep) -> None:
        """Have `keep` run every worker, also those that come, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._start = lambda child: tasks.create_task(self._life(child, keep))
            for child in self.children:
                self._start(child)
            await asyncio.Event().wait()

    async def _life(self, child: SupervisedChild, keep: Keep) -> None:
        await keep(child)
        self.children.remove(child)

    async def add(self) -> SupervisedChild:
        """Start one more; return it once it answers, its share of the clients on the way to it.

        Raises TrivetError when it does not answer in time; it is gone then.
        """
        assert self._start is not None, "workers are added to doors that run"
        taken = {child.number for child in self.children}
        child = self._make(next(number for number in range(1, len(taken) + 2) if number not in taken))
        others = self.staying
        self.children.append(child)
        self._start(child)
        try:
            async with asyncio.timeout(READY_S):
                while True:
                    if await self._told(child, "spread"):
                        break
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError:
            self._end(child)
            raise TrivetError(
                f"{child.name} did not answer within {READY_S:g} s; why is in {child.log_path}"
            ) from None
        for other in others:
            await self._told(other, "spread")
        return child

    async def remove(self, child: SupervisedChild) -> None:
        """Let `child` leave; returns when it has begun to."""
        child.leaving = True
        if not await self._told(child, "leave"):
            log.warning("%s does not answer and is ended", child.name)
            self._end(child)

    async def see_off(self, child: SupervisedChild) -> None:
        """Wait until `child`, which is leaving, has ended; one that takes too long is ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVING_S + OVERDUE_S):
                await child.idle.wait()
                return
        self._end(child)

    async def _told(self, child: SupervisedChild, verb: str) -> bool:
        try:
            await ask(self._socket_of(child.number), verb)
        except (NotRunning, Remote):
            return False
        return True

    @staticmethod
    def _end(child: SupervisedChild) -> None:
        child.leaving = True
        child.set_stopped(True)
