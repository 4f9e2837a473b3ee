"""The Common family's records, and the text that bytes are shown as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.wire.access_log import (
    MAX_SIZE_BYTES,
    escape,
    parse_combined,
    parse_timed,
    parse_vhost,
    section_of,
    split_lines,
    unescape,
)
from trivet.wire.access_reasons import why_malformed

LINE = b'1.2.3.4 - bob [05/Jun/2024:13:07:09 +0200] "GET /a/b?c=1 HTTP/1.1" 200 17 "-" "curl/8"'


def test_every_field_of_a_combined_line() -> None:
    record = parse_combined(LINE)
    assert record is not None
    assert record.ip == b"1.2.3.4"
    assert record.time_s == 1717585629  # date -u -d '2024-06-05 11:07:09' +%s
    assert record.utc_offset_s == 7200
    assert (record.method, record.target, record.bad_request) == (b"GET", b"/a/b?c=1", False)
    assert (record.status, record.size_bytes) == (200, 17)
    assert (record.referrer, record.agent) == (b"-", b"curl/8")


@pytest.mark.parametrize("line", [LINE + b"\r", LINE + b"  ", b'"' + LINE + b'"', LINE + b' "-" "more"'])
def test_dialects_are_no_damage(line: bytes) -> None:
    assert parse_combined(line) == parse_combined(LINE)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty"),
        (b"garbage", "host"),
        (LINE.replace(b"05/Jun", b"99/Foo"), "date"),
        (LINE.replace(b" HTTP/1.1", b' "HTTP/1.1'), "status"),
        (LINE.replace(b"17", b"12x"), "bytes"),
        (LINE[:-1], "closing quote"),
        (LINE[: LINE.rindex(b' "')], "without an agent"),
        (LINE + b" tail", "after the last field"),
        (LINE.replace(b" 200 ", b" 2000 "), "status"),
    ],
)
def test_a_malformed_line_has_a_reason(line: bytes, reason: str) -> None:
    assert parse_combined(line) is None
    assert reason in why_malformed(line, "combined")


@pytest.mark.parametrize(
    ("target", "section"),
    [
        (b"/a/b?x", b"/a"),
        (b"/a?x/y", b"/a"),
        (b"/", b"/"),
        (b"/?q", b"/"),
        (b"http://example.com/proxy/x", b"/proxy"),
        (b"http://example.com", b"/"),
        (b"http://example.com?x=/y", b"/"),
        (b"*", b"-"),
        (b"mail.ru:443", b"-"),
        (b"OR 1=1 --", b"-"),
        (b"", b"-"),
    ],
)
def test_section(target: bytes, section: bytes) -> None:
    assert section_of(target) == section


def test_a_bad_request_is_a_record() -> None:
    record = parse_combined(LINE.replace(b"GET /a/b?c=1 HTTP/1.1", rb"\x16\x03"))
    assert record is not None
    assert (record.bad_request, record.method, record.target) == (True, b"", rb"\x16\x03")


def test_a_vhost_line_has_the_clients_address() -> None:
    record = parse_vhost(b"www.example.org:443 " + LINE)
    assert record is not None
    assert (record.ip, record.host) == (b"1.2.3.4", b"www.example.org:443")


@pytest.mark.parametrize(
    ("tail", "seconds"),
    [(b" 0.250", 0.25), (b" 250000", 0.25), (b" rt=1.5 uct=0.1", 1.5), (b" -", -1.0), (b"", -1.0)],
)
def test_durations_behind_the_agent(tail: bytes, seconds: float) -> None:
    record = parse_timed(LINE + tail)
    assert record is not None
    assert record.duration_s == seconds


def test_a_size_of_many_digits_saturates() -> None:
    record = parse_combined(LINE.replace(b" 17 ", b" " + b"9" * 6000 + b" "))
    assert record is not None
    assert record.size_bytes == MAX_SIZE_BYTES


def test_blocks_split_into_lines() -> None:
    assert split_lines(b"a\n\nb") == [b"a", b"", b"b"]
    assert split_lines(b"a\n") == [b"a"]
    assert split_lines(b"") == []


@given(st.binary(max_size=60))
def test_shown_bytes_can_be_turned_back(raw: bytes) -> None:
    text = escape(raw)
    assert text.encode("utf-8").decode("utf-8") == text
    assert unescape(text) == raw
