"""What each user has asked for today, and the history of what each was served; in door.sqlite.

Rule: a request is counted before it is done, in the one file that all workers share: none is one too many.
Rule: what was served is noted in memory and written once a second, each file once a user.
"""

import contextvars
import time
from collections.abc import Callable

import msgspec

from trivet.drive.usage_limits import day_ends_s, day_of
from trivet.errors import UsageLimit
from trivet.gateway.door_file import DoorFile

HISTORY_KEPT_S = 30 * 24 * 3600.0
#: What one worker notes at most between two writes.
NOTED_MAX = 20_000
_COUNT = """
INSERT INTO usage VALUES (?, ?, 1) ON CONFLICT (user) DO UPDATE SET
  requests = CASE WHEN day = excluded.day THEN requests + 1 ELSE 1 END, day = excluded.day
"""
_SERVED = """
INSERT INTO served VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user, file) DO UPDATE SET
  path = excluded.path, size = excluded.size, times = times + excluded.times, bytes = bytes + excluded.bytes,
  last_s = excluded.last_s
"""


#: Set while a request is done of a user who may only have what is here.
beyond: contextvars.ContextVar[UsageLimit | None] = contextvars.ContextVar("beyond", default=None)


def check_usage() -> None:
    """Raise UsageLimit if the user behind this request may only have what is here."""
    error = beyond.get()
    if error is not None:
        raise error


class Served(msgspec.Struct, frozen=True):
    """A file that a user was sent: `times` in all, `bytes` in all, last at `last_s` (Unix time)."""

    file: str
    path: str
    size: int
    times: int
    bytes: int
    last_s: float


class Usage:
    """Counts and history in `door`; `flush` it again and again."""

    def __init__(self, door: DoorFile, now_s: Callable[[], float] = time.time) -> None:
        self._door = door
        self._now_s = now_s
        self._noted: dict[tuple[str, str], Served] = {}

    async def count(self, user: str, limit: int) -> None:
        """Count a request of `user`; UsageLimit when there were `limit` of them today already."""
        now_s = self._now_s()
        await self._door.write(_COUNT, user, day_of(now_s))
        used = await self.used(user)
        if used > limit:
            resets_at_s = day_ends_s(now_s)
            raise UsageLimit(
                f"the limit of usage is exceeded: {limit:,} requests a day. What is in this drive already "
                "can still be read, and so can the history of what you were served",
                retry_after_s=resets_at_s - now_s,
                resets_at_s=resets_at_s,
            )

    async def used(self, user: str) -> int:
        """Return how many requests of `user` were counted today."""
        row = await self._door.row(
            "SELECT requests FROM usage WHERE user = ? AND day = ?", user, day_of(self._now_s())
        )
        return 0 if row is None else int(row[0])

    def resets_at_s(self) -> float:
        """Return when the day ends."""
        return day_ends_s(self._now_s())

    def served(self, user: str, file: str, path: str, size: int, sent: int) -> None:
        """Note that `user` is sent `sent` bytes of a file of `size`."""
        key, now_s = (user, file), self._now_s()
        before = self._noted.get(key)
        if before is not None:
            times, total = before.times + 1, before.bytes + sent
            self._noted[key] = Served(file, path, size, times, total, now_s)
        elif len(self._noted) < NOTED_MAX:
            self._noted[key] = Served(file, path, size, 1, sent, now_s)

    async def flush(self) -> None:
        """Write down what was noted."""
        noted, self._noted = self._noted, {}
        rows = [(user, *msgspec.structs.astuple(one)) for (user, _), one in noted.items()]
        if rows:
            await self._door.write_all(_SERVED, rows)

    async def history(self, user: str, limit: int) -> list[Served]:
        """Return what `user` was served, the latest first."""
        await self.flush()
        rows = await self._door.rows(
            "SELECT file, path, size, times, bytes, last_s FROM served WHERE user = ? "
            "ORDER BY last_s DESC LIMIT ?",
            *(user, limit),
        )
        return [Served(*row) for row in rows]

    async def sweep(self) -> None:
        """Forget what was served long ago."""
        await self._door.write("DELETE FROM served WHERE last_s < ?", self._now_s() - HISTORY_KEPT_S)
