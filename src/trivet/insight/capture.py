"""A capture as a whole: blocks of packets in; connections, what each spoke, and its exchanges out.

Rule: memory is bounded by connections and kept exchanges, not by packets: open conversations and exchanges
have limits, and what was not kept is counted.
"""

from dataclasses import dataclass

import numpy as np

from trivet.insight.connections import ConnectionTable, Placed
from trivet.insight.conversation import Conversation
from trivet.insight.exchange import Exchange
from trivet.insight.tls_records import RecordClock
from trivet.wire.capture_file import PacketBlock
from trivet.wire.packet_headers import FIN, RST, SYN, AddressBook, PacketCounts, Segments, decode
from trivet.wire.tls_hello import Hello

#: Conversations read at the same time; beyond it the quietest is closed.
MAX_OPEN = 20_000
#: Exchanges kept with all details; further ones are only counted.
MAX_EXCHANGES = 250_000
_READ_ON, _SETTLED = 0, 1


@dataclass(slots=True)
class Spoken:
    """What a connection spoke: `kind` http1, tls, http2 or other; its hellos when it was TLS.

    `client_side` is the side that asked, as far as the contents tell (-1 = they do not).
    """

    kind: str
    client_hello: Hello | None = None
    server_hello: Hello | None = None
    upgraded: str = ""
    client_side: int = -1
    clocks: tuple[RecordClock | None, RecordClock | None] = (None, None)


class Capture:
    """Everything that is known of a capture; `add` its blocks, then `finish`.

    `keep_heads` keeps the HTTP heads for an export; `clock_records` the times of TLS records for an engine
    that decrypts them.
    """

    def __init__(self, *, keep_heads: bool = False, clock_records: bool = False) -> None:
        self.packets = 0
        self.book = AddressBook()
        self.counts = PacketCounts()
        self.table = ConnectionTable()
        self.spoken: dict[int, Spoken] = {}
        self.exchanges: list[Exchange] = []
        self.tallies = {"requests": 0, "responses": 0, "pairs": 0, "incomplete": 0, "not_kept": 0}
        self.closed_early = 0
        self.first_ns = 0
        self.last_ns = 0
        self.clock_records = clock_records
        self._keep_heads = keep_heads
        self._open: dict[int, Conversation] = {}
        self._state = np.zeros(0, np.int8)

    def add(self, block: PacketBlock) -> None:
        """Count a block of packets in and read its contents."""
        self.packets += len(block.offset)
        low, high = int(block.time_ns.min()), int(block.time_ns.max())
        self.first_ns = min(self.first_ns, low) if self.first_ns else low
        self.last_ns = max(self.last_ns, high)
        segments = decode(block, self.book, self.counts)
        if len(segments):
            self._read(segments, self.table.add(segments))

    def close(self) -> None:
        """Say that no packet follows: what is still open is handed over."""
        for stream in list(self._open):
            self._close(stream)

    def finish(self) -> None:
        """Close, and put the exchanges in the order in which they began."""
        self.close()
        self.exchanges.sort(key=lambda one: (one.began_ns, one.stream, one.number))

    def found(self, exchange: Exchange) -> None:
        """Count an exchange in (also one that another engine read).

        A response counts once it was seen to its last byte, as tshark counts; others are `incomplete`.
        """
        asked, answered = exchange.method is not None, exchange.status is not None
        self.tallies["requests"] += asked
        self.tallies["responses"] += answered and exchange.whole
        self.tallies["pairs"] += asked and answered and exchange.whole
        self.tallies["incomplete"] += answered and not exchange.whole
        if len(self.exchanges) < MAX_EXCHANGES:
            self.exchanges.append(exchange)
        else:
            self.tallies["not_kept"] += 1

    def _read(self, segments: Segments, placed: Placed) -> None:
        if self.table.count > len(self._state):
            grown = np.zeros(max(self.table.count, 2 * len(self._state)), np.int8)
            grown[: len(self._state)] = self._state
            self._state = grown
        flags = segments.flags[placed.order]
        gapped = np.fromiter(self.table.gaps.streams(), np.int64)
        telling = (segments.length[placed.order] > 0) | ((flags & (FIN | RST)) > 0)
        telling |= np.isin(placed.stream, gapped)
        rows = np.flatnonzero(telling & (self._state[placed.stream] == _READ_ON))
        at = placed.order[rows]
        columns = (
            placed.stream[rows],
            placed.side[rows],
            placed.sequence[rows],
            flags[rows],
            segments.length[at],
            segments.captured[at],
            segments.offset[at],
            segments.time_ns[at],
            segments.frame[at],
            segments.acknowledged[at],
        )
        data = segments.data.data
        for row in zip(*(column.tolist() for column in columns), strict=True):
            self._segment(data, *row)
        for stream in list(self._open)[: max(len(self._open) - MAX_OPEN, 0)]:
            self.closed_early += 1
            self._close(stream)

    def _segment(
        self,
        data: memoryview,
        stream: int,
        side: int,
        sequence: int,
        flags: int,
        length: int,
        captured: int,
        offset: int,
        time_ns: int,
        frame: int,
        acknowledged: int,
    ) -> None:
        if self._state[stream]:
            return
        talk = self._open.get(stream)
        if talk is None:
            if not length:
                return
            talk = self._open[stream] = Conversation(
                stream, self.found, keep_heads=self._keep_heads, clock_records=self.clock_records
            )
            for sender, begin in enumerate(self.table.sides("begin")[stream].tolist()):
                if begin >= 0:
                    talk.begin(sender, begin)
        if flags & SYN:
            sequence += 1
        talk.acknowledge(side, acknowledged)
        if length:
            talk.push(side, sequence, bytes(data[offset : offset + captured]), length, time_ns, frame)
            if talk.settled():
                self._close(stream)
                return
        if flags & (FIN | RST) and talk.close(side, bool(flags & RST)):
            self._close(stream)

    def _close(self, stream: int) -> None:
        talk = self._open.pop(stream)
        talk.finish()
        self._state[stream] = _SETTLED
        if talk.kind:
            self.spoken[stream] = Spoken(
                talk.kind,
                talk.client_hello,
                talk.server_hello,
                talk.upgraded,
                talk.client_side,
                talk.clocks(),
            )
