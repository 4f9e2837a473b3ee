"""The cache of one upstream: its bodies within a limit, the cold ones given up, its folders warmed.

Rule: what was used in the last REST_S stays, so that whoever has just had it fetched can open it.
Rule: what can't go now is looked at again later; eviction goes on with the next.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from trivet.upstream.cached_bodies import CachedBodies
from trivet.upstream.counts import CacheCounts
from trivet.upstream.evicting import Evicting
from trivet.upstream.fetching import Fetching
from trivet.upstream.outbox import Outbox
from trivet.upstream.standing import Upstream
from trivet.upstream.tree_walk import files_at
from trivet.upstream.warming import WarmUps

REST_S = 30.0
LOOK_S = 5.0
_AGAIN_S = 300.0
_AT_ONCE = 100
KEPT_TOLD_MAX = 100


@dataclass
class Evicted:
    """What an eviction has done; `kept` says (path, why) of the first that stayed, `stayed` how many did."""

    files: int = 0
    size_bytes: int = 0
    stayed: int = 0
    kept: list[tuple[str, str]] = field(default_factory=list)


class Cache:
    """What is kept of `up`; `limit_bytes` None = everything. `begin` it, then `run` it."""

    def __init__(
        self,
        up: Upstream,
        bodies: CachedBodies,
        fetching: Fetching,
        outbox: Outbox,
        limit_bytes: int | None,
    ) -> None:
        self.up = up
        self.limit_bytes = limit_bytes
        self.bodies = bodies
        self.counts = CacheCounts(up.store, up.now_s())
        self.warm_ups = WarmUps(up, fetching, self.room_bytes)
        self._evicting = Evicting(up, outbox, fetching)
        self._not_before: dict[int, float] = {}
        self._came = 0

    async def begin(self) -> None:
        """Take up what a process before left."""
        await self.counts.begin()
        await self.bodies.begin()
        await self.warm_ups.begin()
        await self._evicting.begin()

    async def run(self) -> None:
        """Keep within the limit until cancelled."""
        while True:
            await self.shrink()
            self.counts.called(self.up.vendor.made)
            await self.counts.save()
            await asyncio.sleep(LOOK_S)

    def room_bytes(self) -> int | None:
        """Return how much more may be kept, None if there is no limit."""
        return None if self.limit_bytes is None else max(0, self.limit_bytes - self.bodies.size_bytes)

    async def used(self, uses: Sequence[tuple[int, int]], *, in_memory: bool = False) -> None:
        """Count how often files were opened, or were served from a worker's memory."""
        opened = await self.bodies.used(uses)
        if not in_memory:
            came = min(opened, self._came)
            self._came -= came
            self.counts.counts.volume.hits += opened - came

    def missed(self, *, came: bool) -> None:
        """Count that a body was not here; one that `came` is opened next, which is no hit."""
        self.counts.counts.volume.misses += 1
        self._came += came

    async def shrink(self) -> None:
        """Give up the coldest bodies until the rest is within the limit."""
        now_s = self.up.now_s()
        self._not_before = {ino: at_s for ino, at_s in self._not_before.items() if at_s > now_s}
        limit = self.limit_bytes
        if limit is None or self.bodies.size_bytes <= limit:
            return
        left = self.bodies.size_bytes
        for body in await self.bodies.coldest(now_s - REST_S, _AT_ONCE + len(self._not_before)):
            if left <= limit:
                return
            if body.ino in self._not_before:
                continue
            if await self._evict(body.ino, body.size) is None:
                left -= body.size
            else:
                self._not_before[body.ino] = now_s + _AGAIN_S

    async def evict(self, path: str) -> Evicted:
        """Give up what is here at `path` or below it."""
        told = Evicted()
        async for found in files_at(self.up.volume, path):
            if found.away is not None:
                continue
            why = await self._evict(found.ino, found.size)
            if why is None:
                told.files += 1
                told.size_bytes += found.size
                continue
            told.stayed += 1
            if len(told.kept) < KEPT_TOLD_MAX:
                told.kept.append((found.path, why))
        return told

    async def _evict(self, ino: int, size: int) -> str | None:
        why = await self._evicting.evict(ino)
        if why is None:
            await self.bodies.look(ino, await self.up.look(ino))
            self.counts.counts.evicted += 1
            self.counts.counts.evicted_bytes += size
        return why
