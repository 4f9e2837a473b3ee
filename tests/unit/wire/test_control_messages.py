"""Control messages: results survive JSON, fields keep their names."""

import msgspec

from trivet.wire.control_messages import (
    BankStatus,
    CheckReport,
    Finding,
    ServerStatus,
    Status,
)


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
    counts = {"blobs", "records", "divergent", "foreign", "bytes"}
    assert set(server) == {"port", "pid", "state", "compared"} | counts
    assert set(told["keeper"]) == {"pid", "epoch", "slot", "durable_slot", "name"}


def test_reports_come_back_from_json_as_they_were() -> None:
    finding = Finding("fixed", "/a", "page", 9000, "checksum differs", 1.5, 7000, [(0, 4096)])
    report = CheckReport(3, 1, 4096, 0.25, [finding])
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(report)), CheckReport) == report
