"""Access logs that are JSON lines: Caddy and Traefik.

Rule: a JSON line without the fields of a request is malformed, whatever else it says.
Source: Caddy "Log fields" of its `log` directive; Traefik "Access Logs", JSON fields.
"""

import msgspec

from trivet.wire.access_log import MAX_SIZE_BYTES, AccessRecord
from trivet.wire.timestamps import rfc3339_s


class _CaddyRequest(msgspec.Struct):
    method: str
    uri: str
    remote_ip: str = ""
    client_ip: str = ""
    remote_addr: str = ""
    host: str = ""
    headers: dict[str, list[str]] = {}


class _CaddyLine(msgspec.Struct):
    ts: float
    request: _CaddyRequest
    status: int
    size: int
    duration: float = -1.0


class _TraefikLine(msgspec.Struct):
    client: str = msgspec.field(name="ClientHost")
    method: str = msgspec.field(name="RequestMethod")
    path: str = msgspec.field(name="RequestPath")
    status: int = msgspec.field(name="DownstreamStatus")
    size: int = msgspec.field(name="DownstreamContentSize", default=0)
    duration_ns: int = msgspec.field(name="Duration", default=-1_000_000_000)
    start: str = msgspec.field(name="StartUTC", default="")
    written: str = msgspec.field(name="time", default="")
    host: str = msgspec.field(name="RequestHost", default="")
    agent: str = msgspec.field(name="request_User-Agent", default="")
    referrer: str = msgspec.field(name="request_Referer", default="")


_YEAR_10000_S = 253402300800
_caddy = msgspec.json.Decoder(_CaddyLine)
_traefik = msgspec.json.Decoder(_TraefikLine)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _first(headers: dict[str, list[str]], name: str) -> bytes:
    values = headers.get(name)
    return _bytes(values[0]) if values else b""


def parse_caddy(line: bytes) -> AccessRecord | None:
    """Return the record of a Caddy JSON `line`, or None when it is no access record."""
    try:
        entry = _caddy.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    request = entry.request
    ip = request.client_ip or request.remote_ip or request.remote_addr.rpartition(":")[0].strip("[]")
    if entry.size < 0 or not 0 <= entry.status <= 999 or not (0 <= entry.ts < _YEAR_10000_S):
        return None
    return AccessRecord(
        _bytes(ip), entry.ts, 0, _bytes(request.method), _bytes(request.uri), not request.uri, entry.status,
        min(entry.size, MAX_SIZE_BYTES), min(entry.duration, 1e9), _first(request.headers, "Referer"),
        _first(request.headers, "User-Agent"), _bytes(request.host),
    )  # fmt: skip


def parse_traefik(line: bytes) -> AccessRecord | None:
    """Return the record of a Traefik JSON `line`, or None when it is no access record."""
    try:
        entry = _traefik.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    stamp = rfc3339_s(entry.start or entry.written)
    if stamp is None or entry.size < 0 or not 0 <= entry.status <= 999:
        return None
    ip = entry.client.split(",", 1)[0]
    return AccessRecord(
        _bytes(ip), stamp, 0, _bytes(entry.method), _bytes(entry.path), not entry.path, entry.status,
        min(entry.size, MAX_SIZE_BYTES), min(entry.duration_ns / 1e9, 1e9), _bytes(entry.referrer),
        _bytes(entry.agent), _bytes(entry.host),
    )  # fmt: skip
