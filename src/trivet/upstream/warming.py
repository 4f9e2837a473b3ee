"""Warm-ups: folders whose bodies are fetched before people ask for them, now or every day at some time.

Rule: one body at a time, by the rules of `drive/upstream/warm_rules.py`; people go first.
Rule: when the next run is due is kept; one that was missed is made up for, once, at the next start. A run
that the vendor cuts short goes on when it answers again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from trivet.drive.upstream.warm_rules import Room, next_run_s, why_not
from trivet.errors import (
    BeyondBudget,
    ContentAway,
    NotFound,
    Parked,
    TrivetError,
    UpstreamError,
    VendorQuotaSpent,
)
from trivet.upstream.fetching import Fetching
from trivet.upstream.standing import Upstream
from trivet.upstream.tree_walk import Found, files_at
from trivet.upstream.vendor import Unreachable

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS warmups (path TEXT PRIMARY KEY, at TEXT NOT NULL, zone TEXT NOT NULL, "
    "user TEXT NOT NULL, next_s REAL NOT NULL, last TEXT) STRICT"
)
_COLUMNS = "path, at, zone, user, next_s, last"
_WAIT_S = 600.0
_LOOK_S = 60.0
_AGAIN_S = 300.0

#: Told with each file: how many are done of how many.
Progress = Callable[[int, int], None]


class LastRun(msgspec.Struct):
    """What a run did: `fetched` files of `size_bytes`, `here` were here already, `left` were not fetched."""

    began_s: float
    ended_s: float = 0.0
    fetched: int = 0
    size_bytes: int = 0
    here: int = 0
    left: int = 0
    why_left: str = ""


class WarmUp(msgspec.Struct, frozen=True):
    """A folder that is warmed every day `at` o'clock in `zone`, for `user`; `next_s` is Unix time."""

    path: str
    at: str
    zone: str
    user: str
    next_s: float
    last: LastRun | None


class WarmUps:
    """The warm-ups of `up`; `room_bytes` tells how much more may be kept. `begin` it, then `run` it."""

    def __init__(self, up: Upstream, fetching: Fetching, room_bytes: Callable[[], int | None]) -> None:
        self._up = up
        self._fetching = fetching
        self._room_bytes = room_bytes
        self._changed = asyncio.Event()
        self._one = asyncio.Lock()

    async def begin(self) -> None:
        """Make the table if need be."""
        await self._up.store.write(_SCHEMA)

    async def listed(self) -> list[WarmUp]:
        """Return all that is scheduled."""
        rows = await self._up.store.rows(f"SELECT {_COLUMNS} FROM warmups ORDER BY path")
        return [
            WarmUp(path, at, zone, user, next_s, None if last is None else _last_run(last))
            for path, at, zone, user, next_s, last in rows
        ]

    async def schedule(self, path: str, at: str, zone: str, user: str) -> WarmUp:
        """Have `path` warmed every day; InputError for a time or zone that is none."""
        next_s = next_run_s(at, zone, self._up.now_s())
        await self._up.store.write(
            "INSERT INTO warmups VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (path) DO UPDATE SET "
            "at = excluded.at, zone = excluded.zone, user = excluded.user, next_s = excluded.next_s",
            *(path, at, zone, user, next_s),
        )
        self._changed.set()
        return next(one for one in await self.listed() if one.path == path)

    async def remove(self, path: str) -> None:
        """Have `path` warmed no more; NotFound if it is not."""
        if not await self._up.store.write("DELETE FROM warmups WHERE path = ?", path):
            raise NotFound(f"no warm-up of {path} is scheduled; `trivet cache` lists them")

    async def run(self) -> None:
        """Run what is due until cancelled."""
        while True:
            self._changed.clear()
            now_s, pause_s = self._up.now_s(), _LOOK_S
            for one in await self.listed():
                if one.next_s <= now_s and not await self._run_due(one):
                    pause_s = _AGAIN_S
            now_s = self._up.now_s()
            due = [one.next_s - now_s for one in await self.listed() if one.next_s > now_s]
            with suppress(TimeoutError):
                async with asyncio.timeout(min([pause_s, *due])):
                    await self._changed.wait()

    async def _run_due(self, one: WarmUp) -> bool:
        """Run a warm-up that is due; False if it must be tried again soon."""
        try:
            last, is_over = await self._warm(one.path, one.user, None)
        except NotFound as error:
            now_s = self._up.now_s()
            last, is_over = LastRun(now_s, now_s, why_left=str(error)), True
        next_s = next_run_s(one.at, one.zone, self._up.now_s()) if is_over else one.next_s
        await self._up.store.write(
            "UPDATE warmups SET next_s = ?, last = ? WHERE path = ? AND at = ?",
            *(next_s, msgspec.json.encode(last).decode(), one.path, one.at),
        )
        return is_over

    async def warm(self, path: str, user: str, progress: Progress | None = None) -> LastRun:
        """Fetch what is away at `path` or below it, for `user`, now; NotFound if there is nothing."""
        last, _ = await self._warm(path, user, progress)
        return last

    async def _warm(self, path: str, user: str, progress: Progress | None) -> tuple[LastRun, bool]:
        """Return what was done, and whether that is all that can be done today."""
        up = self._up
        async with self._one:
            last = LastRun(up.now_s())
            found = [one async for one in files_at(up.volume, path)]
            away = [one for one in found if one.away is not None]
            last.here, last.left = len(found) - len(away), len(away)
            is_over = True
            for done, one in enumerate(away):
                if progress is not None:
                    progress(done, len(away))
                try:
                    why = self._why_not(one.size) or await self._bring(one, user)
                except (Parked, Unreachable, VendorQuotaSpent) as error:
                    last.why_left, is_over = str(error), False
                    break
                if why is not None:
                    last.why_left = why
                    continue
                last.fetched, last.left = last.fetched + 1, last.left - 1
                last.size_bytes += one.size
            last.ended_s = up.now_s()
            return last, is_over

    def _why_not(self, size: int) -> str | None:
        now_s = self._up.now_s()
        budget, quota = self._fetching.budget, self._up.vendor.quota
        room = Room(
            len(budget.waiting), budget.bytes_left(now_s), budget.limits.pool_bytes,
            quota.count.requests, quota.limits.requests_per_day, self._room_bytes(),
        )  # fmt: skip
        return why_not(room, size)

    async def _bring(self, one: Found, user: str) -> str | None:
        """Fetch a body; return why it did not come."""
        while True:
            try:
                answer = await self._fetching.bring(one.ino, user, queue=False, wait_s=_WAIT_S)
            except ContentAway:
                continue  # it takes its time
            except (Parked, Unreachable):
                raise
            except (NotFound, BeyondBudget, UpstreamError) as error:
                return str(error)
            except TrivetError as error:
                return f"{one.path}: {error}"
            if answer["state"] == "spent":
                rest_s = float(answer["resets_at_s"]) - self._up.now_s()
                raise VendorQuotaSpent(str(answer["message"]), retry_after_s=max(1.0, rest_s))
            return None if answer["state"] == "here" else str(answer["message"])


def _last_run(told: str) -> LastRun:
    return msgspec.json.decode(told, type=LastRun)
