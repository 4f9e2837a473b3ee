"""pcap and pcapng as they are written: bytes in, where each packet lies out.

Rule: no I/O; `CaptureScanner.feed` takes the file in pieces of any size and never holds more than one piece
and one unfinished packet.
Rule: damage ends the reading, it never ends the report: `notes` say where and what was lost.
Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.errors import InputError

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

#: No packet is longer; a length above says that the file is damaged (tshark's own limit is 262,144).
MAX_PACKET_BYTES = 1 << 24
#: Zero bytes after the data, so that headers can be gathered without looking at the end first.
PADDING_BYTES = 512
_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_SECTION, _INTERFACE, _OLD, _SIMPLE, _ENHANCED, _SECRETS = 0x0A0D0D0A, 1, 2, 3, 6, 10
_PACKETS = (_ENHANCED, _OLD, _SIMPLE)
#: The last second that fits (the year 2255).
_LAST_S = 9_000_000_000


@dataclass(frozen=True, slots=True)
class PacketBlock:
    """Packets of one piece of a capture; `offset` points into `data` (padded with zeros).

    `time_ns` is since the epoch; `captured`/`wire` are lengths in bytes; `link` the link type of each packet;
    `first_frame` the number of the first (frames count from 1).
    """

    data: Bytes
    offset: Ints
    captured: Ints
    wire: Ints
    time_ns: Ints
    link: Ints
    first_frame: int


@dataclass(slots=True)
class _Interface:
    link: int
    ticks_per_s: int = 1_000_000
    offset_s: int = 0
    snap: int = 0

    def nanoseconds(self, ticks: Ints) -> Ints:
        """Return times since the epoch; times beyond what 64 bits hold are put at the last one."""
        whole_s, part = ticks // self.ticks_per_s, ticks % self.ticks_per_s
        if self.ticks_per_s <= 1 << 32:
            part = part * 1_000_000_000 // self.ticks_per_s
        else:
            part = part // (self.ticks_per_s // 1_000_000_000)
        result: Ints = np.clip(whole_s + self.offset_s, -_LAST_S, _LAST_S) * 1_000_000_000 + part
        return result


class CaptureScanner:
    """Finds the packets of one capture file that is fed in pieces."""

    def __init__(self) -> None:
        self.packets = 0
        self.notes: list[str] = []
        self.format = ""
        self.has_secrets = False
        self._rest = b""
        self._position = 0
        self._order = "<"
        self._scale_ns = 1000
        self._link = 0
        self._interfaces: list[_Interface] = []
        self._ended = False

    @property
    def size_bytes(self) -> int:
        """Bytes taken so far (decompressed)."""
        return self._position + len(self._rest)

    def feed(self, piece: bytes) -> Iterator[PacketBlock]:
        """Take the next `piece`; yield the packets it completed (several blocks where sections meet).

        Raises InputError when the file is no capture.
        """
        data = self._rest + piece if self._rest else piece
        start = 0
        if not self.format:
            start = self._open(data)
        while start >= 0 and not self._ended:
            block, used = self._pcap(data, start) if self.format == "pcap" else self._pcapng(data)
            data, start = data[used:], 0
            self._position += used
            if block is None:
                break
            yield block
            self.packets += len(block.offset)
        self._rest = data

    def finish(self) -> None:
        """Say that the file has ended; a packet that is not whole is noted."""
        if not self.format:
            raise InputError("this is no capture: the file is empty or too short for pcap or pcapng")
        if self._rest and not self._ended:
            self.notes.append(
                f"the capture is cut: its last packet is incomplete ({len(self._rest):,} bytes left over)"
            )

    def _damaged(self, position: int, why: str) -> None:
        self._ended = True
        self.notes.append(
            f"the capture is damaged at byte {self._position + position:,} ({why}); the rest was not read"
        )

    def _open(self, data: bytes) -> int:
        if len(data) < 24:
            return -1
        magic = data[:4]
        if magic in _PCAP:
            self.format = "pcap"
            self._order, self._scale_ns = _PCAP[magic]
            self._link = struct.unpack_from(self._order + "I", data, 20)[0] & 0x0FFFFFFF
            return 24
        if magic == b"\x0a\x0d\x0d\x0a":
            self.format = "pcapng"
            return 0
        raise InputError(
            f"this is neither pcap nor pcapng: it begins with {data[:8].hex(' ')} "
            "(convert other formats with: editcap IN OUT.pcapng)"
        )

    def _block(
        self, data: bytes, offset: Ints, captured: Ints, wire: Ints, time_ns: Ints, link: Ints
    ) -> PacketBlock:
        padded = np.zeros(len(data) + PADDING_BYTES, np.uint8)
        padded[: len(data)] = np.frombuffer(data, np.uint8)
        return PacketBlock(padded, offset, captured, wire, time_ns, link, self.packets + 1)

    def _pcap(self, data: bytes, position: int) -> tuple[PacketBlock | None, int]:
        read = struct.Struct(self._order + "I").unpack_from
        starts: list[int] = []
        end = len(data) - 16
        while position <= end:
            (length,) = read(data, position + 8)
            if length > MAX_PACKET_BYTES:
                self._damaged(position, f"a packet of {length:,} bytes")
                break
            after = position + 16 + length
            if after > end + 16:
                break
            starts.append(position)
            position = after
        if not starts:
            return None, position
        at = np.array(starts, np.int64)
        words = (
            np.frombuffer(data, np.uint8)[at[:, None] + np.arange(16)]
            .view(self._order + "u4")
            .astype(np.int64)
        )
        time_ns = words[:, 0] * 1_000_000_000 + words[:, 1] * self._scale_ns
        link = np.full(len(at), self._link, np.int64)
        return self._block(data, at + 16, words[:, 2], words[:, 3], time_ns, link), position

    def _pcapng(self, data: bytes) -> tuple[PacketBlock | None, int]:
        """Find all whole blocks; packets of the usual kind are only noted, to be decoded together."""
        starts: list[int] = []
        position = 0
        read = struct.Struct(self._order + "II").unpack_from
        while position + 12 <= len(data):
            kind, length = read(data, position)
            if kind == _SECTION:
                if starts:
                    break  # what follows may have another byte order and has interfaces of its own
                self._order = "<" if data[position + 8 : position + 12] == b"\x4d\x3c\x2b\x1a" else ">"
                read = struct.Struct(self._order + "II").unpack_from
                _, length = read(data, position)
                self._interfaces = []
            if length < 12 or length % 4 or length > MAX_PACKET_BYTES:
                self._damaged(position, f"a block of {length:,} bytes")
                break
            if position + length > len(data):
                break
            if kind in _PACKETS:
                starts.append(position)
            elif kind == _INTERFACE:
                self._interfaces.append(self._interface(data, position + 8, position + length - 4))
            elif kind == _SECRETS:
                self.has_secrets = True
            position += length
        return (self._packets(data, np.array(starts, np.int64)) if starts else None), position

    def _packets(self, data: bytes, at: Ints) -> PacketBlock | None:
        """Decode the packet blocks of `data` that begin at `at`."""
        words = np.frombuffer(data + bytes(32), np.uint8)[at[:, None] + np.arange(28)]
        words = words.view(self._order + "u4").astype(np.int64)
        kind, length, number, high, low, captured, wire = words.T
        old, simple = kind == _OLD, kind == _SIMPLE
        number = np.where(old, number >> 16 if self._order == ">" else number & 0xFFFF, number)
        start = at + 28
        if simple.any():  # no interface, time or captured length of its own
            snap = (self._interfaces[0].snap if self._interfaces else 0) or MAX_PACKET_BYTES
            whole = number.copy()
            number, high, low = (np.where(simple, 0, column) for column in (number, high, low))
            start, wire = np.where(simple, at + 12, start), np.where(simple, whole, wire)
            captured = np.where(simple, np.minimum(np.minimum(whole, snap), length - 16), captured)
        wrong = (number >= len(self._interfaces)) | (start + captured > at + length - 4) | (high >= 1 << 31)
        if wrong.any():
            first = int(np.argmax(wrong))
            self._damaged(int(at[first]), "a block that contradicts itself")
            at, number, high, low = at[:first], number[:first], high[:first], low[:first]
            start, captured, wire = start[:first], captured[:first], wire[:first]
        if not len(at):
            return None
        time_ns, link = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
        for index in np.unique(number).tolist():
            mine = number == index
            time_ns[mine] = self._interfaces[index].nanoseconds((high << 32 | low)[mine])
            link[mine] = self._interfaces[index].link
        return self._block(data, start, captured, wire, time_ns, link)

    def _interface(self, data: bytes, start: int, end: int) -> _Interface:
        if end - start < 8:
            return _Interface(-1)
        link, _, snap = struct.unpack_from(self._order + "HHI", data, start)
        interface = _Interface(link, snap=snap)
        position = start + 8
        while position + 4 <= end:
            code, length = struct.unpack_from(self._order + "HH", data, position)
            if code == 0 or position + 4 + length > end:
                break
            if code == 9 and length >= 1:
                power = data[position + 4]
                interface.ticks_per_s = 1 << min(power & 0x7F, 62) if power & 0x80 else 10 ** min(power, 18)
            elif code == 14 and length == 8:
                offset_s = struct.unpack_from(self._order + "q", data, position + 4)[0]
                interface.offset_s = max(min(offset_s, _LAST_S), -_LAST_S)
            position += 4 + (length + 3) // 4 * 4
        return interface
