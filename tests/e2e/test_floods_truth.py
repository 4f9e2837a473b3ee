"""A made log with its truth beside it: fleet, flooding client and counts are as they were made."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("engine", ["kernel", "regex"])
def test_counts_and_fleet_equal_the_truth(tmp_path: Path, engine: str) -> None:
    log = tmp_path / "made.log"
    make = [
        sys.executable,
        ROOT / "bench" / "mklog.py",
        log,
        "--lines",
        "60000",
        "--days",
        "1",
        "--nasty",
        "0.01",
    ]
    subprocess.run(make, check=True, capture_output=True)
    truth = json.loads((tmp_path / "made.log.truth.json").read_text())
    argv = [sys.executable, "-m", "trivet", "floods", log, "--json", "--engine", engine]
    report = json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=100).stdout)
    assert report["top_pairs"] == truth["top_pairs"]
    assert [report["busiest"]["ip"], report["busiest"]["hits"]] == truth["top_ips"][0]
    assert {hour: n for hour, n in report["busiest"]["hours"].items() if n} == truth["top_ip_hours"]
    (fleet,) = report["lockstep"]
    assert fleet["url"] == truth["lockstep"]["url"]
    assert fleet["period_s"] == pytest.approx(truth["lockstep"]["period_s"], rel=0.001)
    assert fleet["devices"] == sorted(truth["lockstep"]["devices"])
    assert report["reading"]["records"] == truth["records"]
    assert report["reading"]["malformed"] == truth["malformed"]
    assert report["steady"] == []
