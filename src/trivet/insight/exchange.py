"""An HTTP exchange and how requests find their responses.

Rule: on one connection responses come in the order of the requests (RFC 9112 section 9.3); times never pair.
Rule: when response bytes are missing from the capture, requests sent before the gap are given up as soon as a
later one is waiting too; what can't be known is marked `uncertain`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from trivet.insight.http1 import Message


@dataclass(slots=True)
class Exchange:
    """One request with its response; either may be missing. Times: ns since the epoch, 0 = unknown.

    `request_ns`..`request_end_ns`: first and last byte of the request; `first_byte_ns`..`end_ns` of the
    response; `number` counts from 0 within the connection; `h2_stream` is -1 for HTTP/1.
    """

    stream: int
    number: int
    scheme: str = "http"
    method: str | None = None
    host: str = ""
    target: str = ""
    version: str = ""
    status: int | None = None
    request_ns: int = 0
    request_end_ns: int = 0
    first_byte_ns: int = 0
    end_ns: int = 0
    request_frame: int = 0
    response_frame: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    content_type: str = ""
    interim: int = 0
    h2_stream: int = -1
    malformed: bool = False
    whole: bool = False
    uncertain: bool = False
    upgrade: str = ""
    request_head: bytes = b""
    response_head: bytes = b""

    @property
    def paired(self) -> bool:
        """Whether both the request and its response were seen."""
        return self.method is not None and self.status is not None

    @property
    def url(self) -> str:
        """The URL asked for, as far as it is known."""
        if "://" in self.target or self.method == "CONNECT":
            return self.target
        return f"{self.scheme}://{self.host}{self.target if self.target.startswith('/') else ''}"

    @property
    def began_ns(self) -> int:
        """The time of the first thing that is known of it."""
        return self.request_ns or self.first_byte_ns

    @property
    def wait_s(self) -> float | None:
        """Seconds from the request's last byte to the response's first."""
        known = self.request_end_ns and self.first_byte_ns
        return (self.first_byte_ns - self.request_end_ns) / 1e9 if known else None

    @property
    def transfer_s(self) -> float | None:
        """Seconds from the response's first byte to its last."""
        return (self.end_ns - self.first_byte_ns) / 1e9 if self.first_byte_ns and self.end_ns else None

    @property
    def total_s(self) -> float | None:
        """Seconds from the request's first byte to the response's last."""
        return (self.end_ns - self.request_ns) / 1e9 if self.request_ns and self.end_ns else None


def body_length(message: Message, method: str | None) -> int | str:
    """Say how long the body of `message` is (RFC 9112 section 6.3); `method` is that of its request."""
    headers = message.headers or {}
    if not message.is_request:
        if message.status == 101 or (method == "CONNECT" and 200 <= message.status < 300):
            return "tunnel"
        if method == "HEAD" or message.status in {204, 304} or message.status < 200:
            return 0
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return "chunked"
    length = headers.get("content-length", "").split(",")[0].strip()
    if length.isascii() and length.isdigit() and len(length) < 16:
        return int(length)
    return 0 if message.is_request else "close"


class Pairing:
    """Pairs the messages of one connection; each exchange is handed to `found` when it is complete."""

    def __init__(self, stream: int, found: Callable[[Exchange], None], keep_heads: bool = False) -> None:
        self.count = 0
        self._stream, self._found, self._keep_heads = stream, found, keep_heads
        self._waiting: deque[Exchange] = deque()
        self._requests: dict[int, Exchange] = {}
        self._current: Exchange | None = None
        self._interim: Message | None = None
        self._before_gap = 0

    def _new(self) -> Exchange:
        exchange = Exchange(self._stream, self.count)
        self.count += 1
        return exchange

    def open_request(self, message: Message) -> int | str:
        """Take the head of a request; return how long its body is."""
        exchange = self._new()
        exchange.method, exchange.target, exchange.version = message.method, message.target, message.version
        exchange.host = (message.headers or {}).get("host", "")
        exchange.malformed = message.malformed
        exchange.request_ns, exchange.request_frame = message.start_ns, message.frame
        exchange.request_end_ns = message.head_ns
        if self._keep_heads:
            exchange.request_head = message.head
        self._waiting.append(exchange)
        self._requests[id(message)] = exchange
        return "tunnel" if message.method == "CONNECT" else body_length(message, None)

    def close_request(self, message: Message) -> None:
        """Take the end of a request."""
        exchange = self._requests.pop(id(message))
        exchange.request_end_ns, exchange.request_bytes = message.end_ns, message.body_bytes

    def open_response(self, message: Message) -> int | str:
        """Take the head of a response; return how long its body is."""
        if 100 <= message.status < 200 and message.status != 101:
            if self._waiting:
                self._waiting[0].interim += 1
            return 0
        while self._before_gap and len(self._waiting) > 1:
            self._found(self._waiting.popleft())
            self._before_gap -= 1
        exchange = self._waiting.popleft() if self._waiting else self._new()
        exchange.uncertain = exchange.uncertain or self._before_gap > 0
        self._before_gap = 0
        headers = message.headers or {}
        exchange.status = message.status
        exchange.version = exchange.version or message.version
        exchange.content_type = headers.get("content-type", "").partition(";")[0].strip()
        exchange.first_byte_ns, exchange.response_frame = message.start_ns, message.frame
        if message.status == 101:
            exchange.upgrade = headers.get("upgrade", "unknown").lower()
        if self._keep_heads:
            exchange.response_head = message.head
        self._current = exchange
        return body_length(message, exchange.method)

    def close_response(self, message: Message) -> None:
        """Take the end of a response."""
        if 100 <= message.status < 200 and message.status != 101:
            return
        exchange, self._current = self._current, None
        assert exchange is not None
        exchange.end_ns, exchange.response_bytes = message.end_ns, message.body_bytes
        exchange.whole = message.whole
        self._found(exchange)

    def lost_response(self) -> None:
        """Learn that response bytes are missing: those waiting may have been answered in them."""
        self._before_gap = len(self._waiting)

    def finish(self) -> None:
        """Hand over the requests that were never answered."""
        while self._waiting:
            self._found(self._waiting.popleft())
