"""One line of the Common family taken apart by the kernel, byte for byte as the regular expressions do.

Rule: what is a record here is one in `wire.access_log`, and the other way round; a property test holds it.
Rule: a line's parts are places in the block, in `parts`, by the numbers below; nothing is copied.
"""

from typing import Any

import numpy as np

from trivet.insight.logs.kernel_bytes import compiled, find_byte, find_either
from trivet.wire.access_log import MAX_SIZE_BYTES

(
    IP, IP_END, TIME, REQUEST, REQUEST_END, STATUS, SIZE, REFERRER, REFERRER_END, AGENT, AGENT_END, TOOK_US,
    TARGET, TARGET_END, BAD_REQUEST,
) = range(15)  # fmt: skip
PARTS = 15
PLAIN, VHOST, TIMED = 0, 1, 2

_MAX_SIZE = MAX_SIZE_BYTES
_QUOTE, _BACKSLASH, _SPACE, _BRACKET, _MINUS, _CR, _DOT = 34, 92, 32, 91, 45, 13, 46
_MONTHS = np.frombuffer(b"JanFebMarAprMayJunJulAugSepOctNovDec", np.uint8)


@compiled
def is_digit(byte: Any) -> Any:
    """Return whether `byte` is an ASCII digit."""
    return 48 <= byte <= 57


@compiled
def token_end(data: Any, start: Any, end: Any) -> Any:
    """Return where the run of bytes that are no white space ends, if a space follows it; else -1."""
    place = start
    while place < end:
        byte = data[place]
        if byte == _SPACE:
            return place if place > start else -1
        if 9 <= byte <= 13:
            return -1
        place += 1
    return -1


@compiled
def month_of(data: Any, place: Any) -> Any:
    """Return the month 1 to 12 whose name stands at `place`, or 0."""
    for k in range(12):
        if (
            data[place] == _MONTHS[3 * k]
            and data[place + 1] == _MONTHS[3 * k + 1]
            and data[place + 2] == _MONTHS[3 * k + 2]
        ):
            return k + 1
    return 0


@compiled
def two(data: Any, place: Any) -> Any:
    """Return the number of two digits at `place`, or -1."""
    if is_digit(data[place]) and is_digit(data[place + 1]):
        return np.int64(data[place] - 48) * 10 + np.int64(data[place + 1] - 48)
    return -1


@compiled
def days_of(year: Any, month: Any, day: Any) -> Any:
    """Return days since 1970-01-01, as `wire.access_log.days_from_civil` does."""
    y = year - 1 if month <= 2 else year
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468


@compiled
def parse_time(data: Any, p: Any, parts: Any) -> Any:
    """Read `[dd/Mon/yyyy:HH:MM:SS +zzzz] "` at `p` (30 bytes are there) into Unix time."""
    if not (
        data[p] == _BRACKET and data[p + 3] == 47 and data[p + 7] == 47 and data[p + 12] == 58
        and data[p + 15] == 58 and data[p + 18] == 58 and data[p + 21] == _SPACE and data[p + 27] == 93
        and data[p + 28] == _SPACE and data[p + 29] == _QUOTE
    ):  # fmt: skip
        return False
    sign = data[p + 22]
    if sign != 43 and sign != _MINUS:
        return False
    day, month = two(data, p + 1), month_of(data, p + 4)
    century, rest = two(data, p + 8), two(data, p + 10)
    hour, minute, second = two(data, p + 13), two(data, p + 16), two(data, p + 19)
    zone_hour, zone_minute = two(data, p + 23), two(data, p + 25)
    if day < 1 or day > 31 or month == 0 or century < 0 or rest < 0:
        return False
    if hour < 0 or minute < 0 or second < 0 or zone_hour < 0 or zone_minute < 0:
        return False
    offset = zone_hour * 3600 + zone_minute * 60
    if sign == _MINUS:
        offset = -offset
    days = days_of(century * 100 + rest, month, day)
    parts[TIME] = days * 86400 + hour * 3600 + minute * 60 + second - offset
    return True


@compiled
def quoted_end(data: Any, start: Any, end: Any) -> Any:
    """Return the place of the quote that closes the text from `start`, or -1; a backslash escapes a byte."""
    place = start
    while True:
        place = find_either(data, place, end, _QUOTE, _BACKSLASH)
        if place >= end:
            return -1
        if data[place] == _QUOTE:
            return place
        place += 2


@compiled
def parse_request(data: Any, parts: Any) -> None:
    """Split the request into its target, or mark it bad: then its whole text is the target."""
    start, end = parts[REQUEST], parts[REQUEST_END]
    parts[TARGET], parts[TARGET_END], parts[BAD_REQUEST] = start, end, 1
    first = find_byte(data, start, end, _SPACE)
    if first == start or first >= end:
        return
    last = end - 1
    while data[last] != _SPACE:
        last -= 1
    if last <= first + 1 or end - last < 6:
        return
    if (
        data[last + 1] == 72 and data[last + 2] == 84 and data[last + 3] == 84 and data[last + 4] == 80
        and data[last + 5] == 47
    ):  # fmt: skip
        parts[TARGET], parts[TARGET_END], parts[BAD_REQUEST] = first + 1, last, 0


@compiled
def only_line_end(data: Any, place: Any, end: Any) -> Any:
    """Return whether nothing but spaces and carriage returns stands from `place` to `end`."""
    while place < end and (data[place] == _SPACE or data[place] == _CR):
        place += 1
    return place == end


@compiled
def parse_size(data: Any, place: Any, end: Any, parts: Any) -> Any:
    """Read digits or `-` at `place` into the size; return the place behind, or -1."""
    if place >= end:
        return -1
    if data[place] == _MINUS:
        parts[SIZE] = 0
        return place + 1
    size: Any = 0
    first = place
    while place < end and is_digit(data[place]):
        size = min(size * 10 + np.int64(data[place] - 48), _MAX_SIZE)
        place += 1
    parts[SIZE] = size
    return place if place > first else -1


@compiled
def parse_duration(data: Any, place: Any, end: Any, parts: Any) -> Any:
    """Read ` name=0.250 ...` behind the fields into microseconds; -1 where it is `-` or missing."""
    parts[TOOK_US] = -1
    if only_line_end(data, place, end):
        return True
    if data[place] != _SPACE:
        return False
    place += 1
    name = place
    while place < end and (data[place] == 95 or 97 <= data[place] <= 122):
        place += 1
    if place < end and data[place] == 61 and place > name:
        place += 1
    elif place > name:
        return False
    if place < end and data[place] == _MINUS:
        return place + 1 == end or data[place + 1] == _SPACE or data[place + 1] == _CR
    whole: Any = 0
    first = place
    while place < end and is_digit(data[place]) and place - first < 13:
        whole = whole * 10 + np.int64(data[place] - 48)
        place += 1
    digits = place - first
    if digits == 0 or digits > 12:
        return False
    took = whole
    if place < end and data[place] == _DOT:
        place += 1
        point = place
        fraction: Any = 0
        while place < end and is_digit(data[place]) and place - point < 10:
            if place - point < 6:
                fraction = fraction * 10 + np.int64(data[place] - 48)
            place += 1
        decimals = place - point
        if decimals == 0 or decimals > 9 or digits > 9:
            return False
        for _ in range(6 - decimals):
            fraction *= 10
        took = whole * 1000000 + fraction
    parts[TOOK_US] = took
    return place == end or data[place] == _SPACE or data[place] == _CR


@compiled
def parse_fields(data: Any, place: Any, end: Any, dialect: Any, parts: Any) -> Any:
    """Read referrer, agent and what follows them, from behind the size to the line's end."""
    count = 0
    parts[REFERRER], parts[REFERRER_END], parts[AGENT], parts[AGENT_END] = place, place, place, place
    while place + 1 < end and data[place] == _SPACE and data[place + 1] == _QUOTE:
        close = quoted_end(data, place + 2, end)
        if close < 0:
            return False
        if count == 0:
            parts[REFERRER], parts[REFERRER_END] = place + 2, close
        elif count == 1:
            parts[AGENT], parts[AGENT_END] = place + 2, close
        count += 1
        place = close + 1
    if count == 1:
        return False
    if dialect == TIMED:
        return parse_duration(data, place, end, parts)
    return only_line_end(data, place, end)


@compiled
def parse_line(data: Any, start: Any, end: Any, dialect: Any, parts: Any) -> Any:
    """Take the line `data[start:end]` apart into `parts`; return whether it is a record."""
    if start < end and data[start] == _QUOTE:
        bare = end
        while bare > start and (data[bare - 1] == _SPACE or data[bare - 1] == _CR):
            bare -= 1
        if bare - start >= 2 and data[bare - 1] == _QUOTE:
            start, end = start + 1, bare - 1
    parts[TOOK_US] = -1
    if dialect == VHOST:
        host_end = token_end(data, start, end)
        if host_end < 0:
            return False
        start = host_end + 1
    ip_end = token_end(data, start, end)
    if ip_end < 0:
        return False
    parts[IP], parts[IP_END] = start, ip_end
    ident_end = token_end(data, ip_end + 1, end)
    if ident_end < 0:
        return False
    user = ident_end + 1
    bracket = find_byte(data, user, end, _BRACKET)
    if bracket < user + 2 or end - bracket < 31 or data[bracket - 1] != _SPACE:
        return False
    if not parse_time(data, bracket, parts):
        return False
    request = bracket + 30
    close = quoted_end(data, request, end)
    if close < 0 or end - close < 7 or data[close + 1] != _SPACE or data[close + 5] != _SPACE:
        return False
    parts[REQUEST], parts[REQUEST_END] = request, close
    high, low = two(data, close + 2), two(data, close + 3)
    if high < 0 or low < 0:
        return False
    parts[STATUS] = high * 10 + low % 10
    place = parse_size(data, close + 6, end, parts)
    if place < 0 or not parse_fields(data, place, end, dialect, parts):
        return False
    parse_request(data, parts)
    return True
