"""One client of the volume door: its handles, the blob names it was lent, what became of its changes.

Rule: a change that is asked for again under the same sequence is not done again; its first answer is given,
until the client says that it has it (`quorum/once.py` says so to later keepers).
Rule: when the client is gone for good, its handles are released and what it put and never named is deleted.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from errno import EBADF, EMFILE
from typing import Any

from trivet.errors import Conflict, FileSystemError, TrivetError
from trivet.io.link import Reply
from trivet.keeper.local_volume import LocalVolume
from trivet.quorum.once import Call
from trivet.volume.open_files import OpenFile

HANDLES_MAX = 16_384
NAMES_LENT_MAX = 4096


class VolumeSession:
    """What the keeper holds for one client; `connections` counts how often it is connected now."""

    def __init__(self, volume: LocalVolume) -> None:
        self.connections = 0
        self._volume = volume
        self._handles: set[int] = set()
        self._names: set[int] = set()
        self._changes: dict[int, asyncio.Task[Reply]] = {}

    def once(self, call: Call, change: Callable[[], Coroutine[Any, Any, Reply]]) -> asyncio.Task[Reply]:
        """Return the task that does the change of `call`, begun now if it was not before."""
        task = self._changes.get(call.sequence)
        if task is None:
            task = self._changes[call.sequence] = asyncio.create_task(change())
            while (first := next(iter(self._changes))) < call.answered and self._changes[first].done():
                del self._changes[first]
        return task

    async def settled(self) -> None:
        """Wait until what is under way is done."""
        await asyncio.gather(*self._changes.values(), return_exceptions=True)

    def opened(self, handle: int) -> int:
        """Take over a handle that was just opened; return it."""
        self._handles.add(handle)
        return handle

    def check_room(self) -> None:
        """Raise EMFILE when a client holds as many handles as one may."""
        if len(self._handles) >= HANDLES_MAX:
            raise FileSystemError(EMFILE)

    def handle(self, handle: int) -> int:
        """Return `handle` if it is this client's, or raise EBADF."""
        if handle not in self._handles:
            raise FileSystemError(EBADF)
        return handle

    def file(self, handle: int) -> OpenFile:
        """Return what one of this client's handles names, or raise EBADF."""
        return self._volume.space.open_files.get(self.handle(handle))

    async def release(self, handle: int) -> None:
        """Let go of a handle."""
        self.handle(handle)
        self._handles.discard(handle)
        await self._volume.release(handle)

    def lend(self, count: int) -> int:
        """Lend `count` blob names, one behind another; return the first."""
        if len(self._names) + count > NAMES_LENT_MAX:
            raise FileSystemError(EMFILE, "too many blob names are lent and not used")
        names = [self._volume.space.names.take() for _name in range(count)]
        assert names[-1] - names[0] == count - 1
        self._names.update(names)
        return names[0]

    def take_back(self, names: Sequence[int]) -> None:
        """End the loan of `names`: they are used now. Raises Conflict, ending none, if some are not lent."""
        if len(set(names)) < len(names) or not self._names.issuperset(names):
            raise Conflict("these blob names were not lent to this client: put the data again")
        self._names.difference_update(names)

    async def end(self) -> None:
        """Release everything; what is under way is finished first."""
        await self.settled()
        self._changes.clear()
        if self._names:
            self._volume.outside.free(sorted(self._names))
            self._names.clear()
        for handle in sorted(self._handles):
            with contextlib.suppress(TrivetError):
                await self._volume.release(handle)
        self._handles.clear()
