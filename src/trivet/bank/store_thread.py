"""One thread that owns one store: writes one behind another, reads between the steps of a long one.

Rule: nothing but jobs touches what the thread owns.
Rule: a job that is a generator may be interrupted, where it yields, by reads but never by a write.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

_S = TypeVar("_S")
_T = TypeVar("_T")
_JOBS_AT_ONCE = 4096

Steps = Generator[None, None, _T]


class StoreThread(Generic[_S]):
    """Runs jobs on `store`, which is the thread's alone from now on; results come back to the loop."""

    def __init__(self, name: str, store: _S) -> None:
        self._store = store
        self._writes: deque[tuple[Callable[[_S], Any], asyncio.Future[Any]]] = deque()
        self._reads: deque[tuple[Callable[[_S], Any], asyncio.Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, job: Callable[[_S], _T]) -> asyncio.Future[_T]:
        """Run `job` behind all writes asked for before."""
        return self._ask(self._writes, job)

    def write_steps(self, job: Callable[[_S], Steps[_T]]) -> asyncio.Future[_T]:
        """Run the steps of `job` behind all writes asked for before, letting reads in between."""
        return self._ask(self._writes, job)

    def read(self, job: Callable[[_S], _T]) -> asyncio.Future[_T]:
        """Run `job` as soon as a step of whatever is running ends."""
        return self._ask(self._reads, job)

    def _ask(self, jobs: deque[Any], job: Callable[[_S], Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        assert len(jobs) < _JOBS_AT_ONCE, "links bound what is asked for at once"
        with self._wake:
            jobs.append((job, future))
            self._wake.notify()
        return future

    async def stop(self) -> None:
        """End the thread once everything asked for is done."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        store = self._store
        while True:
            with self._wake:
                while not (self._reads or self._writes or self._stopping):
                    self._wake.wait()
                if not (self._reads or self._writes):
                    return
            self._run_reads(store)
            if self._writes:
                job, future = self._writes.popleft()
                self._answer(store, lambda s, job=job: self._finish(s, job), future)  # type: ignore[misc]

    def _run_reads(self, store: _S) -> None:
        while self._reads:
            job, future = self._reads.popleft()
            self._answer(store, job, future)

    def _finish(self, store: _S, job: Callable[[_S], Any]) -> Any:
        result = job(store)
        if not isinstance(result, Generator):
            return result
        while True:
            try:
                next(result)
            except StopIteration as end:
                return end.value
            self._run_reads(store)

    def _answer(self, store: _S, job: Callable[[_S], Any], future: asyncio.Future[Any]) -> None:
        try:
            result = job(store)
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the job
            self._tell(future, future.set_exception, error)
        else:
            self._tell(future, future.set_result, result)

    def _tell(self, future: asyncio.Future[Any], tell: Callable[[Any], None], value: Any) -> None:
        def deliver() -> None:
            if not future.done():
                tell(value)

        self._loop.call_soon_threadsafe(deliver)
