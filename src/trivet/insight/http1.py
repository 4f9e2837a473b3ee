"""HTTP/1 as it is on the wire: ordered bytes of one direction in, messages with their times out.

Rule: bodies are counted, not kept; a head has a limit; bytes missing inside a body of known length cost
nothing, anywhere else the parser looks for the next start of a message.
Rule: an odd or malformed request is still a request when the other side answers in HTTP.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_HEAD_BYTES = 1 << 18
REQUEST = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}) (\S+) HTTP/(1\.[01])\r?\n?$")
RESPONSE = re.compile(rb"HTTP/(1\.[01]) ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n?$")
_START = {
    True: re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40} \S+ HTTP/1\.[01]\r?\n"),
    False: re.compile(rb"HTTP/1\.[01] [1-5]\d\d"),
}
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;|$)")
_KNOWN_METHODS = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|CONNECT|PATCH)\b")
_END = re.compile(rb"\n\r?\n")
_HEADER = re.compile(rb"^([^:\s]+)[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)


@dataclass(slots=True)
class Message:
    """A request or a response; `end_ns` is 0 until its last byte came.

    `start_ns`: its first byte; `head_ns`: the end of its head; `frame`: the packet of its first byte.
    """

    is_request: bool
    start_ns: int
    frame: int
    head_ns: int = 0
    end_ns: int = 0
    end_frame: int = 0
    method: str = ""
    target: str = ""
    version: str = ""
    status: int = 0
    headers: Mapping[str, str] | None = None
    head: bytes = b""
    body_bytes: int = 0
    missing_bytes: int = 0
    malformed: bool = False
    whole: bool = False


def looks_like_start(data: bytes, is_request: bool) -> bool:
    """Say whether `data` begins with the first line of a message."""
    return _START[is_request].match(data) is not None


def parse_head(head: bytes, message: Message) -> bool:
    """Read start line and headers into `message`; False when it is none."""
    line, _, rest = head.partition(b"\n")
    line = line.rstrip(b"\r")
    if message.is_request:
        strict = REQUEST.match(line)
        if strict:
            message.method, message.target, message.version = (
                part.decode("latin-1") for part in strict.groups()
            )
        elif not _odd_request(line, rest, message):
            return False
    else:
        answer = RESPONSE.match(line)
        if not answer:
            return False
        message.version, message.status = answer[1].decode(), int(answer[2])
    message.headers = {
        name.decode("latin-1").lower(): value.strip().decode("latin-1")
        for name, value in _HEADER.findall(rest)
    }
    return True


def _odd_request(line: bytes, rest: bytes, message: Message) -> bool:
    if not (b"HTTP/" in line or _KNOWN_METHODS.match(line) or _HEADER.match(rest)):
        return False
    message.malformed = True
    before = line.partition(b"HTTP/")[0]
    method, _, target = before.strip().partition(b" ")
    if b"/" in method and not target:
        method, slash, target = method.partition(b"/")
        target = slash + target
    message.method = method.decode("utf-8", "backslashreplace")[:40]
    message.target = target.strip().decode("utf-8", "backslashreplace")
    return True


class MessageParser:
    """Cuts one direction into messages.

    `opened` is called when a head is complete and answers how long the body is: a number, or "chunked",
    "close" (until the connection ends), "tunnel" (no HTTP any more). `closed` is called when a message is
    over (`whole` says whether all of it was seen), `lost` when bytes are missing where a message might begin.
    """

    def __init__(
        self,
        is_request: bool,
        opened: Callable[[Message], int | str],
        closed: Callable[[Message], None],
        lost: Callable[[], None],
    ) -> None:
        self.is_request = is_request
        self.tunnel_bytes = 0
        self._opened, self._closed, self._lost = opened, closed, lost
        self._message: Message | None = None
        self._buffer = b""
        self._left = 0
        self._state = "start"
        self._steps = {
            "start": self._take_start,
            "head": self._take_head,
            "body": self._take_body,
            "chunk-size": self._take_chunk_size,
            "chunk": self._take_chunk,
            "trailer": self._take_trailer,
            "close": self._take_all,
            "tunnel": self._take_all,
            "lost": self._take_lost,
        }

    def feed(self, data: bytes, time_ns: int, frame: int) -> None:
        """Take the next bytes of this direction."""
        while data:
            data = self._steps[self._state](data, time_ns, frame)

    def gap(self, size_bytes: int, time_ns: int) -> None:
        """Go on `size_bytes` later."""
        message = self._message
        if message and self._state in {"body", "chunk"} and size_bytes <= self._left:
            message.missing_bytes += size_bytes
            self._count(size_bytes, time_ns, message.end_frame)
        elif message and self._state == "close":
            message.missing_bytes += size_bytes
        elif self._state != "tunnel":
            self._give_up()

    def finish(self) -> None:
        """Say that the direction has ended (FIN, reset or end of capture)."""
        if self._message and self._state == "close":
            self._end()
        self._drop()

    @property
    def in_tunnel(self) -> bool:
        """Whether it has stopped to look for messages."""
        return self._state == "tunnel"

    def become(self, state: str) -> None:
        """Go on as `tunnel` (the other side agreed to leave HTTP) or `start` (it refused to)."""
        if state == "start" and self._message:
            self._end()
        self._state = state

    def _drop(self) -> None:
        was, message = self._state, self._message
        self._message, self._buffer, self._state = None, b"", "lost"
        if message and message.head:
            message.whole = was == "tunnel"  # what follows is no body: the message itself was all there
            self._closed(message)

    def _give_up(self) -> None:
        self._drop()
        self._lost()

    def _end(self) -> None:
        message, self._message, self._state = self._message, None, "start"
        assert message is not None
        message.whole = message.missing_bytes == 0
        self._closed(message)

    def _take_start(self, data: bytes, time_ns: int, frame: int) -> bytes:
        data = data.lstrip(b"\r\n")
        if data and not self.is_request and data[:5] != b"HTTP/"[: len(data)]:
            self._give_up()  # an odd request may still be one; an odd response is no response
            return b""
        if data:
            self._message = Message(self.is_request, time_ns, frame)
            self._state = "head"
        return data

    def _take_lost(self, data: bytes, time_ns: int, frame: int) -> bytes:
        if not looks_like_start(data, self.is_request):
            return b""
        self._state = "start"
        return data

    def _take_head(self, data: bytes, time_ns: int, frame: int) -> bytes:
        message = self._message
        assert message is not None
        known = len(self._buffer)
        self._buffer += data
        end = _END.search(self._buffer, max(known - 3, 0))
        if end is None:
            if len(self._buffer) > MAX_HEAD_BYTES:
                self._give_up()
            return b""
        head, rest = self._buffer[: end.end()], self._buffer[end.end() :]
        self._buffer = b""
        if not parse_head(head, message):
            self._give_up()
            return b""
        message.head, message.head_ns = head, time_ns
        message.end_ns, message.end_frame = time_ns, frame
        length = self._opened(message)
        if isinstance(length, str):
            self._state = "chunk-size" if length == "chunked" else length
        elif length > 0:
            self._state, self._left = "body", length
        else:
            self._end()
        return rest

    def _count(self, size: int, time_ns: int, frame: int) -> None:
        message = self._message
        assert message is not None
        message.body_bytes += size
        message.end_ns, message.end_frame = time_ns, frame
        self._left -= size
        if self._left == 0 and self._state == "chunk":
            message.body_bytes -= 2  # the line end after each chunk
            self._state = "chunk-size"
        elif self._left == 0:
            self._end()

    def _take_body(self, data: bytes, time_ns: int, frame: int) -> bytes:
        size = min(self._left, len(data))
        self._count(size, time_ns, frame)
        return data[size:]

    _take_chunk = _take_body

    def _line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Return (a whole line, what follows it), or (None, b"") until the line is whole."""
        at = data.find(b"\n")
        if at < 0:
            self._buffer += data
            return None, b""
        line, self._buffer = self._buffer + data[:at], b""
        return line.rstrip(b"\r"), data[at + 1 :]

    def _take_chunk_size(self, data: bytes, time_ns: int, frame: int) -> bytes:
        line, rest = self._line(data)
        size = _CHUNK.match(line or b"")
        if (line is not None and size is None) or len(self._buffer) > MAX_HEAD_BYTES:
            self._give_up()
            return b""
        if size:
            length = int(size[1], 16)
            self._state, self._left = ("chunk", length + 2) if length else ("trailer", 0)
        return rest

    def _take_trailer(self, data: bytes, time_ns: int, frame: int) -> bytes:
        line, rest = self._line(data)
        message = self._message
        assert message is not None
        message.end_ns, message.end_frame = time_ns, frame
        if line == b"":
            self._end()
        elif len(self._buffer) > MAX_HEAD_BYTES:
            self._give_up()
        return rest

    def _take_all(self, data: bytes, time_ns: int, frame: int) -> bytes:
        message = self._message
        if self._state == "tunnel" or message is None:
            self.tunnel_bytes += len(data)
        else:
            message.body_bytes += len(data)
            message.end_ns, message.end_frame = time_ns, frame
        return b""
