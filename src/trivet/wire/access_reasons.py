"""Why a line is no record: the reason that the bad-lines file gives.

Rule: only lines that the parser refused come here; the first part that does not fit is the reason.
"""

import re

from trivet.wire.access_log import unwrap

_STEPS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\S+ \S+ "), "no host and ident at the start"),
    (re.compile(rb"[^\[]+ \["), "no user before the time in brackets"),
    (
        re.compile(rb"(?:0[1-9]|[12]\d|3[01])/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}"),
        "no date like 03/Jun/2024",
    ),
    (re.compile(rb":\d\d:\d\d:\d\d [+-]\d{4}\] "), "no time and zone like :00:00:00 +0000]"),
    (re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL), "the request's closing quote is missing"),
    (re.compile(rb" \d{3} "), "no status of three digits after the request"),
    (re.compile(rb"(?:\d+|-)(?=[ \r]|\Z)"), "bytes are neither a number nor -"),
)
_QUOTED = re.compile(rb' "(?:[^"\\]|\\.)*"', re.DOTALL)


def why_malformed(line: bytes, format_name: str) -> str:
    """Return the reason why `line` is no record of the format `format_name`."""
    if not line.strip(b" \r"):
        return "empty line"
    if format_name in ("caddy", "traefik"):
        return "no JSON object" if not line.startswith(b"{") else f"JSON, but no {format_name} access record"
    if format_name not in ("common", "combined", "vhost", "combined+duration"):
        return f"no {format_name} record"
    line = unwrap(line)
    position = 0
    if format_name == "vhost":
        position = line.find(b" ") + 1
    for pattern, reason in _STEPS:
        match = pattern.match(line, position)
        if match is None:
            return reason
        position = match.end()
    fields = 0
    while match := _QUOTED.match(line, position):
        position = match.end()
        fields += 1
    if line[position:].startswith(b' "'):
        return "a closing quote is missing after the bytes"
    if fields == 1:
        return "a referrer without an agent"
    return "text after the last field"
