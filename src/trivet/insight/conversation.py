"""The contents of one connection: what it speaks, its HTTP/1 exchanges, its TLS hello.

Rule: the protocol is told from the first bytes, never from the port.
Rule: nothing is kept but the unfinished message and a hello; `finish` hands over what is still open.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from trivet.insight.exchange import Exchange, Pairing
from trivet.insight.http1 import Message, MessageParser, looks_like_start
from trivet.insight.reassembly import Reassembler
from trivet.insight.tls_records import RecordClock
from trivet.wire.tls_hello import MAX_HELLO_BYTES, Hello, handshake_message, looks_like_tls, parse_hello

#: Bytes and pieces that are held while it is not yet clear what a connection speaks.
MAX_SNIFF_BYTES = 1 << 16
MAX_SNIFF_PIECES = 64
_H2_PREFACE = b"PRI * HTTP/2.0\r\n"


@dataclass(slots=True)
class _Side:
    """One direction: it sorts, then hands on to whatever the connection turned out to speak."""

    conversation: "Conversation"
    number: int
    held: list[tuple[bytes, int, int]] = field(default_factory=list)
    held_bytes: int = 0
    parser: MessageParser | None = None
    clock: RecordClock | None = None
    hello_bytes: bytes | None = b""
    ended: bool = False

    def feed(self, data: bytes, time_ns: int, frame: int) -> None:
        if self.parser:
            self.parser.feed(data, time_ns, frame)
        elif self.conversation.kind == "tls":
            self.conversation.take_tls(self, data, time_ns, frame)
        elif self.conversation.kind == "":
            self.held.append((data, time_ns, frame))
            self.held_bytes += len(data)
            self.conversation.sniff(self)

    def gap(self, size_bytes: int, time_ns: int) -> None:
        if self.parser:
            self.parser.gap(size_bytes, time_ns)
        elif self.clock:
            self.clock.gap(size_bytes)


class Conversation:
    """Reads one connection; `found` is called with each exchange.

    `kind` becomes http1, tls, http2 or other. With `clock_records` the times of TLS records are kept for
    those who can decrypt them.
    """

    def __init__(
        self,
        stream: int,
        found: Callable[[Exchange], None],
        *,
        keep_heads: bool = False,
        clock_records: bool = False,
    ) -> None:
        self.kind = ""
        self.client_hello: Hello | None = None
        self.server_hello: Hello | None = None
        self.upgraded = ""
        self.client_side = -1
        self._pairing = Pairing(stream, found, keep_heads)
        self._clock_records = clock_records
        self._sides = (_Side(self, 0), _Side(self, 1))
        self._order = (Reassembler(self._sides[0]), Reassembler(self._sides[1]))

    @property
    def requests(self) -> int:
        """Exchanges begun so far."""
        return self._pairing.count

    def clocks(self) -> tuple[RecordClock | None, RecordClock | None]:
        """Return the times of the TLS records of each side, where they were kept."""
        return self._sides[0].clock, self._sides[1].clock

    def begin(self, side: int, sequence: int) -> None:
        """Say that `side` sends its first byte at `sequence`."""
        self._order[side].begin(sequence)

    def push(self, side: int, sequence: int, data: bytes, length: int, time_ns: int, frame: int) -> None:
        """Take a segment of `side`; see Reassembler.push."""
        self._order[side].push(sequence, data, length, time_ns, frame)

    def acknowledge(self, side: int, number: int) -> None:
        """Learn that `side` has everything of the other before the raw `number`."""
        self._order[1 - side].acknowledged(number)

    def close(self, side: int, reset: bool) -> bool:
        """Learn of a FIN or reset of `side`; say whether the connection is over."""
        self._sides[side].ended = True
        over = reset or all(one.ended for one in self._sides)
        return over and not any(order.waiting for order in self._order)

    def finish(self) -> None:
        """Hand over everything that is still open."""
        for order in self._order:
            order.give_up()
        for side in self._sides:
            if side.parser:
                side.parser.finish()
        self._pairing.finish()

    def settled(self) -> bool:
        """Say whether nothing more can be learnt from its bytes."""
        if self.kind == "tls" and not self._clock_records:
            return all(side.hello_bytes is None for side in self._sides)
        return self.kind in {"http2", "other"}

    def sniff(self, side: _Side) -> None:
        """Find out what is spoken from the bytes that `side` holds."""
        start = b"".join(piece for piece, _, _ in side.held)
        if looks_like_tls(start):
            self.kind = "tls"
        elif start.startswith(_H2_PREFACE):
            self.kind = "http2"
            self.client_side = side.number
        elif looks_like_start(start, is_request=True) or looks_like_start(start, is_request=False):
            self.kind = "http1"
            self._speak_http1(side.number if looks_like_start(start, is_request=True) else 1 - side.number)
        elif looks_like_start(side.held[-1][0], is_request=True):  # the capture began in mid-message
            self.kind = "http1"
            del side.held[:-1]
            self._speak_http1(side.number)
        elif (
            sum(one.held_bytes for one in self._sides) > MAX_SNIFF_BYTES or len(side.held) > MAX_SNIFF_PIECES
        ):
            self.kind = "other"
        if self.kind:
            for one in self._sides:
                held, one.held = one.held, []
                for piece in held:
                    one.feed(*piece)

    def _speak_http1(self, request_side: int) -> None:
        pairing = self._pairing
        self.client_side = request_side
        self._sides[request_side].parser = MessageParser(
            True, pairing.open_request, pairing.close_request, lambda: None
        )
        self._sides[1 - request_side].parser = MessageParser(
            False, self._open_response, pairing.close_response, pairing.lost_response
        )

    def _open_response(self, message: Message) -> int | str:
        length = self._pairing.open_response(message)
        requests = next(side.parser for side in self._sides if side.parser and side.parser.is_request)
        if length == "tunnel":
            self.upgraded = (message.headers or {}).get("upgrade", "tunnel").lower()
            requests.become("tunnel")
        elif requests.in_tunnel and message.status >= 200:
            requests.become("start")
        return length

    def take_tls(self, side: _Side, data: bytes, time_ns: int, frame: int) -> None:
        """Read hellos from the TLS bytes of `side`, and note when its records came."""
        if self._clock_records:
            side.clock = side.clock or RecordClock()
            side.clock.feed(data, time_ns, frame)
        if side.hello_bytes is None:
            return
        side.hello_bytes += data
        message = handshake_message(side.hello_bytes)
        if message is not None:
            hello = parse_hello(message)
            if hello and hello.is_client:
                self.client_hello = hello
                self.client_side = side.number
            elif hello:
                self.server_hello = hello
        if message is not None or len(side.hello_bytes) > MAX_HELLO_BYTES or side.hello_bytes[0] != 0x16:
            side.hello_bytes = None
