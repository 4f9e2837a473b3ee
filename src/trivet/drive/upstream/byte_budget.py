"""A day's bytes in one direction, shared by many: reserved before a transfer begins, first in, first out.

Rule: what is used and reserved is never more than the budget, of all together and of each user.
Rule: the first in the queue that lacks bytes of the pool holds up everybody behind; one that lacks only
bytes of their own holds up nobody but the same user.
Rule: a transfer that ends gives back what it did not move; one that runs over midnight counts for the next
day.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from trivet.drive.upstream.vendor_quota import DAY_S
from trivet.errors import BeyondBudget


class BudgetLimits(msgspec.Struct, frozen=True):
    """Bytes a day, None = no limit; `day_begins_s` in seconds after midnight UTC."""

    pool_bytes: int | None = None
    user_bytes: int | None = None
    day_begins_s: int = 0


class BudgetCount(msgspec.Struct):
    """What was moved on a day; kept over restarts."""

    day: int = 0
    pool_bytes: int = 0
    user_bytes: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """How a transfer stands: `position` 0 runs, 1 is the next; `bytes_left` of the day, None = any."""

    position: int
    bytes_left: int | None
    resets_at_s: float


@dataclass(slots=True)
class _Wish:
    user: str
    size_bytes: int
    moved_bytes: int = 0


class ByteBudget:
    """The budget of one direction and its queue; keys name transfers."""

    def __init__(self, limits: BudgetLimits, count: BudgetCount | None = None) -> None:
        self.limits = limits
        self.count = count or BudgetCount()
        self._running: dict[str, _Wish] = {}
        self._waiting: dict[str, _Wish] = {}

    @property
    def waiting(self) -> Mapping[str, object]:
        """The keys that wait, the first first."""
        return self._waiting

    def ask(self, key: str, user: str, size_bytes: int, now_s: float) -> Place:
        """Ask for `size_bytes`; asked again, a transfer keeps its place. Begin when the position is 0.

        Raises BeyondBudget for what no day's budget holds.
        """
        self.check(user, size_bytes)
        if key not in self._running and key not in self._waiting:
            self._waiting[key] = _Wish(user, size_bytes)
            self._grant(now_s)
        return self.place(key, now_s)

    def check(self, user: str, size_bytes: int) -> None:
        """Raise BeyondBudget for what no day's budget holds."""
        for limit, whose in ((self.limits.pool_bytes, "all together"), (self.limits.user_bytes, user)):
            if limit is not None and size_bytes > limit:
                raise BeyondBudget(
                    f"{size_bytes:,} bytes are more than the {limit:,} that {whose} may move in a day: no "
                    "day has room for them until somebody raises that limit"
                )

    def foreseen(self, user: str, size_bytes: int, now_s: float) -> Place:
        """Return the place that a transfer which asked now would have."""
        self._roll(now_s)
        pool, own = self.limits.pool_bytes, self.limits.user_bytes
        over = pool is not None and self._taken() + size_bytes > pool
        over |= own is not None and self._taken(user) + size_bytes > own
        for wish in self._waiting.values():
            over |= wish.user == user or (pool is not None and self._taken() + wish.size_bytes > pool)
        position = len(self._waiting) + 1 if over else 0
        return Place(position, self.bytes_left(now_s), self.resets_at_s(now_s))

    def granted(self, now_s: float) -> list[str]:
        """Let those begin for whom there is room now; return their keys, the first first."""
        return self._grant(now_s)

    def place(self, key: str, now_s: float) -> Place:
        """Return how a transfer that has asked stands."""
        position = 0 if key in self._running else list(self._waiting).index(key) + 1
        return Place(position, self.bytes_left(now_s), self.resets_at_s(now_s))

    def moved(self, key: str, size_bytes: int) -> bool:
        """Count bytes that a running transfer has moved; False if it has no right to more than it has."""
        wish = self._running[key]
        wish.moved_bytes += size_bytes
        return wish.moved_bytes <= wish.size_bytes

    def end(self, key: str, now_s: float) -> list[str]:
        """End a transfer, or its wait; what it moved is used, the rest is free. Return who may begin now."""
        self._roll(now_s)
        self._waiting.pop(key, None)
        wish = self._running.pop(key, None)
        if wish is not None:
            self.count.pool_bytes += wish.moved_bytes
            used = self.count.user_bytes.get(wish.user, 0)
            self.count.user_bytes[wish.user] = used + wish.moved_bytes
        return self._grant(now_s)

    def bytes_left(self, now_s: float) -> int | None:
        """Return what is neither used nor reserved of the day's pool, None if there is no limit."""
        self._roll(now_s)
        if self.limits.pool_bytes is None:
            return None
        return max(0, self.limits.pool_bytes - self._taken())

    def used_bytes(self, now_s: float) -> int:
        """Return what was used or is reserved today."""
        self._roll(now_s)
        return self._taken()

    def resets_at_s(self, now_s: float) -> float:
        """Return when the day ends."""
        return float((self._day_of(now_s) + 1) * DAY_S + self.limits.day_begins_s)

    def _grant(self, now_s: float) -> list[str]:
        self._roll(now_s)
        begun: list[str] = []
        held_up: set[str] = set()
        for key, wish in list(self._waiting.items()):
            pool, own = self.limits.pool_bytes, self.limits.user_bytes
            if pool is not None and self._taken() + wish.size_bytes > pool:
                break
            over = own is not None and self._taken(wish.user) + wish.size_bytes > own
            if over or wish.user in held_up:
                held_up.add(wish.user)
                continue
            self._running[key] = self._waiting.pop(key)
            begun.append(key)
        return begun

    def _taken(self, user: str | None = None) -> int:
        used = self.count.pool_bytes if user is None else self.count.user_bytes.get(user, 0)
        running = (wish for wish in self._running.values() if user in (None, wish.user))
        return used + sum(max(wish.size_bytes, wish.moved_bytes) for wish in running)

    def _day_of(self, now_s: float) -> int:
        return int((now_s - self.limits.day_begins_s) // DAY_S)

    def _roll(self, now_s: float) -> None:
        if self._day_of(now_s) > self.count.day:
            self.count = BudgetCount(self._day_of(now_s))
