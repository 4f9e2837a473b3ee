"""An event loop in virtual time that holds whole processes: each with its clock, each may be killed at once.

Rule: whatever a process begins carries its name along; once it is dead nothing of it ever runs again, no
`finally` either, as after kill -9.
Rule: what the real code does in threads happens on the loop, some virtual milliseconds later.
"""

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

SLOW_CALL_S = 0.0005

current: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class Killed(BaseException):
    """The process that runs is dead; nothing it does counts any more."""


class Process:
    """One process of the drive; `rate` is how fast its clock runs, `boot` which boot of its machine it is."""

    def __init__(self, loop: "WholeLoop", name: str, *, rate: float = 1.0, boot: str = "boot") -> None:
        self.loop = loop
        self.name = name
        self.rate = rate
        self.boot = boot
        self.is_alive = True
        self.io_delay_s = SLOW_CALL_S
        self.hung_until = 0.0
        self.held: deque[asyncio.Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = contextvars.copy_context()
        self.context.run(current.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin `work` inside this process."""
        return self.loop.create_task(work, context=self.context)

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin the process's main work, in which nothing may go wrong."""

        def surface(done: asyncio.Task[Any]) -> None:
            if not done.cancelled() and done.exception() is not None:
                self.loop.call_exception_handler({"message": self.name, "exception": done.exception()})

        self.spawn(work).add_done_callback(surface)

    def soon(self, act: Callable[..., object], *arguments: object) -> None:
        """Let `act` happen inside this process."""
        self.loop.call_soon(act, *arguments, context=self.context)

    def kill(self) -> None:
        """End it: nothing of it runs any more."""
        self.is_alive = False


class SimTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose place in a set does not depend on where it lies in memory."""

    made = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        SimTask.made += 1
        self._number = SimTask.made
        super().__init__(*arguments, **options)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number


class WholeLoop(asyncio.BaseEventLoop):
    """Runs all processes of one drive; `steps` counts what ran."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = random.Random(seed)
        self.steps = 0
        self._now_s = 1000.0
        SimTask.made = 0
        self.bugs: list[BaseException] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_bug)

    def _note_bug(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what nobody caught: no process of the drive may fail that way."""
        error = context.get("exception")
        if (
            error is not None
            and not isinstance(error, Killed)
            and "never retrieved" not in context["message"]
        ):
            self.bugs.append(error)
            self.stop()

    def time(self) -> float:
        """The time all clocks are derived from."""
        return self._now_s

    @staticmethod
    def _make_task(loop: Any, work: Any, **options: Any) -> SimTask:
        task = SimTask(work, loop=loop, **options)
        process = current.get()
        context = options.get("context")
        if context is not None:
            process = context.get(current)
        if process is not None:
            process.tasks.append(task)
        return task

    def _run_once(self) -> None:
        if not self._ready:
            assert self._scheduled, "nothing will ever happen again: a deadlock"
            self._now_s = max(self._now_s, self._scheduled[0].when())
        heap = self._scheduled
        while heap and heap[0].when() <= self._now_s:
            handle = heapq.heappop(heap)
            handle._scheduled = False
            self._ready.append(handle)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                self._run(handle, handle._context.get(current))

    def _run(self, handle: asyncio.Handle, process: Process | None) -> None:
        if process is not None:
            if not process.is_alive:
                return
            if process.hung_until > self._now_s:
                if not process.held:
                    self.call_at(process.hung_until, self._let_go, process, context=contextvars.Context())
                process.held.append(handle)
                return
        self.steps += 1
        handle._run()

    def _let_go(self, process: Process) -> None:
        """Go on with what a hung process left, before what comes now."""
        self._ready.extendleft(reversed(process.held))
        process.held.clear()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *arguments: Any) -> Any:
        """Run `func` here, a little later, inside the process that asks."""
        future = self.create_future()
        process = current.get()
        delay = process.io_delay_s if process is not None else SLOW_CALL_S

        def work() -> None:
            try:
                result = func(*arguments)
            except Exception as error:  # noqa: BLE001 - handed to whoever awaits it
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)

        self.call_later(delay * self.rng.uniform(0.5, 2.0), work)
        return future

    def _timer_handle_cancelled(self, handle: Any) -> None:
        return

    def _write_to_self(self) -> None:
        return

    def _process_events(self, event_list: Any) -> None:
        return
