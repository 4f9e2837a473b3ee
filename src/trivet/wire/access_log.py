"""One line of an access log and the record in it: the Common family (Common, Combined, nginx, vhost).

Rule: a line is the bytes up to the newline; trailing spaces and carriage returns belong to the line end.
Rule: a request that is not METHOD target HTTP/x is a record marked bad request, its text is the target.
Rule: everything stays bytes until it is shown; `escape` makes text of them that can be turned back.
Source: mod_log_config, ngx_http_log_module; dialects seen in public logs.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
NO_SECTION = b"-"
#: a size above 10 TB is nonsense or an attack: it counts as this much, so that sums stay within 64 bits
MAX_SIZE_BYTES = 10**13 - 1


class AccessRecord(NamedTuple):
    """One request that a server wrote down; a text field that the format lacks is `b""`.

    `time_s` is Unix time, `utc_offset_s` the log's own zone (local hour = `time_s + utc_offset_s`);
    `duration_s` is negative where the log has none.
    """

    ip: bytes
    time_s: float
    utc_offset_s: int
    method: bytes
    target: bytes
    bad_request: bool
    status: int
    size_bytes: int
    duration_s: float = -1.0
    referrer: bytes = b""
    agent: bytes = b""
    host: bytes = b""


#: what every format's parser is: the record of a line without its newline, or None when it is malformed
Parse = Callable[[bytes], AccessRecord | None]

_TIME = rb"\[((?:0[1-9]|[12]\d|3[01])/(?:" + b"|".join(MONTHS) + rb")/\d{4}:\d\d):(\d\d):(\d\d) ([+-]\d{4})\]"
_QUOTED = rb'"((?:[^"\\]|\\.)*)"'
_EXTRA = rb'(?: "(?:[^"\\]|\\.)*")*'
_FRONT = rb"(\S+) \S+ [^\[]+ " + _TIME + rb" " + _QUOTED + rb" (\d{3}) (\d+|-)"
_AGENT = rb"(?: " + _QUOTED + rb" " + _QUOTED + _EXTRA + rb")?"
_LINE_END = rb"[ \r]*"
_DURATION = rb"(?: (?:[a-z_]+=)?(\d{1,9}\.\d{1,9}|\d{1,12}|-)(?:[ \r].*)?|[ \r]*)"

COMBINED = re.compile(rb"^" + _FRONT + _AGENT + _LINE_END + rb"\Z", re.DOTALL)
VHOST = re.compile(rb"^(\S+) " + _FRONT + _AGENT + _LINE_END + rb"\Z", re.DOTALL)
TIMED = re.compile(rb"^" + _FRONT + _AGENT + _DURATION + rb"\Z", re.DOTALL)
REQUEST = re.compile(rb"^([^ ]+) (.+) HTTP/[^ ]*\Z", re.DOTALL)
_ABSOLUTE = re.compile(rb"^[A-Za-z][A-Za-z0-9+.\-]*://[^/?]*")


def split_lines(block: bytes) -> list[bytes]:
    """Return the lines of a `block` without their newlines; its last line may lack one."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def escape(raw: bytes) -> str:
    """Return `raw` as text: UTF-8, each byte that is not as `\\xNN`, a backslash doubled."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def unescape(text: str) -> bytes:
    """Return the bytes that `escape` made `text` of."""
    return re.sub(
        rb"\\(?:\\|x([0-9a-f]{2}))",
        lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\",
        text.encode(),
    )


def section_of(target: bytes) -> bytes:
    """Return the section of a `target`: `/` and its first path element, or `-` where it has no path.

    `/a/b?x` is in `/a`, `/a?x` in `/a`, `/` in `/`; the absolute form drops scheme and host.
    """
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.match(target)
        if not absolute:
            return NO_SECTION
        target = target[absolute.end() :]
        if not target.startswith(b"/"):
            return b"/"
    end = target.find(b"/", 1)
    query = target.find(b"?")
    if query >= 0 and (end < 0 or query < end):
        end = query
    return target if end < 0 else target[:end]


def size_of(text: bytes) -> int:
    """Return the bytes sent that `text` says: digits, or `-` for none; at most MAX_SIZE_BYTES."""
    if text == b"-":
        return 0
    return int(text) if len(text) <= 13 else min(int(text.lstrip(b"0")[:20] or b"0"), MAX_SIZE_BYTES)


def split_request(request: bytes) -> tuple[bytes, bytes, bool]:
    """Return (method, target, bad) of a request line's text."""
    match = REQUEST.match(request)
    return (match[1], match[2], False) if match else (b"", request, True)


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01; a day past the month's end runs on into the next month."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


_hours: dict[tuple[bytes, bytes], tuple[int, int]] = {}


def hour_and_offset(hour: bytes, zone: bytes) -> tuple[int, int]:
    """Return (Unix time of `hour` as dd/Mon/yyyy:HH in `zone`, offset of the zone), remembered."""
    key = (hour, zone)
    known = _hours.get(key)
    if known is None:
        if len(_hours) > 4096:
            _hours.clear()
        offset = int(zone[1:3]) * 3600 + int(zone[3:5]) * 60
        if zone[:1] == b"-":
            offset = -offset
        days = days_from_civil(int(hour[7:11]), MONTHS.index(hour[3:6]) + 1, int(hour[:2]))
        known = _hours[key] = (days * 86400 + int(hour[12:14]) * 3600 - offset, offset)
    return known


def unwrap(line: bytes) -> bytes:
    """Return `line` without the quotes round the whole of it, a dialect of exported logs."""
    if line.startswith(b'"'):
        bare = line.rstrip(b" \r")
        if len(bare) >= 2 and bare.endswith(b'"'):
            return bare[1:-1]
    return line


def parse_combined(line: bytes) -> AccessRecord | None:
    """Return the record of a Common, Combined or nginx `line`, or None when it is malformed."""
    match = COMBINED.match(unwrap(line))
    if match is None:
        return None
    ip, hour, minute, second, zone, request, status, size, referrer, agent = match.groups(b"")
    hour_s, offset = hour_and_offset(hour, zone)
    method, target, bad = split_request(request)
    return AccessRecord(
        ip, hour_s + int(minute) * 60 + int(second), offset, method, target, bad, int(status),
        size_of(size), -1.0, referrer, agent,
    )  # fmt: skip


def parse_vhost(line: bytes) -> AccessRecord | None:
    """Return the record of a vhost_combined `line`: the virtual host, then a Combined line."""
    match = VHOST.match(unwrap(line))
    if match is None:
        return None
    host, ip, hour, minute, second, zone, request, status, size, referrer, agent = match.groups(b"")
    hour_s, offset = hour_and_offset(hour, zone)
    method, target, bad = split_request(request)
    return AccessRecord(
        ip, hour_s + int(minute) * 60 + int(second), offset, method, target, bad, int(status),
        size_of(size), -1.0, referrer, agent, host,
    )  # fmt: skip


def parse_timed(line: bytes) -> AccessRecord | None:
    """Return the record of a Combined `line` with a duration behind it.

    nginx `$request_time` has a decimal point and is seconds; Apache `%D` has none and is microseconds.
    """
    match = TIMED.match(unwrap(line))
    if match is None:
        return None
    ip, hour, minute, second, zone, request, status, size, referrer, agent, took = match.groups(b"")
    hour_s, offset = hour_and_offset(hour, zone)
    method, target, bad = split_request(request)
    duration_s = -1.0
    if took and took != b"-":
        whole, point, fraction = took.partition(b".")
        duration_s = (int(whole) * 10**6 + int(fraction[:6].ljust(6, b"0")) if point else int(whole)) / 1e6
    return AccessRecord(
        ip, hour_s + int(minute) * 60 + int(second), offset, method, target, bad, int(status),
        size_of(size), duration_s, referrer, agent,
    )  # fmt: skip
