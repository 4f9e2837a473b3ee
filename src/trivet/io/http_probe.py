"""One HTTP(S) probe: connect, TLS, first byte and total time of a GET on a fresh connection.

Rule: a probe always ends by its deadline and never raises for what the service does: that is its result.
Rule: redirects are answers; the body is read to its end and thrown away.
Why not a client library: none gives the time of the first byte apart from that of the whole head.
"""

import asyncio
import os
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from trivet import __version__
from trivet.errors import InputError
from trivet.insight.uptime import ProbeSample

#: more of a body than this is not waited for
MOST_BODY_BYTES = 64 << 20
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: a `url`, taken apart."""

    url: str
    host: str
    port: int
    tls: bool
    host_header: str
    request_target: str


def parse_target(url: str) -> Target:
    """Return the parts of `url`; raises InputError unless it is an http or https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError as error:
        raise InputError(f"'{url}' is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"'{url}' is no URL to probe: it begins with http:// or https:// and names a host")
    if any(c <= " " or c == "\x7f" for c in url):
        raise InputError(f"{url!r} holds a space or a control character")
    tls = parts.scheme == "https"
    shown = f"[{host}]" if ":" in host else host
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        url, host, port or (443 if tls else 80), tls, f"{shown}:{port}" if port else shown,
        target.encode("ascii", "ignore").decode() if target.isascii() else _quoted(target),
    )  # fmt: skip


def _quoted(target: str) -> str:
    return "".join(c if c.isascii() else "".join(f"%{byte:02X}" for byte in c.encode()) for c in target)


class _Clock:
    """The phases of one probe, in ms since its start or since the phase before."""

    def __init__(self) -> None:
        self._start = self._mark = time.perf_counter()
        self.phase = "connecting"
        self.connect_ms: float | None = None
        self.tls_ms: float | None = None
        self.first_byte_ms: float | None = None

    def lap_ms(self) -> float:
        now = time.perf_counter()
        lap, self._mark = (now - self._mark) * 1000, now
        return lap

    def total_ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000


async def probe(target: Target, *, timeout_s: float, tls: ssl.SSLContext, now: float) -> ProbeSample:
    """Ask `target` once and return the sample, stamped `now` (epoch seconds), within `timeout_s`."""
    clock = _Clock()
    status: int | None = None
    error: str | None = None
    try:
        async with asyncio.timeout(timeout_s):
            status = await _exchange(target, tls, clock)
    except TimeoutError:
        error = f"timeout while {clock.phase}"
    except ssl.SSLCertVerificationError as failure:
        error = f"certificate: {failure.verify_message}"
    except ssl.SSLError as failure:
        error = f"TLS: {failure.reason or failure}"
    except OSError as failure:
        error = f"{_reason(failure)} while {clock.phase}"
    except h11.RemoteProtocolError as failure:
        error = f"no valid HTTP while {clock.phase}: {failure}"
    return ProbeSample(
        now, clock.total_ms(), clock.connect_ms, clock.tls_ms, clock.first_byte_ms, status, error
    )


def _reason(failure: OSError) -> str:
    """Return the system's own words; asyncio wraps them in words and addresses of its own."""
    if failure.errno is not None and failure.errno > 0:
        return os.strerror(failure.errno)
    return failure.strerror or str(failure)


async def _exchange(target: Target, tls: ssl.SSLContext, clock: _Clock) -> int:
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        clock.connect_ms = clock.lap_ms()
        if target.tls:
            clock.phase = "shaking hands (TLS)"
            await writer.start_tls(tls, server_hostname=target.host)
            clock.tls_ms = clock.lap_ms()
        return await _ask(target, reader, writer, clock)
    finally:
        writer.transport.abort()


async def _ask(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: _Clock
) -> int:
    connection = h11.Connection(h11.CLIENT)
    headers = [
        ("Host", target.host_header), ("User-Agent", f"trivet/{__version__} uptime"),
        ("Accept", "*/*"), ("Connection", "close"),
    ]  # fmt: skip
    request = h11.Request(method="GET", target=target.request_target, headers=headers)
    clock.phase = "waiting for the first byte"
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    status, body_bytes = 0, 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(_READ_BYTES)
            if clock.first_byte_ms is None and data:
                clock.first_byte_ms = clock.lap_ms()
                clock.phase = "reading the answer"
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body_bytes += len(event.data)
            if body_bytes > MOST_BODY_BYTES:
                return status
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return status
