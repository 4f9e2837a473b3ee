"""What people order of a cache over HTTP: bodies fetched ahead, or given up, behind the answer if need be.

Rule: who orders waits a bounded time; what takes longer goes on, and who ordered it is told of its end.
"""

import asyncio
from typing import Literal

import msgspec

from trivet.errors import Conflict, TrivetError
from trivet.upstream.cache import Cache

#: So many orders may be under way.
ORDERS_MAX = 8
Do = Literal["warm", "evict"]


class CacheOrder(msgspec.Struct, frozen=True):
    """What became of an order: `files` of `size_bytes` were fetched, or given up, and `left` were not: `why`.

    While it is `running` nothing is known of that yet.
    """

    do: Do
    path: str
    state: Literal["done", "running"]
    files: int = 0
    size_bytes: int = 0
    left: int = 0
    why: str = ""


class CacheOrders:
    """Carries out what is ordered of `cache`; `close` it in the end."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._open: set[asyncio.Task[CacheOrder]] = set()

    async def order(self, do: Do, path: str, user: str, wait_s: float) -> CacheOrder:
        """Do what is ordered by `user`; return how that stands after `wait_s` at most."""
        if len(self._open) >= ORDERS_MAX:
            raise Conflict(f"{ORDERS_MAX} orders for this cache are under way; wait for one to end")
        late = asyncio.Event()
        task = asyncio.create_task(self._run(do, path, user, late))
        self._open.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        if done:
            return task.result()
        late.set()
        return CacheOrder(do, path, "running")

    def _ended(self, task: asyncio.Task[CacheOrder]) -> None:
        self._open.discard(task)
        if not task.cancelled():
            task.exception()  # who waits has met it, or was told

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, do: Do, path: str, user: str, late: asyncio.Event) -> CacheOrder:
        try:
            order = await self._carry_out(do, path, user)
        except TrivetError as error:
            if late.is_set():
                await self._cache.up.tell(f"{path}: {error}", user)
            raise
        if late.is_set():
            await self._cache.up.tell(words_of(order), user)
        return order

    async def _carry_out(self, do: Do, path: str, user: str) -> CacheOrder:
        if do == "warm":
            run = await self._cache.warm_ups.warm(path, user)
            return CacheOrder(do, path, "done", run.fetched, run.size_bytes, run.left, run.why_left)
        given_up = await self._cache.evict(path)
        why = given_up.kept[0][1] if given_up.kept else ""
        return CacheOrder(do, path, "done", given_up.files, given_up.size_bytes, given_up.stayed, why)


def words_of(order: CacheOrder) -> str:
    """Return what people are told of an order that is done."""
    did = "were fetched" if order.do == "warm" else "are at the vendor only now"
    left = f"; {order.left:,} were not: {order.why}" if order.left else ""
    return f"{order.path}: {order.files:,} files ({order.size_bytes:,} bytes) {did}{left}"
