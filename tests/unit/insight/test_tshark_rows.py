"""Rows of tshark fields become exchanges: several HTTP/2 headers in a packet, pipelining, first bytes."""

import pytest

from trivet.insight.exchange import Exchange
from trivet.insight.tls_records import RecordClock
from trivet.insight.tshark_rows import FIELDS, SEPARATOR, RowReader, header_blocks, split_row, time_ns


def row(**values: object) -> dict[str, list[str]]:
    """Make a line of tshark's output; underscores in names stand for dots, lists for several values."""
    cells = []
    for name in FIELDS:
        value = values.get(name.replace(".", "_"), [])
        many = value if isinstance(value, list) else [value]
        cells.append(SEPARATOR.join(map(str, many)))
    return split_row("\t".join(cells))


def exchanges(*rows: dict[str, list[str]], clock: RecordClock | None = None) -> list[Exchange]:
    """Read rows and return the exchanges; `clock` is that of the server's records."""
    found: list[Exchange] = []
    reader = RowReader(found.append, lambda stream: (None, clock))
    for one in rows:
        reader.take(one)
    reader.finish()
    return found


def packet(frame: int, time_s: float, port: int, **values: object) -> dict[str, list[str]]:
    """Make the row of one packet of stream 3."""
    return row(frame_number=frame, frame_time_epoch=f"{time_s:.9f}", tcp_stream=3, tcp_srcport=port, **values)


def h2(
    frames: list[tuple[int, int, int, int]], names: list[str] | None = None, values: str = ""
) -> dict[str, object]:
    """Return the fields of HTTP/2 frames (type, stream, flags, length) and their headers."""
    kinds, streams, flags, lengths = zip(*frames, strict=True)
    return {
        "http2_type": list(kinds),
        "http2_streamid": list(streams),
        "http2_flags": [f"0x{flag:02x}" for flag in flags],
        "http2_length": list(lengths),
        "http2_header_name": names or [],
        "http2_header_value": values.split(),
    }


def test_times_keep_their_nanoseconds() -> None:
    assert time_ns("1763776842.123456789") == 1_763_776_842_123_456_789
    assert time_ns("5") == 5_000_000_000


def test_header_blocks_are_told_apart_by_their_pseudo_headers() -> None:
    names = [":method", ":path", "accept", ":method", ":path", "grpc-status", ":status", ":status", "x"]
    values = ["GET", "/a", "*", "PUT", "/b", "0", "100", "200", "y"]
    blocks = header_blocks(names, values)
    assert [block.get(":path", block.get(":status")) for block in blocks] == ["/a", "/b", "100", "200"]
    assert header_blocks(["grpc-status"], ["0"]) == []


def test_http2_with_several_headers_in_one_packet() -> None:
    asked = [":method", ":path", ":authority"] * 2
    found = exchanges(
        packet(1, 1.0, 999, **h2([(4, 0, 0, 0), (1, 1, 5, 9), (1, 3, 4, 9)], asked, "GET /a h POST /b h")),
        packet(2, 1.5, 999, **h2([(0, 3, 1, 70)])),
        packet(
            3,
            2.0,
            443,
            **h2([(1, 3, 4, 5), (1, 1, 4, 5)], [":status", "content-type", ":status"], "201 a/b;c 200"),
        ),
        packet(4, 3.0, 443, **h2([(0, 1, 0, 11), (0, 3, 1, 22)])),
        packet(5, 4.0, 443, **h2([(0, 1, 0, 1), (1, 1, 5, 5)], ["grpc-status"], "0")),
    )
    told = {one.target: one for one in found}
    assert (told["/a"].status, told["/b"].status) == (200, 201)
    assert (told["/a"].response_bytes, told["/b"].response_bytes, told["/b"].request_bytes) == (12, 22, 70)
    assert (told["/b"].wait_s, told["/b"].transfer_s) == (pytest.approx(0.5), pytest.approx(1.0))
    assert (told["/a"].transfer_s, told["/a"].whole) == (pytest.approx(2.0), True)
    assert told["/b"].content_type == "a/b"


def test_http2_reset_and_unanswered_streams() -> None:
    names, values = [":method", ":path"], ["GET", "/x"]
    open_one = {"http2_type": 1, "http2_flags": "0x05", "http2_length": 1, "http2_header_name": names}
    found = exchanges(
        packet(1, 1.0, 999, http2_streamid=1, http2_header_value=values, **open_one),
        packet(2, 1.1, 999, http2_streamid=3, http2_header_value=["GET", "/y"], **open_one),
        packet(3, 2.0, 443, http2_type=3, http2_streamid=1, http2_flags="0x00", http2_length=4),
    )
    assert [(one.target, one.status, one.whole) for one in found] == [
        ("/x", None, False),
        ("/y", None, False),
    ]


def test_pipelined_http1_gets_the_times_of_its_records() -> None:
    clock = RecordClock()
    for frame, time_s in ((10, 2.0), (12, 4.0), (13, 5.0)):
        clock.feed(b"\x17\x03\x03\x00\x05", int(time_s * 1e9), frame - 1)
        clock.feed(b"12345", int((time_s + 0.5) * 1e9), frame)
    found = exchanges(
        packet(
            1,
            1.0,
            999,
            http_request_method=["GET", "PUT"],
            http_request_uri=["/a", "/b"],
            http_host=["h", "h"],
        ),
        packet(10, 2.5, 443, http_response_code=200, http_content_length=3),
        packet(13, 5.5, 443, http_response_code=404, tls_segment=[12, 13], http_chunk_size=[4, 5]),
        clock=clock,
    )
    assert [(one.method, one.target, one.status) for one in found] == [("GET", "/a", 200), ("PUT", "/b", 404)]
    assert [one.first_byte_ns / 1e9 for one in found] == [2.0, 4.0]
    assert [one.end_ns / 1e9 for one in found] == [2.5, 5.5]
    assert [one.response_bytes for one in found] == [3, 9]
    assert found[0].url == "https://h/a"
