"""Connections: stream indexes, handshakes, retransmissions, gaps, turns - in one piece or in many."""

import pytest

from packet_writer import ACK, FIN, PSH, RST, SYN, CaptureWriter, Peer, request, response
from trivet.insight.capture import Capture
from trivet.insight.capture_summary import CaptureView
from trivet.wire.capture_file import CaptureScanner


def read(writer: CaptureWriter, piece: int = 1 << 20) -> CaptureView:
    """Read what was written, in pieces of `piece` bytes."""
    data = writer.pcap()
    scanner, capture = CaptureScanner(), Capture()
    for start in range(0, len(data), piece):
        for block in scanner.feed(data[start : start + piece]):
            capture.add(block)
    capture.finish()
    return CaptureView(capture)


PIECES = pytest.mark.parametrize("piece", [70, 1000, 1 << 20])


@PIECES
def test_a_syn_with_a_new_number_is_another_connection(piece: int) -> None:
    writer = CaptureWriter()
    for time_s, isn in ((1.0, (10, 20)), (2.0, (99, 200))):
        peer = Peer(writer, isn=isn)
        peer.handshake(time_s)
        peer.packet(0, time_s + 0.001, SYN, seq=isn[0])  # the same SYN again
        peer.close(time_s + 0.5)
    view = read(writer, piece)
    assert view.totals()["streams"] == view.totals()["opened"] == 2
    rows = [view.row(stream) for stream in view.streams()]
    assert [row.packets for row in rows] == [7, 7]
    assert [row.retransmissions for row in rows] == [1, 1]
    assert [row.silent for row in rows] == [True, True]
    assert [row.handshake_s for row in rows] == [pytest.approx(0.01)] * 2


@PIECES
def test_syn_ack_seen_before_the_syn(piece: int) -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.packet(1, 1.0, SYN | ACK, seq=5000)
    writer.packets.clear()
    late = Peer(writer)
    late.next[0] += 1
    late.packet(1, 1.0, SYN | ACK)
    late.packet(0, 1.001, SYN, seq=1000)
    late.packet(0, 1.002, ACK)
    view = read(writer, piece)
    assert view.totals()["streams"] == 1
    assert view.row(0).client == "10.0.0.1:40000"


@PIECES
def test_retransmission_reordering_keep_alive_and_gap(piece: int) -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(1.0)
    start = peer.next[0]
    peer.packet(0, 2.0, ACK | PSH, b"a" * 100)
    peer.packet(0, 2.5, ACK | PSH, b"a" * 100, seq=start)  # sent again
    peer.skip(0, 100)
    peer.packet(0, 3.0, ACK | PSH, b"c" * 100)
    peer.packet(0, 3.001, ACK | PSH, b"b" * 100, seq=start + 100)  # came late, was not sent twice
    peer.packet(0, 4.0, ACK, b"c", seq=peer.next[0] - 1)  # keep-alive
    peer.skip(0, 50)
    peer.packet(0, 5.0, ACK | PSH, b"e" * 10)  # 50 bytes never came
    row = read(writer, piece).row(0)
    assert (row.retransmissions, row.reordered, row.missing_bytes) == (1, 1, 50)
    assert row.bytes_up == 100 + 100 + 100 + 100 + 1 + 10


@PIECES
def test_sequence_numbers_wrap(piece: int) -> None:
    writer = CaptureWriter()
    peer = Peer(writer, isn=(0xFFFFFF00, 0xFFFFFFF0))
    peer.handshake(1.0)
    peer.say(0, 2.0, request())
    peer.say(1, 3.0, response(b"x" * 4000))
    peer.close(4)
    view = read(writer, piece)
    row = view.row(0)
    assert (row.retransmissions, row.reordered, row.missing_bytes) == (0, 0, 0)
    assert view.exchanges[0].whole


def test_resets_turns_and_who_is_the_client_without_a_syn() -> None:
    writer = CaptureWriter()
    peer = Peer(writer, client=("10.0.0.9", 55555), server=("10.0.0.1", 8443))
    for turn in range(5):
        peer.packet(turn % 2, 1.0 + turn, ACK | PSH, b"\x17\x03\x03 opaque")
    peer.packet(1, 9.0, RST)
    row = read(writer).row(0)
    assert (row.opened, row.client, row.turns, row.resets) == (False, "10.0.0.9:55555", 5, 1)


def test_fin_again_is_a_retransmission() -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(1.0)
    peer.close(2.0)
    peer.packet(0, 3.0, FIN | ACK, seq=peer.next[0] - 1)
    assert read(writer).row(0).retransmissions == 1


def test_many_connections_are_counted() -> None:
    writer = CaptureWriter("raw")
    for number in range(5000):
        peer = Peer(writer, client=(f"10.{number >> 8}.{number & 255}.1", 1024 + number), isn=(number, 7))
        peer.handshake(1.0 + number)
    view = read(writer, 10_000)
    assert view.totals()["opened"] == view.totals()["silent"] == 5000
    assert [view.row(s).start_s for s in (0, 4999)] == [0.0, pytest.approx(4999.0)]
