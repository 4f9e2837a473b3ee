"""What is done behind the requests for blobs in an object store: sent, given back, deleted, packed anew.

Rule: what failed is tried again in the next round; a store that is away costs nothing but time.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from trivet.bank.away_segment import (
    BODIES,
    HEADERS,
    AwaySegment,
    give_bodies_back,
    note_away,
    note_path,
    read_all,
)
from trivet.bank.object_blobs import ObjectBlobs
from trivet.bank.segment import Segment, pinned, segment_path
from trivet.errors import ConfigError, StoreAway
from trivet.io.clock import steady_s

log = logging.getLogger(__name__)

ROUND_S = 0.2
_SENT_AT_ONCE = 2
_SWEEP_S = 3600.0
_SMALL_BYTES = 8 << 20
_SMALL_SEGMENTS = 8


class TendedBlobs(ObjectBlobs):
    """The blobs of a server in an object store, tended while it runs."""

    async def tend(self, sync: Callable[[], Awaitable[None]]) -> None:
        """Send what waits, delete what is not needed, pack anew what is mostly empty, until cancelled."""
        try:
            while True:
                try:
                    await self._round(sync)
                except StoreAway as error:
                    log.warning("%s", error)
                    await asyncio.sleep(ROUND_S)
                except (ConfigError, OSError) as error:
                    log.error("can't keep house: %s", error)
                await self._pause()
        finally:
            await self._ranges.close()

    async def _pause(self) -> None:
        """Wait between two rounds."""
        await asyncio.sleep(ROUND_S)

    def _may_go(self, number: int) -> bool:
        """Tell whether the object of the empty segment `number` may be deleted now."""
        return True

    async def _round(self, sync: Callable[[], Awaitable[None]]) -> None:
        self._seal_what_waits()
        self._count_staged()
        ready = [
            segment
            for number, segment in self._segments.items()
            if number not in self._away and segment.live and not segment.writing and segment.is_sealed
        ]
        for at in range(0, len(ready), _SENT_AT_ONCE):
            await sync()
            sent = (self._send(segment) for segment in ready[at : at + _SENT_AT_ONCE])
            failed = [end for end in await asyncio.gather(*sent, return_exceptions=True) if end is not None]
            if failed:
                raise failed[0]
            await self._evict()
        await self._evict()
        await self._delete_empty(sync)
        await self._pack_one_anew()
        if not self._swept_s or steady_s() - self._swept_s > _SWEEP_S:
            await self._sweep()
            self._swept_s = steady_s()

    async def _sweep(self) -> None:
        """Delete what a killed server left in the store: objects that no segment here is in."""
        objects = await self._run(lambda: self._store.names_now(self._where))
        named = {away.name for away in self._away.values()} | set(self._names.values())
        for path in objects:
            name = path.removesuffix(BODIES).removesuffix(HEADERS)
            number = Path(name).name.split("-")[0]
            is_ours = number.isdecimal() and (int(number) in self._segments or name + BODIES not in objects)
            if is_ours and name not in named:
                log.warning("deleted %s from the object store: nothing names it", path)
                await self._store.delete(path)

    def _seal_what_waits(self) -> None:
        """Close segments that are full or old enough, so that nothing more is written to them."""
        for segment in self._segments.values():
            segment.is_sealed |= segment is not self._active
        active = self._active
        if active is None or not active.live:
            return
        if self._active_since[0] != active.number:
            self._active_since = active.number, steady_s()
        if steady_s() - self._active_since[1] >= self._store.plan.pack_s:
            active.is_sealed = True
            self._active = None

    async def _send(self, segment: Segment) -> None:
        """Store a sealed segment as an object, its headers beside it, and note that it is away."""
        if segment.safe_bytes < segment.written_bytes or self._segments.get(segment.number) is not segment:
            return
        with pinned((segment,)):  # its last blob may be deleted meanwhile
            bodies, headers, cached = await self._run(lambda: read_all(self._key, segment))
            # Sent again after a failure it replaces what came of that.
            name = self._names.setdefault(
                segment.number, f"{self._where}/{segment.number:08d}-{os.urandom(4).hex()}"
            )
            await self._store.put(name + HEADERS, headers)
            await self._store.put(name + BODIES, bodies)
            await self._run(lambda: note_away(segment, name, len(bodies)))
        if self._segments.get(segment.number) is segment:
            self._away[segment.number] = AwaySegment(name, len(bodies), cached)
            del self._names[segment.number]

    async def _delete_object(self, name: str) -> None:
        await self._store.delete(name + BODIES)
        await self._store.delete(name + HEADERS)
        self._ranges.forget(name + BODIES)

    async def _evict(self) -> None:
        """Give bodies back that are away, the oldest first, until what is cached is within its bounds."""
        left = sum(away.cached_bytes for away in self._away.values()) - self._store.plan.cache_bytes
        for number, away in sorted(self._away.items()):
            segment = self._segments.get(number)
            if left <= 0:
                return
            if segment is None or segment.is_pinned or not away.cached_bytes:
                continue
            left -= away.cached_bytes
            given, away.cached = away.cached, {}
            await self._in_thread(segment, partial(give_bodies_back, segment, away, given))

    async def _delete_empty(self, sync: Callable[[], Awaitable[None]]) -> None:
        """Delete the objects of segments in which no blob is left, once what replaced them is synced."""
        for number in [number for number in self._names if number not in self._segments]:
            await self._delete_object(self._names[number])
            note_path(segment_path(self._folder, number)).unlink(missing_ok=True)
            del self._names[number]
        empty = [
            number
            for number in self._away
            if (s := self._segments.get(number)) and not s.live and self._may_go(number)
        ]
        if empty:
            await sync()
        for number in empty:
            away, segment = self._away[number], self._segments[number]
            await self._delete_object(away.name)
            del self._away[number]
            super()._drop(segment)
            note_path(segment.path).unlink(missing_ok=True)

    async def _pack_one_anew(self) -> None:
        """Write what is left in a mostly empty segment, or in one of many small ones, into the active one."""
        found = {n: a for n, a in self._away.items() if n in self._segments and not a.is_stuck}
        wasteful = [n for n, a in found.items() if self._segments[n].live_bytes * 2 < a.size]
        small = [n for n, a in found.items() if a.size < _SMALL_BYTES]
        for number in wasteful[:1] or (small if len(small) >= _SMALL_SEGMENTS else []):
            for name, place in list(self.index.in_segment(number)):
                data = await self._whole(name, place)
                header = await self._header(place)
                if data is None or header is None:
                    found[number].is_stuck = True  # the scrub has it mended
                    continue
                copy = await self._write(name, data, header.hashes)
                if self.index.get(name) == place:
                    await self._replaced(self.index.put(name, copy))
                else:
                    await self._give_back([copy])
