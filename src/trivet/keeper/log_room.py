"""How much of the log the keeper holds in memory: when it is trimmed, and who waits while it is too much.

Rule: two banks that are compared let go of the log, so a bank that stays away holds up nobody.
Rule: while nothing can be let go of at all (banks are being compared), the bound gives way slowly, so that
people get on, if slower; at MOST_BYTES nobody does, and who waited for WAIT_S is told why.
"""

import asyncio

from trivet.errors import NoMajority
from trivet.quorum.leader_log import LeaderLog

KEPT_LOG_BYTES = 16 << 20
KEPT_REIGNS = 64  # each began a file of every bank's journal
TRIM_EVERY_S = 0.5
HELD_BYTES = 256 << 20
MOST_BYTES = 512 << 20
STILL_AFTER_S = 2.0
GIVES_WAY_BYTES_S = 1 << 20
WAIT_S = 20.0  # below what clients of the volume wait for a call


class LogRoom:
    """Says whether there is room for changes in the log.

    `look` is to be called every few dozen ms, `grew` behind each entry: no pause of the loop lets more in.
    """

    def __init__(self) -> None:
        self._held_bytes = 0
        self._floor = -1
        self._moved_at = 0.0
        self._held_when_moved = 0
        self._bound_bytes = HELD_BYTES
        self._waiting = 0
        self._next_trim_at = 0.0
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def is_free(self) -> bool:
        """Whether changes need not wait."""
        return self._has_room.is_set()

    @property
    def note(self) -> str:
        """A sentence for people while changes wait for room, else empty."""
        return self._why() if self._waiting else ""

    def _why(self) -> str:
        held = f"{self._held_bytes / (1 << 20):.0f} MiB of the log are held"
        return f"changes wait: {held} until two banks have applied it and are compared"

    def look(self, log: LeaderLog, now: float, *, has_takers: bool) -> bool:
        """Hold up changes or let them in; return whether `log` is to be trimmed now.

        How far banks have applied, which is what is let go of, they answer to each trim for the next one.
        Without banks that take changes nobody waits here: they are told so elsewhere, and sooner.
        """
        held = self._held_bytes = log.size_bytes
        if log.floor != self._floor or held <= HELD_BYTES:
            self._floor, self._moved_at, self._held_when_moved = log.floor, now, held
        self._bound_bytes = self._bound(now)
        if held <= self._bound_bytes or not has_takers:
            self._has_room.set()
        else:
            self._has_room.clear()
        is_due = held > KEPT_LOG_BYTES and now >= self._next_trim_at
        if is_due:
            self._next_trim_at = now + TRIM_EVERY_S
        return is_due

    def grew(self, held_bytes: int) -> None:
        """Take in that the log was appended to: changes wait from now on, should it be too much."""
        if held_bytes > self._bound_bytes:
            self._held_bytes = held_bytes
            self._has_room.clear()

    def _bound(self, now: float) -> int:
        still_s = now - self._moved_at - STILL_AFTER_S
        if still_s <= 0:
            return HELD_BYTES
        given_way = max(HELD_BYTES, self._held_when_moved) + int(still_s * GIVES_WAY_BYTES_S)
        return min(given_way, MOST_BYTES)

    async def wait(self, limit_s: float) -> None:
        """Return once changes may come; NoMajority after `limit_s`."""
        self._waiting += 1
        try:
            async with asyncio.timeout(max(limit_s, 0.0)):
                await self._has_room.wait()
        except TimeoutError:
            raise NoMajority(self._why()) from None
        finally:
            self._waiting -= 1


def is_long(log: LeaderLog) -> bool:
    """Tell whether a log should be trimmed behind the anchor it ends in: it is large, or of many reigns."""
    reigns = log.entries[-1].epoch.number - log.entries[0].epoch.number
    return log.size_bytes > KEPT_LOG_BYTES or reigns > KEPT_REIGNS
