"""Access logs of load balancers, object stores and caches: AWS ALB, S3, CloudFront, and W3C extended (IIS).

Rule: a `#` line of a W3C log is a directive, neither record nor damage; `#Fields:` names the columns.
Source: AWS "Access logs for your Application Load Balancer", "Amazon S3 server access log format",
"CloudFront standard logging"; W3C Extended Log File Format; IIS `time-taken` is in milliseconds.
"""

import re

from trivet.wire.access_log import (
    AccessRecord,
    hour_and_offset,
    size_of,
    split_request,
)
from trivet.wire.timestamps import rfc3339_s

_ALB = re.compile(
    rb"^(?:https?|h2|grpcs|wss?) (\S+) \S+ (\S+) \S+ (-1|[\d.]+) (-1|[\d.]+) (-1|[\d.]+) (\d{3}|-) \S+"
    rb' (\d+|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)" \S+ \S+ \S+ "[^"]*" "([^"]*)"',
    re.DOTALL,
)
_S3 = re.compile(
    rb"^\S+ \S+ \[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d):(\d\d):(\d\d) ([+-]\d{4})\] (\S+) \S+ \S+ \S+ \S+"
    rb' (?:"((?:[^"\\]|\\.)*)"|-) (\d{3}|-) \S+ (\d+|-) (?:\d+|-) (\d+|-) (?:\d+|-)'
    rb' (?:"((?:[^"\\]|\\.)*)"|-) (?:"((?:[^"\\]|\\.)*)"|-)',
    re.DOTALL,
)
#: the columns of a CloudFront standard log, which are fixed even where the `#Fields:` line was cut off
CLOUDFRONT_FIELDS = (
    b"date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)"
    b" cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol"
    b" cs-bytes time-taken"
).split()
_SECONDS = re.compile(rb"\d{1,9}(?:\.\d{1,9})?")
_NEEDED = (b"c-ip", b"sc-status")


def parse_alb(line: bytes) -> AccessRecord | None:
    """Return the record of an AWS ALB `line`; the duration is the sum of its three processing times."""
    match = _ALB.match(line)
    if match is None:
        return None
    stamp, client, *times, status, _received, sent, request, agent, domain = match.groups(b"")
    time_s = rfc3339_s(stamp.decode("ascii", "replace"))
    try:
        taken = [float(part) for part in times]
    except ValueError:
        return None
    if time_s is None:
        return None
    method, target, bad = split_request(request.rstrip(b" "))
    return AccessRecord(
        client.rpartition(b":")[0], time_s, 0, method, target, bad, 0 if status == b"-" else int(status),
        size_of(sent), sum(taken) if min(taken) >= 0 else -1.0, b"", agent, domain,
    )  # fmt: skip


def parse_s3(line: bytes) -> AccessRecord | None:
    """Return the record of an S3 server access `line`; the duration is its total time."""
    match = _S3.match(line)
    if match is None:
        return None
    hour, minute, second, zone, ip, request, status, size, taken, referrer, agent = match.groups(b"")
    try:
        hour_s, offset = hour_and_offset(hour, zone)
    except ValueError:
        return None
    method, target, bad = split_request(request)
    return AccessRecord(
        ip, hour_s + int(minute) * 60 + int(second), offset, method, target, bad,
        0 if status == b"-" else int(status), size_of(size),
        int(taken) / 1e3 if taken.isdigit() and len(taken) < 13 else -1.0, referrer, agent,
    )  # fmt: skip


class ColumnParser:
    """Parser of a log in columns; a `#Fields:` line seen on the way changes the columns.

    `separator` is a tab for CloudFront, a space for W3C; `duration_unit_s` is the unit of `time-taken`.
    """

    def __init__(self, fields: list[bytes], separator: bytes, duration_unit_s: float) -> None:
        self._separator = separator
        self._unit_s = duration_unit_s
        self._date = b""
        self._learn(fields)

    def _learn(self, fields: list[bytes]) -> None:
        self._count = len(fields)
        self._index = {name: place for place, name in enumerate(fields)}

    def __call__(self, line: bytes) -> AccessRecord | None:
        """Return the record of `line`; None when it is malformed or a directive."""
        line = line.rstrip(b"\r")
        if line.startswith(b"#"):
            if line.startswith(b"#Fields:"):
                self._learn(line[8:].split())
            elif line.startswith(b"#Date:"):
                self._date = line[6:].split()[0] if line[6:].split() else b""
            return None
        values = line.split(self._separator)
        if len(values) < self._count or any(name not in self._index for name in _NEEDED):
            return None
        stamp = rfc3339_s(
            (self._get(values, b"date", self._date) + b"T" + self._get(values, b"time")).decode(
                "ascii", "replace"
            )
        )
        status = self._get(values, b"sc-status")
        size = self._get(values, b"sc-bytes", b"-")
        if stamp is None or not re.fullmatch(rb"\d{1,3}", status) or not re.fullmatch(rb"\d+|-", size):
            return None
        return self._record(values, stamp, int(status), size_of(size))

    def _get(self, values: list[bytes], name: bytes, default: bytes = b"") -> bytes:
        place = self._index.get(name)
        return default if place is None else values[place]

    def _record(self, values: list[bytes], stamp: float, status: int, size: int) -> AccessRecord:
        target = self._get(values, b"cs-uri-stem", b"-")
        query = self._get(values, b"cs-uri-query", b"-")
        if query not in (b"-", b""):
            target += b"?" + query
        taken = self._get(values, b"time-taken", b"-")
        host = self._get(values, b"cs(Host)") or self._get(values, b"cs-host")
        return AccessRecord(
            self._get(values, b"c-ip"), stamp, 0, self._get(values, b"cs-method"), target, target == b"-",
            status, size, float(taken) * self._unit_s if _SECONDS.fullmatch(taken) else -1.0,
            self._get(values, b"cs(Referer)"), self._get(values, b"cs(User-Agent)"), host,
        )  # fmt: skip


def cloudfront_parser() -> ColumnParser:
    """Return a parser of CloudFront standard logs."""
    return ColumnParser(CLOUDFRONT_FIELDS, b"\t", 1.0)


def w3c_parser(sample: bytes) -> ColumnParser:
    """Return a parser of the W3C extended log that begins with `sample`."""
    unit_s = 1e-3 if b"Internet Information Services" in sample[:4096] else 1.0
    return ColumnParser([], b" ", unit_s)
