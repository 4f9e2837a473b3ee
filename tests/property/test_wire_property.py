"""However a conversation is cut into segments, shuffled, repeated and read, the exchanges stay the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from packet_writer import ACK, PSH, CaptureWriter, Peer, request, response
from trivet.insight.capture import Capture
from trivet.wire.capture_file import CaptureScanner

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[str, int, int]]]:
    """Return (a pcap, how it is fed, the exchanges it holds as (path, status, body bytes))."""
    writer = CaptureWriter("raw")
    isn = draw(st.sampled_from([1, 0xFFFFFF80]))
    peer = Peer(writer, isn=(isn, isn))
    peer.handshake(1.0)
    truth = []
    for number in range(draw(st.integers(1, 4))):
        size = draw(st.integers(0, 3000))
        chunked = draw(st.booleans())
        answer = CHUNKED if chunked else response(bytes(size), f"2{number:02d} OK")
        truth.append((f"/{number}", 200 if chunked else 200 + number, 19 if chunked else size))
        for side, data in ((0, request(f"/{number}")), (1, answer)):
            cuts = sorted(draw(st.lists(st.integers(1, max(len(data) - 1, 1)), max_size=5)))
            bounds = list(zip([0, *cuts], [*cuts, len(data)], strict=True))
            start = peer.next[side]
            sent = draw(st.permutations(bounds)) + draw(st.lists(st.sampled_from(bounds), max_size=2))
            for low, high in sent:
                if low < high:
                    peer.packet(side, 2.0 + number, ACK | PSH, data[low:high], seq=(start + low) & 0xFFFFFFFF)
            peer.next[side] = (start + len(data)) & 0xFFFFFFFF
    peer.close(9)
    return writer.pcap(), draw(st.sampled_from([50, 333, 1 << 20])), truth


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_exchanges_do_not_depend_on_the_segments(case: tuple[bytes, int, list[tuple[str, int, int]]]) -> None:
    data, piece, truth = case
    scanner, capture = CaptureScanner(), Capture()
    for start in range(0, len(data), piece):
        for block in scanner.feed(data[start : start + piece]):
            capture.add(block)
    capture.finish()
    found = sorted(
        (one.number, one.target, one.status, one.response_bytes, one.whole) for one in capture.exchanges
    )
    assert found == [(number, *one, True) for number, one in enumerate(truth)]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_in_a_connection_are_survived(noise: bytes, from_server: bool) -> None:
    writer = CaptureWriter("raw")
    peer = Peer(writer)
    peer.handshake(1.0)
    peer.say(0, 2.0, request())
    peer.say(int(from_server), 3.0, noise, mss=50)
    peer.close(4)
    capture = Capture()
    for block in CaptureScanner().feed(writer.pcap()):
        capture.add(block)
    capture.finish()
    assert capture.table.count == 1
    assert capture.tallies["requests"] >= 1
