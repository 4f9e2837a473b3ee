"""Writes captures for tests: packets of simulated TCP connections as pcap bytes."""

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETHERNET = b"\2\0\0\0\0\1\2\0\0\0\0\2"

#: link type -> what stands before the IP header, given its EtherType
LINKS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "ethernet": (1, lambda kind: ETHERNET + struct.pack(">H", kind)),
    "vlan": (1, lambda kind: ETHERNET + struct.pack(">HHHHH", 0x88A8, 5, 0x8100, 7, kind)),
    "cooked1": (113, lambda kind: struct.pack(">HHHQH", 0, 1, 6, 0, kind)),
    "cooked2": (276, lambda kind: struct.pack(">HHIHBBQ", kind, 0, 1, 1, 0, 6, 0)),
    "null": (0, lambda kind: struct.pack("<I", 2 if kind == 0x0800 else 30)),
    "loop": (108, lambda kind: struct.pack(">I", 2 if kind == 0x0800 else 24)),
    "raw": (101, lambda kind: b""),
}


def ip_packet(source: str, target: str, payload: bytes, extension: bytes = b"", protocol: int = 6) -> bytes:
    """Return an IPv4 or IPv6 packet around `payload`; `extension` = one IPv6 destination-options header."""
    one, two = ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed
    if len(one) == 4:
        return (
            struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + one + two + payload
        )
    kind = 60 if extension else protocol
    size = len(extension) + len(payload)
    return struct.pack(">IHBB", 0x6 << 28, size, kind, 64) + one + two + extension + payload


def tcp_segment(source_port: int, target_port: int, seq: int, ack: int, flags: int, payload: bytes) -> bytes:
    """Return a TCP segment without options."""
    head = struct.pack(
        ">HHIIBBHHH", source_port, target_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 65535, 0, 0
    )
    return head + payload


@dataclass
class CaptureWriter:
    """Collects packets and returns them as a pcap file."""

    link: str = "ethernet"
    snap: int = 262144
    packets: list[tuple[float, bytes, int]] = field(default_factory=list)

    def add(self, time_s: float, ip: bytes) -> None:
        """Add an IP packet."""
        kind = 0x0800 if ip[0] >> 4 == 4 else 0x86DD
        whole = LINKS[self.link][1](kind) + ip
        self.packets.append((time_s, whole[: self.snap], len(whole)))

    def pcap(self, order: str = "<", nanoseconds: bool = False) -> bytes:
        """Return all packets as a pcap file."""
        magic, scale = (0xA1B23C4D, 1_000_000_000) if nanoseconds else (0xA1B2C3D4, 1_000_000)
        out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, self.snap, LINKS[self.link][0])]
        for time_s, data, wire in self.packets:
            whole, part = divmod(round(time_s * scale), scale)
            out.append(struct.pack(order + "IIII", whole, part, len(data), wire) + data)
        return b"".join(out)

    def pcapng(self, order: str = "<", resolution: int = 9) -> bytes:
        """Return all packets as a pcapng file whose times count 10**-resolution seconds."""

        def block(kind: int, body: bytes) -> bytes:
            body += b"\0" * (-len(body) % 4)
            size = len(body) + 12
            return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)

        out = [block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
        option = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
        out.append(block(1, struct.pack(order + "HHI", LINKS[self.link][0], 0, self.snap) + option))
        for time_s, data, wire in self.packets:
            ticks = round(time_s * 10**resolution)
            head = struct.pack(order + "5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire)
            out.append(block(6, head + data))
        return b"".join(out)


class Peer:
    """A simulated TCP connection that writes its packets to a CaptureWriter."""

    def __init__(
        self,
        writer: CaptureWriter,
        client: tuple[str, int] = ("10.0.0.1", 40000),
        server: tuple[str, int] = ("10.0.0.2", 80),
        isn: tuple[int, int] = (1000, 5000),
    ) -> None:
        self.writer = writer
        self.ends = (client, server)
        self.next = list(isn)
        self.extension = b""

    def packet(
        self, side: int, time_s: float, flags: int, payload: bytes = b"", seq: int | None = None
    ) -> None:
        """Write one packet of `side` (0 = client); without `seq` it is the next in order."""
        source, target = self.ends[side], self.ends[1 - side]
        number = self.next[side] if seq is None else seq
        segment = tcp_segment(source[1], target[1], number, self.next[1 - side], flags, payload)
        self.writer.add(time_s, ip_packet(source[0], target[0], segment, self.extension))
        if seq is None:
            self.next[side] = (self.next[side] + len(payload) + bool(flags & (SYN | FIN))) & 0xFFFFFFFF

    def handshake(self, time_s: float, rtt_s: float = 0.01) -> None:
        """Open the connection: SYN, SYN/ACK, ACK within `rtt_s`."""
        self.packet(0, time_s, SYN)
        self.packet(1, time_s + rtt_s / 2, SYN | ACK)
        self.packet(0, time_s + rtt_s, ACK)

    def say(self, side: int, time_s: float, data: bytes, mss: int = 1460) -> None:
        """Send `data` in segments of at most `mss` bytes, all at `time_s`."""
        for start in range(0, len(data), mss):
            self.packet(side, time_s, ACK | PSH, data[start : start + mss])

    def skip(self, side: int, size: int) -> None:
        """Lose `size` bytes of `side` from the capture."""
        self.next[side] += size

    def close(self, time_s: float) -> None:
        """End the connection by a FIN of both sides."""
        self.packet(0, time_s, FIN | ACK)
        self.packet(1, time_s, FIN | ACK)
        self.packet(0, time_s, ACK)


def request(path: str = "/", method: str = "GET", host: str = "a.example", body: bytes = b"") -> bytes:
    """Return the bytes of an HTTP/1.1 request."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n".encode() + body


def response(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """Return the bytes of an HTTP/1.1 response with a stated length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
