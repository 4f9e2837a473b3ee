"""When a warm-up runs, and what it leaves to people.

Rule: a warm-up never waits in the queue, never begins while somebody does, and leaves half of the day's
bytes and calls alone.
Rule: a time of day is one of the named zone; what a change of the clocks leaves out comes an hour later.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trivet.errors import InputError

#: The part of a day that warm-ups may have used.
SHARE = 0.5


def parse_time(text: str) -> tuple[int, int]:
    """Return (hour, minute) of "03:00", or raise InputError."""
    found = re.fullmatch(r"(\d{1,2}):(\d\d)", text.strip(), re.ASCII)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise InputError(f"--at {text!r}: a time of day such as 03:00")
    return int(found[1]), int(found[2])


def zone_of(name: str) -> ZoneInfo:
    """Return the zone called `name`, or raise InputError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"{name!r} is no time zone such as Europe/Berlin or UTC") from error


def next_run_s(at: str, zone: str, now_s: float) -> float:
    """Return the next moment (Unix time) behind `now_s` that is `at` o'clock in `zone`."""
    hour, minute = parse_time(at)
    here = zone_of(zone)
    day = datetime.fromtimestamp(now_s, UTC).astimezone(here).date() - timedelta(days=1)
    while True:
        moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=here).timestamp()
        if moment > now_s:
            return moment
        day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Room:
    """What there is for a warm-up; None = no limit. `waiting` people have a place in the queue."""

    waiting: int
    bytes_left: int | None
    bytes_a_day: int | None
    calls_used: int
    calls_a_day: int | None
    cache_left: int | None


def why_not(room: Room, size_bytes: int) -> str | None:
    """Return why a warm-up must not fetch a body of this size now, None if it may."""
    if room.waiting:
        return (
            "somebody waits for today's bytes"
            if room.waiting == 1
            else f"{room.waiting} wait for today's bytes"
        )
    if room.bytes_left is not None and room.bytes_a_day is not None:
        kept = room.bytes_a_day * (1 - SHARE)
        if room.bytes_left - size_bytes < kept:
            return "half of the day's bytes is for people"
    if room.calls_a_day is not None and room.calls_used >= room.calls_a_day * SHARE:
        return "half of the vendor's calls a day is for people"
    if room.cache_left is not None and size_bytes > room.cache_left:
        return "the cache is full (see `trivet cache limit`)"
    return None
