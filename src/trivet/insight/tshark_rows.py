"""tshark's view of decrypted packets turned into exchanges: rows of fields in, exchanges out.

Rule: tshark only says what was in a packet; pairing and times are ours. Its `http.time` runs to the last
byte, and with pipelining it pairs wrongly.
Rule: several messages or HTTP/2 frames in one packet are the normal case; each field is a list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trivet.insight.exchange import Exchange, Pairing
from trivet.insight.http1 import Message
from trivet.insight.tls_records import RecordClock

#: Between the values of one field; no header value holds it.
SEPARATOR = "\x1f"
FIELDS = (
    "frame.number", "frame.time_epoch", "tcp.stream", "tcp.srcport", "tls.segment",
    "http.request.method", "http.request.uri", "http.request.version", "http.host", "http.response.code",
    "http.response.version", "http.content_type", "http.content_length", "http.chunk_size", "http.upgrade",
    "http2.type", "http2.streamid", "http2.flags", "http2.length", "http2.header.name", "http2.header.value",
)  # fmt: skip
_DATA, _HEADERS, _RESET, _PUSH, _CONTINUATION = 0, 1, 3, 5, 9
_END_STREAM, _END_HEADERS = 1, 4

Row = Mapping[str, Sequence[str]]
#: stream -> the record clocks of its client and of its server
Clocks = Callable[[int], tuple[RecordClock | None, RecordClock | None]]


def split_row(line: str) -> dict[str, list[str]]:
    """Return field -> values of one line of tshark's output."""
    cells = line.split("\t")
    return {name: cell.split(SEPARATOR) if cell else [] for name, cell in zip(FIELDS, cells, strict=False)}


def time_ns(text: str) -> int:
    """Return nanoseconds since the epoch of tshark's decimal seconds, without rounding."""
    whole, _, part = text.partition(".")
    return int(whole) * 1_000_000_000 + int(part[:9].ljust(9, "0") or 0)


@dataclass(slots=True)
class _Stream:
    client_port: str
    pairing: Pairing
    clocks: tuple[RecordClock | None, RecordClock | None]
    last_frame: list[int] = field(default_factory=lambda: [0, 0])
    h2: dict[int, Exchange] = field(default_factory=dict)
    opened_ns: dict[tuple[int, int], int] = field(default_factory=dict)
    count: int = 0


class RowReader:
    """Takes rows in the order of the capture; `found` gets each exchange.

    `clocks` gives the (client's, server's) record clock of a stream.
    """

    def __init__(self, found: Callable[[Exchange], None], clocks: Clocks) -> None:
        self.streams: dict[int, _Stream] = {}
        self._found, self._clocks = found, clocks

    def take(self, row: Row) -> None:
        """Take one packet's fields."""
        number = int(row["tcp.stream"][0])
        stream = self.streams.get(number)
        asks = bool(row["http.request.method"]) or ":method" in row["http2.header.name"]
        if stream is None:
            if not asks:
                return
            stream = _Stream(row["tcp.srcport"][0], Pairing(number, self._deliver), self._clocks(number))
            self.streams[number] = stream
        side = 0 if row["tcp.srcport"][0] == stream.client_port else 1
        frame, now_ns = int(row["frame.number"][0]), time_ns(row["frame.time_epoch"][0])
        if row["http.request.method"] or row["http.response.code"]:
            self._http1(stream, side, row, frame, now_ns)
        if row["http2.type"]:
            self._http2(number, stream, side, row, frame, now_ns)
        stream.last_frame[side] = frame

    def finish(self) -> None:
        """Hand over what was never answered."""
        for stream in self.streams.values():
            stream.pairing.finish()
            for exchange in list(stream.h2.values()):
                self._deliver(exchange)

    def _deliver(self, exchange: Exchange) -> None:
        exchange.scheme = "https" if any(self._clocks(exchange.stream)) else "http"
        self._found(exchange)

    def _began_ns(self, stream: _Stream, side: int, frame: int, now_ns: int) -> int:
        clock = stream.clocks[side]
        began = clock.began_ns(frame, stream.last_frame[side]) if clock else None
        return now_ns if began is None else began

    def _http1(self, stream: _Stream, side: int, row: Row, frame: int, now_ns: int) -> None:
        segments = [int(number) for number in row["tls.segment"]]
        first_frame = segments[0] if segments else frame
        start_ns = self._began_ns(stream, side, first_frame, now_ns)
        requests = len(row["http.request.method"])
        count = requests or len(row["http.response.code"])

        def one(name: str, index: int) -> str:
            values = row[name]
            if len(values) == count:
                return values[index]
            return values[0] if values and count == 1 else ""

        for index in range(count):
            message = Message(bool(requests), start_ns if index == 0 else now_ns, first_frame)
            message.head_ns = message.end_ns = now_ns
            message.end_frame, message.whole = frame, True
            message.headers = {
                "host": one("http.host", index) or (row["http.host"] or [""])[0],
                "content-type": one("http.content_type", index),
                "upgrade": one("http.upgrade", index),
            }
            chunks = sum(int(size) for size in row["http.chunk_size"]) if count == 1 else 0
            message.body_bytes = int(one("http.content_length", index) or chunks)
            if requests:
                message.method, message.target = (
                    row["http.request.method"][index],
                    one("http.request.uri", index),
                )
                message.version = one("http.request.version", index).removeprefix("HTTP/")
                stream.pairing.open_request(message)
                stream.pairing.close_request(message)
            else:
                message.status = int(row["http.response.code"][index])
                stream.pairing.open_response(message)
                stream.pairing.close_response(message)

    def _http2(self, number: int, stream: _Stream, side: int, row: Row, frame: int, now_ns: int) -> None:
        blocks = header_blocks(row["http2.header.name"], row["http2.header.value"])
        start_ns = self._began_ns(stream, side, frame, now_ns)
        frames = zip(
            row["http2.type"], row["http2.streamid"], row["http2.flags"], row["http2.length"], strict=False
        )
        for kind_text, id_text, flags_text, length in frames:
            kind, h2_id, flags = int(kind_text), int(id_text), int(flags_text, 16)
            if kind == _PUSH and blocks:
                blocks.pop(0)
            if kind == _HEADERS:
                stream.opened_ns.setdefault((h2_id, side), start_ns)
            if kind in {_HEADERS, _CONTINUATION} and flags & _END_HEADERS and blocks:
                self._headers(number, stream, (h2_id, side), blocks, frame, now_ns)
            exchange = stream.h2.get(h2_id)
            if exchange is None:
                continue
            if kind == _DATA and side:
                exchange.response_bytes += int(length)
            elif kind == _DATA:
                exchange.request_bytes += int(length)
            ended = kind in {_DATA, _HEADERS} and flags & _END_STREAM
            if kind in {_DATA, _HEADERS, _CONTINUATION}:
                if side and exchange.status is not None:
                    exchange.end_ns = now_ns
                elif not side:
                    exchange.request_end_ns = now_ns
            if (ended and side) or kind == _RESET:
                exchange.whole = bool(ended)
                self._deliver(stream.h2.pop(h2_id))

    def _headers(
        self,
        number: int,
        stream: _Stream,
        key: tuple[int, int],
        blocks: list[dict[str, str]],
        frame: int,
        now_ns: int,
    ) -> None:
        h2_id, side = key
        exchange = stream.h2.get(h2_id)
        if side == 0 and exchange is None and ":method" in blocks[0]:
            head = blocks.pop(0)
            exchange = stream.h2[h2_id] = Exchange(number, stream.count, h2_stream=h2_id, version="2")
            stream.count += 1
            exchange.method, exchange.target = head[":method"], head.get(":path", "")
            exchange.host = head.get(":authority") or head.get("host", "")
            exchange.request_ns, exchange.request_end_ns = stream.opened_ns.pop(key), now_ns
            exchange.request_frame = frame
            exchange.upgrade = head.get(":protocol", "")
        elif side == 1 and exchange and exchange.status is None and ":status" in blocks[0]:
            head = blocks.pop(0)
            status = int(head[":status"])
            began_ns = stream.opened_ns.pop(key)
            if status < 200:
                exchange.interim += 1
                return
            exchange.status, exchange.first_byte_ns, exchange.response_frame = status, began_ns, frame
            exchange.content_type = head.get("content-type", "").partition(";")[0].strip()


def header_blocks(names: Sequence[str], values: Sequence[str]) -> list[dict[str, str]]:
    """Split the headers of all HTTP/2 frames of a packet into one mapping a frame.

    A block begins with its pseudo-headers (RFC 9113 section 8.3); trailers, which have none, join the block
    before them.
    """
    blocks: list[dict[str, str]] = []
    regular = True
    for name, value in zip(names, values, strict=False):
        pseudo = name.startswith(":")
        if not blocks or (pseudo and (regular or name in blocks[-1])):
            blocks.append({})
        regular = not pseudo
        blocks[-1].setdefault(name, value)
    return [block for block in blocks if ":method" in block or ":status" in block]
