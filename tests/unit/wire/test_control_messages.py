"""Control messages: any path survives the trip as text, results survive JSON."""

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from trivet.wire.control_messages import (
    BankStatus,
    CheckReport,
    Finding,
    ServerStatus,
    Status,
    path_bytes,
    path_text,
)


@given(st.binary(max_size=300))
@example(b"/a\nb")
@example(b"\\x41")
@example("/ä/\u202eevil".encode())
@example(b"\xff\\\xfe")
def test_any_path_survives_as_printable_text(path: bytes) -> None:
    text = path_text(path)
    assert path_bytes(text) == path
    assert "\n" not in text
    assert "\x1b" not in text
    text.encode("utf-8")


def test_ordinary_names_stay_readable() -> None:
    assert path_text("/Bücher/Täglich 1.txt".encode()) == "/Bücher/Täglich 1.txt"


def test_status_has_the_promised_fields() -> None:
    status = Status("00ff", True, [BankStatus(7000, [ServerStatus(7000, "up", 12, 1, 2, 0, 0, 99)])])
    told = msgspec.json.decode(msgspec.json.encode(status))
    assert {
        "volume",
        "healthy",
        "banks",
        "keeper",
        "open_damage",
        "repaired_total",
        "refresh_age_s",
        "refresh_took_s",
    } <= told.keys()
    server = told["banks"][0]["servers"][0]
    assert set(server) == {"port", "pid", "state", "blobs", "records", "divergent", "foreign", "bytes"}
    assert set(told["keeper"]) == {"pid", "epoch", "slot", "durable_slot"}


def test_reports_come_back_from_json_as_they_were() -> None:
    finding = Finding("fixed", "/a", "page", 9000, "checksum differs", 1.5, 7000, [(0, 4096)])
    report = CheckReport(3, 1, 4096, 0.25, [finding])
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(report)), CheckReport) == report
