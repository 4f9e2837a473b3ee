"""Exchanges from packets: pipelining, gaps, all kinds of bodies, tunnels, what began before the capture."""

import pytest

from packet_writer import ACK, PSH, CaptureWriter, Peer, request, response
from trivet.insight.capture import Capture
from trivet.insight.exchange import Exchange
from trivet.wire.capture_file import CaptureScanner


def capture_of(writer: CaptureWriter) -> Capture:
    """Read what was written."""
    scanner, capture = CaptureScanner(), Capture()
    for block in scanner.feed(writer.pcap()):
        capture.add(block)
    capture.finish()
    return capture


def talk(*pieces: tuple[int, float, bytes], mss: int = 1460, close: bool = True) -> list[Exchange]:
    """Send `pieces` (side, time, bytes) over one connection and return its exchanges."""
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(0.5)
    for side, time_s, data in pieces:
        peer.say(side, time_s, data, mss)
    if close:
        peer.close(99)
    return capture_of(writer).exchanges


def told(exchanges: list[Exchange]) -> list[tuple[str | None, str, int | None]]:
    """Return (method, target, status) of each."""
    return [(one.method, one.target, one.status) for one in exchanges]


@pytest.mark.parametrize("mss", [1, 7, 1460])
def test_three_requests_in_one_segment(mss: int) -> None:
    asked = b"".join(request(f"/{n}") for n in range(3))
    answers = b"".join(response(bytes(n * 100), f"20{n} OK") for n in range(3))
    found = talk((0, 1.0, asked), (1, 2.0, answers), mss=mss)
    assert told(found) == [("GET", "/0", 200), ("GET", "/1", 201), ("GET", "/2", 202)]
    assert [one.response_bytes for one in found] == [0, 100, 200]
    assert all(one.whole for one in found)


def test_times_of_an_exchange() -> None:
    body = b"b" * 3000
    asked, answer = request("/", "POST", body=body), response(b"x" * 500)
    (one,) = talk((0, 1.0, asked[:500]), (0, 1.5, asked[500:]), (1, 2.0, answer[:20]), (1, 4.0, answer[20:]))
    assert one.request_bytes == 3000
    assert (one.request_end_ns - one.request_ns) / 1e9 == pytest.approx(0.5)
    assert one.wait_s == pytest.approx(0.5)
    assert one.transfer_s == pytest.approx(2.0)
    assert one.total_s == pytest.approx(3.0)


@pytest.mark.parametrize("mss", [1, 3, 1460])
def test_chunked_with_trailer_then_more(mss: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n"
    found = talk((0, 1, request("/a") + request("/b")), (1, 2, chunked + response(b"z")), mss=mss)
    assert [(one.response_bytes, one.whole) for one in found] == [(15, True), (1, True)]


def test_responses_without_body_and_interim_ones() -> None:
    found = talk(
        (0, 1, request("/h", "HEAD")),
        (1, 2, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"),
        (0, 3, request("/304")),
        (1, 4, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\n"),
        (0, 5, request("/100", "POST", body=b"x")),
        (1, 6, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
        (1, 7, response(b"y")),
    )
    assert told(found) == [("HEAD", "/h", 200), ("GET", "/304", 304), ("POST", "/100", 200)]
    assert [one.interim for one in found] == [0, 0, 2]
    assert found[2].wait_s == pytest.approx(2.0)


def test_body_until_the_connection_ends() -> None:
    (one,) = talk((0, 1, request()), (1, 2, b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 4000), (1, 5, b"y"))
    assert (one.response_bytes, one.whole, one.transfer_s) == (4001, True, pytest.approx(3.0))


def test_websocket_and_connect_become_tunnels() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n"
    found = talk(
        (0, 1, request("/ws")), (1, 2, upgrade), (0, 3, b"GET / HTTP/1.1\r\n\r\n"), (1, 4, b"\x81\x02hi")
    )
    assert told(found) == [("GET", "/ws", 101)]
    assert (found[0].upgrade, found[0].whole) == ("websocket", True)
    found = talk(
        (0, 1, request("b.example:443", "CONNECT")),
        (1, 2, b"HTTP/1.1 200 OK\r\n\r\n"),
        (0, 3, b"\x16\x03\x01"),
    )
    assert told(found) == [("CONNECT", "b.example:443", 200)]
    refused = response(b"no", "403 Forbidden")
    found = talk(
        (0, 1, request("b:1", "CONNECT")), (1, 2, refused), (0, 3, request("/x")), (1, 4, response(b"x"))
    )
    assert told(found) == [("CONNECT", "b:1", 403), ("GET", "/x", 200)]


def test_a_lost_response_head_costs_only_its_own_pair() -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(0.5)
    for number in range(4):
        peer.say(0, number + 1.0, request(f"/{number}"))
        answer = response(b"x" * 300, f"20{number} OK")
        if number == 1:
            peer.skip(1, 100)
            answer = answer[100:]
        peer.say(1, number + 1.5, answer)
        peer.packet(0, number + 1.6, ACK)
    found = capture_of(writer).exchanges
    assert told(found) == [("GET", "/0", 200), ("GET", "/1", None), ("GET", "/2", 202), ("GET", "/3", 203)]


def test_bytes_lost_inside_a_body_leave_the_pair_incomplete() -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(0.5)
    peer.say(0, 1.0, request("/a"))
    answer = response(b"x" * 5000)
    peer.say(1, 2.0, answer[:2000])
    peer.skip(1, 1000)
    peer.say(1, 3.0, answer[3000:])
    peer.packet(0, 3.1, ACK)
    peer.say(0, 4.0, request("/b"))
    peer.say(1, 5.0, response(b"y"))
    capture = capture_of(writer)
    assert [(one.status, one.whole, one.response_bytes) for one in capture.exchanges] == [
        (200, False, 5000),
        (200, True, 1),
    ]
    assert capture.tallies == {"requests": 2, "responses": 1, "pairs": 1, "incomplete": 1, "not_kept": 0}


def test_out_of_order_and_overlapping_segments() -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(0.5)
    asked, start = request("/long" * 30), peer.next[0]
    peer.packet(0, 1.2, ACK | PSH, asked[50:120], seq=start + 50)
    peer.packet(0, 1.0, ACK | PSH, asked[:80], seq=start)
    peer.packet(0, 1.3, ACK | PSH, asked[100:], seq=start + 100)
    peer.next[0] = start + len(asked)
    peer.say(1, 2.0, response(b"x"))
    assert told(capture_of(writer).exchanges) == [("GET", "/long" * 30, 200)]


def test_a_capture_that_begins_in_the_middle() -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.say(1, 1.0, b"tail of a body that began earlier" * 100)
    peer.say(0, 2.0, request("/next"))
    peer.say(1, 3.0, response(b"x"))
    assert told(capture_of(writer).exchanges) == [("GET", "/next", 200)]


def test_what_is_not_http_is_left_alone() -> None:
    assert talk((1, 1, b"SSH-2.0-x\r\n"), (0, 2, b"SSH-2.0-y\r\n"), (0, 3, bytes(100_000))) == []
    assert talk((0, 1, b"\xff" * 10), (1, 2, b"\x00" * 10)) == []


def test_a_head_without_end_is_bounded() -> None:
    flood = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000
    assert talk((0, 1, flood), (1, 2, response(b"", "431 Too Large")))[0].status == 431
