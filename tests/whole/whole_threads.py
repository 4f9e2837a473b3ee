"""A store's own thread, run by the loop: the same order of jobs, each some virtual milliseconds later."""

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

JOB_S = 0.0003


class LoopPool:
    """The same face as a pool of threads, to whoever only hands it work."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def submit(self, work: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Run `work` a little later, inside the process that asks."""
        future: asyncio.Future[Any] = self._loop.run_in_executor(None, work, *arguments)
        return future


class LoopStore:
    """The same face as `trivet.bank.store_thread.StoreThread`."""

    def __init__(self, name: str, store: Any) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._writes: deque[tuple[Callable[[Any], Any], asyncio.Future[Any]]] = deque()
        self._reads: deque[tuple[Callable[[Any], Any], asyncio.Future[Any]]] = deque()
        self._steps: tuple[Generator[None, None, Any], asyncio.Future[Any]] | None = None
        self._is_due = False

    def write(self, job: Callable[[Any], Any]) -> asyncio.Future[Any]:
        """Run `job` behind all writes asked for before."""
        return self._ask(self._writes, job)

    write_steps = write

    def read(self, job: Callable[[Any], Any]) -> asyncio.Future[Any]:
        """Run `job` as soon as a step of whatever runs ends."""
        return self._ask(self._reads, job)

    def _ask(self, jobs: deque[Any], job: Callable[[Any], Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        jobs.append((job, future))
        self._wake()
        return future

    def _wake(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(JOB_S, self._run_one)

    def _run_one(self) -> None:
        self._is_due = False
        if self._reads:
            job, future = self._reads.popleft()
            self._carry_out(lambda: job(self._store), future)
        elif self._steps is not None:
            self._step()
        elif self._writes:
            job, future = self._writes.popleft()
            self._carry_out(lambda: job(self._store), future)
        if self._reads or self._writes or self._steps is not None:
            self._wake()

    def _carry_out(self, work: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the job
            if not future.done():
                future.set_exception(error)
            return
        if isinstance(result, Generator):
            self._steps = result, future
        elif not future.done():
            future.set_result(result)

    def _step(self) -> None:
        assert self._steps is not None
        steps, future = self._steps
        try:
            next(steps)
            return
        except StopIteration as end:
            if not future.done():
                future.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the job
            if not future.done():
                future.set_exception(error)
        self._steps = None

    async def stop(self) -> None:
        """Wait until everything asked for is done."""
        while self._reads or self._writes or self._steps is not None:  # noqa: ASYNC110 - as it is in threads
            await asyncio.sleep(JOB_S)
