"""One direction of a TCP connection put in order: segments in, bytes and gaps out.

Rule: what waits for a missing segment is bounded; then, or when the peer has acknowledged the missing bytes
(they arrived, only the capture lacks them), a gap is told and reading goes on.
"""

from typing import Protocol

#: Bytes and segments that may wait for a missing one.
MAX_PENDING_BYTES = 4 << 20
MAX_PENDING_SEGMENTS = 4096


class ByteReader(Protocol):
    """What takes the ordered bytes of one direction."""

    def feed(self, data: bytes, time_ns: int, frame: int) -> None:
        """Take the next bytes, which came at `time_ns` in packet `frame`."""

    def gap(self, size_bytes: int, time_ns: int) -> None:
        """Go on `size_bytes` later: these bytes are not in the capture."""


class Reassembler:
    """Orders the segments of one direction by their 64-bit sequence numbers."""

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader
        self._next: int | None = None
        self._pending: dict[int, tuple[bytes, int, int, int]] = {}
        self._pending_bytes = 0

    @property
    def waiting(self) -> bool:
        """Whether segments wait for a missing one."""
        return bool(self._pending)

    def begin(self, sequence: int) -> None:
        """Say where the data begins: one after the SYN."""
        if self._next is None:
            self._next = sequence

    def push(self, sequence: int, data: bytes, length: int, time_ns: int, frame: int) -> None:
        """Take one segment of `length` bytes on the wire, of which `data` was captured."""
        wanted = self._next
        if wanted is None or sequence == wanted:
            self._deliver(sequence, data, length, time_ns, frame)
        elif sequence < wanted:
            self._tail(sequence, data, length, time_ns, frame)
        else:
            held = self._pending.get(sequence)
            if held is not None and held[1] >= length:
                return
            self._pending[sequence] = (data, length, time_ns, frame)
            self._pending_bytes += len(data)
            if self._pending_bytes > MAX_PENDING_BYTES or len(self._pending) > MAX_PENDING_SEGMENTS:
                self.give_up()
            return
        if self._pending:
            self._drain()

    def acknowledged(self, number: int) -> None:
        """Learn that the peer has everything before the raw 32-bit `number`."""
        if self._pending and self._next is not None:
            ahead = ((number - self._next + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
            if self._next + ahead >= min(self._pending):
                self._skip()

    def give_up(self) -> None:
        """Deliver all that waits, with the gaps before it."""
        while self._pending:
            self._skip()

    def _skip(self) -> None:
        """Tell the gap before the first waiting segment, then deliver what follows in order."""
        first = min(self._pending)
        assert self._next is not None
        self._reader.gap(first - self._next, self._pending[first][2])
        self._next = first
        self._drain()

    def _drain(self) -> None:
        while self._pending and (first := min(self._pending)) <= (self._next or 0):
            data, length, time_ns, frame = self._pending.pop(first)
            self._pending_bytes -= len(data)
            if first == self._next:
                self._deliver(first, data, length, time_ns, frame)
            else:
                self._tail(first, data, length, time_ns, frame)

    def _tail(self, sequence: int, data: bytes, length: int, time_ns: int, frame: int) -> None:
        """Deliver only what of an older segment is new."""
        assert self._next is not None
        known = self._next - sequence
        if length > known:
            self._deliver(self._next, data[known:], length - known, time_ns, frame)

    def _deliver(self, sequence: int, data: bytes, length: int, time_ns: int, frame: int) -> None:
        self._next = sequence + length
        if data:
            self._reader.feed(data, time_ns, frame)
        if len(data) < length:
            self._reader.gap(length - len(data), time_ns)
