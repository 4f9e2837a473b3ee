"""RFC 3339 times as the Drive protocol writes and takes them, from and to nanoseconds.

Rule: written with milliseconds and Z; read with any offset, UTC where none is said.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?(?:([Zz])|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(time_ns: int) -> str:
    """Return `time_ns` since the epoch as 2026-01-31T12:00:00.000Z; beyond the calendar it is its end."""
    seconds = min(max(time_ns // 10**9, -62_135_596_800), 253_402_300_799)
    stamp = _EPOCH + timedelta(seconds=seconds)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}".zfill(19) + f".{time_ns // 10**6 % 1000:03d}Z"


def parse_rfc3339(text: str) -> int:
    """Return nanoseconds since the epoch; ValueError if `text` is no time."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no RFC 3339 time such as 2026-01-31T12:00:00Z")
    year, month, day, hour, minute, second, part, _, sign, zone_h, zone_m = found.groups()
    offset = timedelta()
    if sign:
        offset = timedelta(hours=int(zone_h), minutes=int(zone_m)) * (-1 if sign == "-" else 1)
    day_of = date(int(year), int(month), int(day))
    stamp = datetime(
        day_of.year, day_of.month, day_of.day, int(hour or 0), int(minute or 0), min(int(second or 0), 59),
        tzinfo=timezone(offset),
    )  # fmt: skip
    whole = (stamp - _EPOCH) // timedelta(seconds=1)
    return whole * 10**9 + int((part or "0").ljust(9, "0"))
