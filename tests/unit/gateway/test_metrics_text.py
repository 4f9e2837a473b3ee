"""The text of /metrics: many series in time, read back by Prometheus's own parser, whatever names hold."""

import time
from pathlib import Path

import msgspec
import pytest
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

from trivet.gateway.drive_metrics import DriveMetrics, Vendors
from trivet.gateway.metrics_routes import metrics_text
from trivet.gateway.request_metrics import RequestMetrics
from trivet.upstream.cache_telling import CacheTold, Layer
from trivet.upstream.requesting import QueueTold
from trivet.upstream.telling import BudgetTold, QuotaTold, UpstreamStatus
from trivet.wire.control_messages import BankStatus, ServerStatus, Status
from trivet.wire.health_messages import DriveFigures, MachineFigures, ProcessFigures

SERIES = 1000
LIMIT_S = 0.05


def process(number: int, name: str) -> ProcessFigures:
    return ProcessFigures(number, 1, "helper", name, 1.5, 2, None, 4, 5, None, None, 6.0)


def figures(names: list[str]) -> DriveFigures:
    machine = MachineFigures(2, None, 50.0, 4, 2, 0, 0)
    return DriveFigures(1.0, 1.0, machine, [process(*one) for one in enumerate(names)])


def test_a_thousand_series_of_four_workers_take_less_than_50_ms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    workers = [RequestMetrics(tmp_path, str(number)) for number in range(4)]
    for worker in workers:
        for path in ("/api/v1/me", "/drive/v3/files", "/"):
            for status in range(100, 600, 100):
                for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"):
                    worker.answered({"type": "http", "path": path, "method": method}, status, 10, 0.004)
    told = DriveMetrics(None, figures([f"python {number}" for number in range(180)]), {"running": 3})
    took = []
    for _ in range(5):
        began = time.process_time()
        text = metrics_text(told, workers[0])
        took.append(time.process_time() - began)
    found = [one for family in text_string_to_metric_families(text.decode()) for one in family.samples]
    assert len(found) >= SERIES
    asked = {one.labels["status"]: one.value for one in found if one.name == "trivet_requests_total"
             and one.labels["method"] == "other" and one.labels["face"] == "native"}  # fmt: skip
    assert asked == {f"{status}xx": 4 for status in range(1, 6)}
    assert min(took) < LIMIT_S


def test_names_with_anything_in_them_and_missing_figures_are_told_right() -> None:
    names = ['a "quoted" name', "back\\slash", "two\nlines", "é ü", ""]
    text = metrics_text(DriveMetrics(None, figures(names), {}), None).decode()
    found = [one for family in text_string_to_metric_families(text) for one in family.samples]
    resident = [one.labels["name"] for one in found if one.name == "trivet_process_resident_bytes"]
    assert resident == names
    assert not any(one.name == "trivet_process_private_bytes" for one in found)


def test_what_is_away_counts_as_missing() -> None:
    whole = [BankStatus(base, [ServerStatus(base, "up", 1, 7, 5)]) for base in (7000, 8000)]
    away = BankStatus(9000, [ServerStatus(9000, "down", divergent=2)])
    text = metrics_text(DriveMetrics(Status("00", False, [*whole, away]), None, {}), None).decode()
    assert 'trivet_redundancy_missing{bank="9000"} 12.0' in text
    assert 'trivet_redundancy_missing{bank="7000"} 0.0' in text


def test_vendors_are_told_with_their_queues_budgets_and_caches(tmp_path: Path) -> None:
    budget = BudgetTold("download", 200, None, 70, 130, 2, 1e9)
    status = UpstreamStatus(
        "google", "/google", "http://v", True, "", "closed", 1.0, 5, 3, 0, 41,
        QuotaTold(17, 1000, 20, None, None), [budget], [], [], 4, 0.0, QueueTold("sqlite", "sqlite", 6, ""),
    )  # fmt: skip
    layer = Layer("volume", 8, 2, 0.8, 700, 900, 3, 1000)
    cache = CacheTold("google", "/google", 1.0, 1000, [layer], 1, 5, 50, [], [])
    told = Vendors(msgspec.to_builtins([status]), msgspec.to_builtins([cache]))
    text = metrics_text(DriveMetrics(None, None, {"downloads parked": 1}, told, {"ann": 12}), None).decode()
    found = {
        (one.name, *sorted(one.labels.values())): one.value
        for family in text_string_to_metric_families(text) for one in family.samples
    }  # fmt: skip
    assert found["trivet_up", "upstream"] == 1
    assert found["trivet_upstream_queue_depth", "google", "outbox"] == 3
    assert found["trivet_upstream_queue_depth", "downloads waiting", "google"] == 2
    assert found["trivet_upstream_queue_depth", "google", "transfers parked"] == 6
    assert found["trivet_upstream_queue_depth", "google", "removals held"] == 4
    assert found["trivet_upstream_day_requests", "google"] == 17
    assert found["trivet_upstream_day_bytes", "download", "google"] == 70
    assert found["trivet_upstream_day_allowed_bytes", "download", "google"] == 200
    assert not any(name == "trivet_upstream_user_day_allowed_bytes" for name, *_ in found)
    assert found["trivet_upstream_cache_hits_total", "google", "volume"] == 8
    assert found["trivet_upstream_cache_misses_total", "google", "volume"] == 2
    assert found["trivet_queue_depth", "downloads parked"] == 1
    assert found["trivet_user_day_requests", "ann"] == 12
    silent = metrics_text(DriveMetrics(None, None, {}, Vendors(None, None)), None).decode()
    assert 'trivet_up{part="upstream"} 0.0' in silent
