"""pcap and pcapng in all their kinds, every link type, and captures that are damaged."""

import numpy as np
import pytest

from packet_writer import LINKS, CaptureWriter, Peer, ip_packet, request, response
from trivet.errors import InputError
from trivet.insight.capture import Capture
from trivet.wire.capture_file import CaptureScanner


def read(data: bytes, piece: int = 1 << 20) -> tuple[Capture, CaptureScanner]:
    """Read a capture in pieces."""
    scanner, capture = CaptureScanner(), Capture()
    for start in range(0, len(data), piece):
        for block in scanner.feed(data[start : start + piece]):
            capture.add(block)
    scanner.finish()
    capture.finish()
    return capture, scanner


def exchange(writer: CaptureWriter, v6: bool = False, extension: bytes = b"") -> CaptureWriter:
    """Write one connection with one exchange: handshake 10 ms, wait 250 ms."""
    ends = (("fd00::1", 4000), ("fd00::2", 80)) if v6 else (("10.0.0.1", 4000), ("10.0.0.2", 80))
    peer = Peer(writer, *ends)
    peer.extension = extension
    peer.handshake(100.0)
    peer.say(0, 100.25, request())
    peer.say(1, 100.5, response(b"x" * 5000))
    peer.close(101)
    return writer


@pytest.mark.parametrize("v6", [False, True])
@pytest.mark.parametrize("link", LINKS)
def test_every_link_type(link: str, v6: bool) -> None:
    capture, _ = read(exchange(CaptureWriter(link), v6).pcap())
    (one,) = capture.exchanges
    assert (one.paired, one.whole, one.response_bytes) == (True, True, 5000)
    assert one.wait_s == pytest.approx(0.25)
    assert capture.table.column("ack_ns") - capture.table.column("syn_ns") == pytest.approx(10_000_000)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["micro", "nano", "ng6", "ng9"])
@pytest.mark.parametrize("piece", [7, 100, 1 << 20])
def test_formats_orders_and_pieces(order: str, kind: str, piece: int) -> None:
    writer = exchange(CaptureWriter())
    data = writer.pcapng(order, int(kind[2])) if kind.startswith("ng") else writer.pcap(order, kind == "nano")
    capture, scanner = read(data, piece)
    assert (capture.packets, scanner.packets) == (len(writer.packets), len(writer.packets))
    assert capture.tallies["pairs"] == 1
    assert capture.first_ns == 100_000_000_000
    assert capture.exchanges[0].request_frame == 4


@pytest.mark.parametrize("piece", [50, 1 << 20])
def test_sections_of_different_byte_order_in_one_file(piece: int) -> None:
    first, second = exchange(CaptureWriter()), CaptureWriter("raw")
    other = Peer(second, client=("10.9.9.9", 1), isn=(5, 6))
    other.handshake(200.0)
    capture, scanner = read(first.pcapng("<", 9) + second.pcapng(">", 6), piece)
    assert (capture.packets, capture.table.count, scanner.notes) == (14, 2, [])
    assert capture.last_ns == 200_010_000_000


def test_ipv6_extension_headers() -> None:
    capture, _ = read(exchange(CaptureWriter(), True, b"\x06\x00\x01\x04\0\0\0\0").pcap())
    assert capture.tallies["pairs"] == 1


def test_wrong_magic_is_refused_with_its_bytes() -> None:
    with pytest.raises(InputError, match="7f 45 4c 46"):
        read(b"\x7fELF" + bytes(100))
    with pytest.raises(InputError, match="empty or too short"):
        read(b"\xd4\xc3")


def test_cut_and_damaged_files_give_what_they_have() -> None:
    data = exchange(CaptureWriter()).pcap()
    capture, scanner = read(data[:-10])
    assert capture.tallies["pairs"] == 1
    assert "cut" in scanner.notes[0]
    fifth = 24 + sum(16 + len(packet) for _, packet, _ in exchange(CaptureWriter()).packets[:4])
    capture, scanner = read(data[:fifth] + b"\xff" * 200 + data[fifth + 200 :])
    assert f"damaged at byte {fifth}" in scanner.notes[0]
    assert capture.packets == 4


def test_snap_length_64_is_told_and_still_counts_connections() -> None:
    capture, _ = read(exchange(CaptureWriter(snap=64)).pcap())
    assert capture.counts.cut > 0
    assert capture.table.count == 1
    assert capture.tallies["requests"] == 0
    assert capture.table.sides("bytes").sum() > 5000


@pytest.mark.parametrize("snap", [0, 10, 20, 40, 53])
def test_packets_too_short_for_their_headers(snap: int) -> None:
    capture, _ = read(exchange(CaptureWriter(snap=snap)).pcap())
    assert capture.packets == 11
    assert capture.table.count <= 1


def test_what_is_not_tcp_is_counted() -> None:
    writer = CaptureWriter()
    writer.add(1, ip_packet("10.0.0.1", "10.0.0.2", bytes(20), protocol=17))
    writer.add(1, ip_packet("10.0.0.1", "10.0.0.2", bytes(20), protocol=47))
    capture, _ = read(writer.pcap())
    assert (capture.packets, capture.counts.other, capture.table.count) == (2, 2, 0)


def test_random_bytes_in_packets_never_crash() -> None:
    rng = np.random.default_rng(7)
    for link in LINKS:
        writer = exchange(CaptureWriter(link))
        noisy = CaptureWriter(link)
        for time_s, data, wire in writer.packets * 20:
            raw = bytearray(data)
            for _ in range(int(rng.integers(0, 12))):
                raw[int(rng.integers(0, len(raw)))] = int(rng.integers(0, 256))
            noisy.packets.append((time_s, bytes(raw[: int(rng.integers(0, len(raw) + 1))]), wire))
        capture, _ = read(noisy.pcap())
        assert capture.packets == 220
