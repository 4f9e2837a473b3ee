"""What the vendor lets us do, counted before each call: requests, units and bytes, a day and a minute.

Rule: a call is counted before it is made, whether it succeeds or not.
Rule: when the vendor itself says that the day is spent, nothing more is called until the day is over.
Source: the vendor's prices in units since May 2026.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

Call = Literal["get", "list", "download", "update", "upload", "other"]
UNITS: dict[Call, int] = {"get": 5, "list": 100, "download": 200, "update": 50, "upload": 50, "other": 5}
DAY_S, MINUTE_S = 86_400, 60


class QuotaLimits(msgspec.Struct, frozen=True):
    """None = no limit. `day_begins_s` is when the vendor's day begins, in seconds after midnight UTC."""

    requests_per_day: int | None = None
    units_per_day: int | None = None
    bytes_per_day: int | None = None
    units_per_minute: int | None = 325_000
    day_begins_s: int = 0

    def day_of(self, now_s: float) -> int:
        """Return the number of the day that `now_s` (Unix time) is in."""
        return int((now_s - self.day_begins_s) // DAY_S)

    def day_ends_s(self, now_s: float) -> float:
        """Return when that day ends."""
        return float((self.day_of(now_s) + 1) * DAY_S + self.day_begins_s)


class QuotaCount(msgspec.Struct):
    """What was used of a day; kept over restarts."""

    day: int = 0
    requests: int = 0
    units: int = 0
    bytes: int = 0
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """A call that may not be made before `until_s`; `is_day` when that is the end of the day."""

    until_s: float
    is_day: bool


class VendorQuota:
    """Counts against `limits`, going on from `count`."""

    def __init__(self, limits: QuotaLimits, count: QuotaCount | None = None) -> None:
        self.limits = limits
        self.count = count or QuotaCount()
        self._minute = 0
        self._minute_units = 0

    def take(self, call: Call, size_bytes: int, now_s: float) -> Blocked | None:
        """Count a call that moves `size_bytes`; Blocked, and nothing counted, if it may not be made."""
        self._roll(now_s)
        limits, count, units = self.limits, self.count, UNITS[call]
        wanted = (
            (limits.requests_per_day, count.requests + 1),
            (limits.units_per_day, count.units + units),
            (limits.bytes_per_day, count.bytes + size_bytes),
        )
        if count.spent or any(limit is not None and more > limit for limit, more in wanted):
            return Blocked(limits.day_ends_s(now_s), is_day=True)
        most = limits.units_per_minute
        if most is not None and self._minute_units and self._minute_units + units > most:
            return Blocked(float((self._minute + 1) * MINUTE_S), is_day=False)
        count.requests += 1
        count.units += units
        count.bytes += size_bytes
        self._minute_units += units
        return None

    def note_spent(self, now_s: float) -> None:
        """Note that the vendor has said that the day is spent."""
        self._roll(now_s)
        self.count.spent = True

    def spent_until_s(self, now_s: float) -> float | None:
        """Return when calls are possible again if the day is spent (cache-only mode), else None."""
        self._roll(now_s)
        limits, count = self.limits, self.count
        rest = (
            (limits.requests_per_day, count.requests + 1),
            (limits.units_per_day, count.units + min(UNITS.values())),
        )
        if count.spent or any(limit is not None and more > limit for limit, more in rest):
            return limits.day_ends_s(now_s)
        return None

    def _roll(self, now_s: float) -> None:
        day, minute = self.limits.day_of(now_s), int(now_s // MINUTE_S)
        if day != self.count.day:
            self.count = QuotaCount(day)
        if minute != self._minute:
            self._minute, self._minute_units = minute, 0
