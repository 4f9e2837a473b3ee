"""The door's access log: one line a request, Combined with its duration in seconds and its id behind.

Rule: a line is written when the last byte has been sent, or the client has gone; then it is in the file.
Rule: what comes from outside is escaped, so that a line stays a line.
"""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from trivet.drive.rights import Principal
from trivet.gateway.teardown import App, Message, Receive, Scope, Send
from trivet.wire.access_log import MONTHS

ROTATE_BYTES = 256 << 20
_LOOK_EVERY = 1000

Answered = Callable[[Scope, int, int, float], None]


class AccessLog:
    """Appends lines to `path`; several processes may. The file before the last turn is `path`.1."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._number = self._open()
        self._lines = 0

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, line: bytes) -> None:
        """Append one line."""
        self._lines += 1
        if self._lines % _LOOK_EVERY == 0:
            self._turn()
        os.write(self._number, line)

    def _turn(self) -> None:
        """Begin a new file when this one is long enough, or another process has begun one."""
        ours = os.fstat(self._number)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            named = None
        if named is not None and named.st_ino == ours.st_ino:
            if ours.st_size < ROTATE_BYTES:
                return
            self._path.rename(self._path.with_name(self._path.name + ".1"))
        os.close(self._number)
        self._number = self._open()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._number)


def log_line(scope: Scope, began_s: float, status: int, size_bytes: int, duration_s: float) -> bytes:
    """Return the line of one request that began at the Unix time `began_s`."""
    headers = dict(scope["headers"])
    principal: Principal | None = scope.get("trivet.principal")
    user = _escaped(principal.user.encode()).replace(b" ", b"_") if principal else b"-"
    at = time.gmtime(began_s)
    month = MONTHS[at.tm_mon - 1].decode()
    stamp = f"{at.tm_mday:02d}/{month}/{at.tm_year}:{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} +0000"
    target = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    client = (scope.get("client") or ("-",))[0].encode()
    method = scope.get("method", "GET").encode()
    request = method + b" " + _escaped(target) + b" HTTP/" + scope["http_version"].encode()
    referrer = _escaped(headers.get(b"referer", b"-"))
    agent = _escaped(headers.get(b"user-agent", b"-"))
    tail = f"{duration_s:.6f} {scope['trivet.request_id']}".encode()
    numbers = f"{status} {size_bytes}".encode()
    return b'%s - %s [%s] "%s" %s "%s" "%s" %s\n' % (
        client, user, stamp.encode(), request, numbers, referrer, agent, tail,
    )  # fmt: skip


def _escaped(text: bytes) -> bytes:
    if text.isascii() and text.isalnum():
        return text
    return b"".join(
        b"\\" + bytes([byte]) if byte in b'"\\' else bytes([byte]) if 32 <= byte < 127 else b"\\x%02x" % byte
        for byte in text[:4096]
    )


class AccessLogMiddleware:
    """Gives each request of `app` an id, which begins with our pid, and writes it down in `log`.

    `answered` is told of each, too: its scope, status, bytes sent and seconds.
    """

    def __init__(self, app: App, log: AccessLog, answered: Answered | None = None) -> None:
        self.app = app
        self._log = log
        self._answered = answered
        self._pid = os.getpid()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        began_s, began = time.time(), time.perf_counter()
        request_id = f"{self._pid}-{secrets.token_hex(8)}"
        scope["trivet.request_id"] = request_id
        status, sent = 499, 0

        async def sending(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except BaseException:
            status = status if sent else 500
            raise
        finally:
            duration_s = time.perf_counter() - began
            self._log.write(log_line(scope, began_s, status, sent, duration_s))
            if self._answered is not None:
                self._answered(scope, status, sent, duration_s)
