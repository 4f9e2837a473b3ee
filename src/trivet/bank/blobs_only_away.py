"""Blobs whose one copy is in an object store: a blob counts once it is there, not before.

Rule: what is on the disk here is a cache that may be lost any time.
Rule: an object is deleted only after it was written down, under the fence, that nobody may rely on it: a
server that another one has followed deletes nothing, however late it wakes up.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from trivet.bank.blob_copy import Data
from trivet.bank.fence import Fence, FenceLost
from trivet.bank.object_upkeep import ROUND_S, TendedBlobs
from trivet.errors import StoreAway
from trivet.io.object_store import ObjectStore, StorePlan

STORED_WITHIN_S = 20.0
_SOON_S = 0.002


class FencedStore(ObjectStore):
    """An object store in which only the holder of `fence` deletes."""

    def __init__(self, plan: StorePlan, base: int, fence: Fence, pool: Executor) -> None:
        super().__init__(plan, base)
        self._fence = fence
        self._pool = pool

    async def delete(self, path: str) -> None:
        """Delete the object `path`, which nobody may rely on from now on; StoreAway if that may not be."""
        try:
            await self._note(path, is_gone=False)
            await super().delete(path)
            await self._note(path, is_gone=True)
        except FenceLost as error:
            raise StoreAway(str(error)) from error

    async def _note(self, path: str, *, is_gone: bool) -> None:
        note = partial(self._fence.note_dead, path, is_gone=is_gone)
        await asyncio.get_running_loop().run_in_executor(self._pool, note)

    def names_now(self, prefix: str) -> dict[str, int]:
        """Return path -> size of every object below `prefix` that counts; blocks, ConfigError."""
        dead = set(self._fence.dead_objects())
        return {path: size for path, size in super().names_now(prefix).items() if path not in dead}

    async def delete_dead(self) -> None:
        """Delete what an earlier server had begun to."""
        dead = await asyncio.get_running_loop().run_in_executor(self._pool, self._fence.dead_objects)
        for path in dead:
            await self.delete(path)


class BlobsOnlyAway(TendedBlobs):
    """The blobs of a volume's only server, in `store`; `fence` says whether it may still write."""

    def __init__(
        self, folder: Path, volume_key: bytes, pool: Executor, store: FencedStore, where: str, fence: Fence
    ) -> None:
        super().__init__(folder, volume_key, pool, store, where)
        self._fenced_store = store
        self._fence = fence
        self._wanted = asyncio.Event()
        self._sent = asyncio.Condition()
        self._waiting = 0
        self._safe_elsewhere: dict[int, int] = {}
        self._has_cleared = False

    def trouble(self) -> str:
        """Why the database or the store can't be used now, empty if they can."""
        return self._fence.trouble or super().trouble()

    async def put(self, name: int, data: Data, hashes: bytes) -> None:
        """Store a blob; returns once the object store has it. Raises StoreAway."""
        await super().put(name, data, hashes)
        await self._until_away(name)

    async def replace(self, name: int, data: Data, hashes: bytes) -> None:
        """Store a blob in place of whatever copy stands there; returns once the object store has it."""
        await super().replace(name, data, hashes)
        await self._until_away(name)

    async def _until_away(self, name: int) -> None:
        def is_away() -> bool:
            place = self.index.get(name)
            return place is None or place.segment in self._away

        self._waiting += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(STORED_WITHIN_S), self._sent:
                await self._sent.wait_for(is_away)
        except TimeoutError as error:
            raise StoreAway(self.trouble() or "the object store is too slow") from error
        finally:
            self._waiting -= 1

    async def _pause(self) -> None:
        async with self._sent:
            self._sent.notify_all()
        self._wanted.clear()
        if self._waiting and not self.trouble():
            await asyncio.sleep(_SOON_S)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROUND_S):
                await self._wanted.wait()

    async def _round(self, sync: Callable[[], Awaitable[None]]) -> None:
        if self._fence.lost:
            return
        if not self._has_cleared:
            await self._fenced_store.delete_dead()
            self._has_cleared = True
        await super()._round(sync)

    def _seal_what_waits(self) -> None:
        super()._seal_what_waits()
        active = self._active
        if self._waiting and active is not None and active.live:
            active.is_sealed = True
            self._active = None

    def _may_go(self, number: int) -> bool:
        """Tell whether all that was written before `number` was found empty is in the store, or gone."""
        through = self._safe_elsewhere.setdefault(number, self._last_number)
        before = ((n, s) for n, s in self._segments.items() if n <= through)
        return all(n in self._away or not segment.live for n, segment in before)
