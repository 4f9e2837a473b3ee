"""Read-ahead: whole MiBs fetched before a sequential reader asks for them, and kept a short while.

Rule: a MiB here holds what is stored, without dirty data; whoever changes what is stored drops it.
Rule: every fetch is a task owned here; a reader that goes away does not end it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

AHEAD_MIBS = 4
KEEP_MIBS = 16

Window = tuple[int, int]


class ReadAhead:
    """MiBs by (inode number, MiB), as tasks that `load` them."""

    def __init__(self, load: Callable[[int, int], Awaitable[bytes]]) -> None:
        self._load = load
        self._windows: OrderedDict[Window, asyncio.Task[bytes]] = OrderedDict()
        self._running: set[asyncio.Task[bytes]] = set()

    def get(self, ino: int, mib: int) -> asyncio.Task[bytes] | None:
        """Return the fetch of a MiB, done or under way."""
        task = self._windows.get((ino, mib))
        if task is not None and task.done() and (task.cancelled() or task.exception() is not None):
            del self._windows[ino, mib]
            return None
        return task

    def advance(self, ino: int, mib: int, last_mib: int) -> None:
        """See that `mib` and those behind it, up to `last_mib`, are here or on their way."""
        for wanted in range(mib, min(mib + AHEAD_MIBS, last_mib) + 1):
            if self.get(ino, wanted) is None:
                self._fetch(ino, wanted)
        while len(self._windows) > KEEP_MIBS:
            self._windows.popitem(last=False)

    def drop(self, ino: int, mib: int) -> None:
        """Forget a MiB whose stored bytes change."""
        if self._windows:
            self._windows.pop((ino, mib), None)

    def drop_from(self, ino: int, mib: int) -> None:
        """Forget all of a file from `mib` on."""
        for window in [window for window in self._windows if window[0] == ino and window[1] >= mib]:
            del self._windows[window]

    async def close(self) -> None:
        """End what is under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._windows.clear()

    def _fetch(self, ino: int, mib: int) -> None:
        task = asyncio.ensure_future(self._load(ino, mib))
        self._running.add(task)
        task.add_done_callback(self._finished)
        self._windows[ino, mib] = task

    def _finished(self, task: asyncio.Task[bytes]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()
