"""The formats of access logs and which of them a file is in: found before parsing, and said aloud.

Rule: a stricter format is asked first (a vhost line parses as Common with the wrong host).
Rule: a file in which no line of the sample is an access record is refused, with what it looks like.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from trivet.errors import InputError
from trivet.wire.access_cloud import cloudfront_parser, parse_alb, parse_s3, w3c_parser
from trivet.wire.access_json import parse_caddy, parse_traefik
from trivet.wire.access_log import (
    TIMED,
    AccessRecord,
    Parse,
    parse_combined,
    parse_timed,
    parse_vhost,
    unwrap,
)

SAMPLE_BYTES = 4 << 20
SAMPLE_LINES = 1000
_IP = re.compile(rb"^\S+ (?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]+) ")


@dataclass(frozen=True, slots=True)
class LogFormat:
    """One format: its `name`, what users call it, its parser, and whether `#` lines are directives."""

    name: str
    title: str
    parse: Parse
    directives: bool = False


_TITLES = {
    "vhost": "Combined with the virtual host in front",
    "combined+duration": "Combined with a duration behind",
    "combined": "Combined (Apache, nginx)",
    "common": "Common",
    "alb": "AWS Application Load Balancer",
    "s3": "AWS S3 server access log",
    "cloudfront": "AWS CloudFront standard log",
    "w3c": "W3C extended (IIS)",
    "caddy": "Caddy JSON lines",
    "traefik": "Traefik JSON lines",
}
FORMAT_NAMES = tuple(_TITLES)


def named_format(name: str, sample: bytes = b"") -> LogFormat:
    """Return the format called `name`; `sample` is the file's beginning (W3C columns stand there)."""
    parsers: dict[str, Callable[[], Parse]] = {
        "vhost": lambda: parse_vhost,
        "combined+duration": lambda: parse_timed,
        "combined": lambda: parse_combined,
        "common": lambda: parse_combined,
        "alb": lambda: parse_alb,
        "s3": lambda: parse_s3,
        "cloudfront": cloudfront_parser,
        "w3c": lambda: w3c_parser(sample),
        "caddy": lambda: parse_caddy,
        "traefik": lambda: parse_traefik,
    }
    if name not in parsers:
        raise InputError(f"no log format is called {name!r}; known are {', '.join(FORMAT_NAMES)}")
    return LogFormat(name, _TITLES[name], parsers[name](), name in ("w3c", "cloudfront"))


def detect_format(sample: bytes, name: str = "the input") -> LogFormat:
    """Return the format of the log that begins with `sample`; `name` is the file's, for the message.

    An empty sample is Combined with no lines. Raises InputError when no line of it is an access record.
    """
    lines = [line for line in islice(_lines(sample), SAMPLE_LINES) if line.strip()]
    if not lines:
        return named_format("combined")
    best, best_count = "", 0
    for candidate in (
        "vhost",
        "combined+duration",
        "combined",
        "caddy",
        "traefik",
        "alb",
        "s3",
        "cloudfront",
        "w3c",
    ):
        count = _count(candidate, sample, lines)
        if count > best_count:
            best, best_count = candidate, count
    if not best:
        raise InputError(f"{name} is no access log that trivet knows: {_looks_like(lines)}")
    if best == "combined" and all(not _has_agent(record) for record in map(parse_combined, lines)):
        best = "common"
    return named_format(best, sample)


def _lines(sample: bytes) -> Iterator[bytes]:
    """Yield the lines of `sample`; a last line that the sample cut is left out unless it is the only one."""
    end = sample.rfind(b"\n")
    whole = sample if end < 0 or len(sample) < SAMPLE_BYTES else sample[:end]
    position = 0
    while position < len(whole):
        newline = whole.find(b"\n", position)
        newline = len(whole) if newline < 0 else newline
        yield whole[position:newline]
        position = newline + 1


def _count(candidate: str, sample: bytes, lines: list[bytes]) -> int:
    parse = named_format(candidate, sample).parse
    if candidate == "vhost":
        return sum(1 for line in lines if _IP.match(unwrap(line)) and parse(line))
    if candidate == "combined+duration":
        matches = [match for line in lines if (match := TIMED.match(unwrap(line)))]
        timed = sum(1 for match in matches if match[11])
        return len(matches) if timed * 2 > len(matches) else 0
    return sum(1 for line in lines if parse(line) is not None)


def _has_agent(record: AccessRecord | None) -> bool:
    return record is not None and record.agent != b""


def _looks_like(lines: list[bytes]) -> str:
    first = lines[0]
    if b"\x00" in first:
        return "it looks like a binary file; give a text log, plain or packed with gzip, bzip2, xz or zstd"
    if first.lstrip().startswith((b"{", b"[")):
        return "it is JSON without the fields of a request; Caddy and Traefik access logs are read"
    names = ", ".join(FORMAT_NAMES)
    return f"its first line is {first[:60]!r}; say --format NAME if you know better (one of {names})"
