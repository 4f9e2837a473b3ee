"""Ranges of objects: exactly what is asked for, or whole spans of SPAN_BYTES once reading goes on in order.

Rule: a request goes on when whoever asked for it has given up, so that the next one finds its answer.
"""

import asyncio
from collections import OrderedDict

from trivet.io.object_store import ObjectStore

SPAN_BYTES = 4 << 20
_SPANS_KEPT = 12
_TOUCHED_KEPT = 256

_Span = tuple[str, int]


class RangeReader:
    """Reads objects of `store`, the next span ahead when the last ones were asked for in order."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._spans: OrderedDict[_Span, asyncio.Task[bytes | None]] = OrderedDict()
        self._touched: OrderedDict[_Span, None] = OrderedDict()

    async def read(
        self, path: str, start: int, end: int, size: int, timeout_s: float
    ) -> bytes | memoryview | None:
        """Return the bytes [`start`, `end`) of the object `path` of `size` bytes, None if it is gone.

        Raises StoreAway, also when they are not here after `timeout_s`.
        """
        first, last = start // SPAN_BYTES, (end - 1) // SPAN_BYTES
        goes_on = any((path, number) in self._touched for number in (first - 1, first))
        for number in range(first, last + 1):
            self._touch((path, number))
        try:
            async with asyncio.timeout(timeout_s):
                if not goes_on:
                    return await self._store.read(path, start, end)
                tasks = [self._span((path, number), size) for number in range(first, last + 1)]
                if (last + 1) * SPAN_BYTES < size:
                    self._span((path, last + 1), size)
                parts = [await asyncio.shield(task) for task in tasks]
        except TimeoutError as error:
            raise self._store.was_too_slow() from error
        wanted: list[memoryview] = []
        for number, part in zip(range(first, last + 1), parts, strict=True):
            if part is None:
                return None
            begin = number * SPAN_BYTES
            wanted.append(memoryview(part)[max(0, start - begin) : end - begin])
        return wanted[0] if len(wanted) == 1 else b"".join(wanted)

    def _touch(self, span: _Span) -> None:
        self._touched[span] = None
        self._touched.move_to_end(span)
        while len(self._touched) > _TOUCHED_KEPT:
            self._touched.popitem(last=False)

    def _span(self, span: _Span, size: int) -> asyncio.Task[bytes | None]:
        task = self._spans.get(span)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            path, number = span
            start = number * SPAN_BYTES
            task = asyncio.create_task(self._store.read(path, start, min(start + SPAN_BYTES, size)))
            task.add_done_callback(_look_at)
            self._spans[span] = task
        self._spans.move_to_end(span)
        done = [old for old, fetch in self._spans.items() if fetch.done() and old != span]
        for old in done[: max(0, len(self._spans) - _SPANS_KEPT)]:
            del self._spans[old]
        return task

    def forget(self, path: str) -> None:
        """Let go of what was read of the object `path`."""
        for span in [span for span, fetch in self._spans.items() if span[0] == path and fetch.done()]:
            del self._spans[span]

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._spans.values())
        self._spans.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _look_at(task: asyncio.Task[bytes | None]) -> None:
    """Have seen how `task` ended: that a store is away is no bug."""
    if not task.cancelled():
        task.exception()
