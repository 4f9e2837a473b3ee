"""Requests beyond the memory cap go to disk, and the report stays the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trivet.insight.flood_report import FloodReport
from trivet.monitor.flood_collect import Collector

START = 1717372800


def fill(collector: Collector, seed: int) -> None:
    """Hand over a day: a fleet, visitors, a steady client that quickens, a storm; slightly out of order."""
    rng = np.random.default_rng(seed)
    rows = [
        (START + k * 150 + int(rng.integers(3)), f"10.0.0.{d}", "/in?v=1")
        for k in range(300)
        for d in range(8)
    ]
    times = START + rng.integers(0, 86400, 9000)
    rows += [
        (int(t), f"172.16.{rng.integers(60)}.{rng.integers(9)}", f"/p{rng.zipf(1.5) % 90}") for t in times
    ]
    rows += [
        (START + k * 3600 + int(m), "10.9.9.9", "/api") for k in range(24) for m in rng.integers(0, 3600, 9)
    ]
    rows += [(START + 20 * 3600 + k * 9, "10.9.9.9", "/api") for k in range(390)]
    rows += [(START + 21 * 3600 + k * 20, f"10.8.{k % 40}.1", "/storm") for k in range(170)]
    rows.sort()
    for number, (t, ip, url) in enumerate(rows, 1):
        collector.add(ip.encode(), url.encode(), float(t), 7200, "day.log", number)


def report_with(cap_bytes: int, folder: Path, seed: int) -> tuple[FloodReport, int]:
    """Return the report and how many rows had gone to disk before it was asked for."""
    collector = Collector(cap_bytes, folder)
    fill(collector, seed)
    spilled = collector.spilled_rows
    return collector.report(1e12), spilled


@pytest.mark.parametrize("seed", [1, 2])
def test_the_report_is_the_same_from_disk(tmp_path: Path, seed: int) -> None:
    in_memory, none = report_with(1 << 30, tmp_path / "a", seed)
    from_disk, some_rows = report_with(1 << 18, tmp_path / "b", seed)
    assert none == 0
    assert some_rows > 8_000
    assert from_disk.as_json() == in_memory.as_json()
    assert {kind for kind, found in in_memory.findings.items() if found} == {
        "lockstep",
        "steady",
        "pace",
        "storms",
    }


def test_the_clock_going_back_is_counted(tmp_path: Path) -> None:
    collector = Collector(1 << 30, tmp_path)
    for t in (5.0, 6.0, 4.0, 4.5, 1.0):
        collector.add(b"a", b"/", START + t, 0, "f", 1)
    assert collector.backwards == 2
    report = collector.report(1e12)
    assert report.busiest is not None
    assert report.busiest.hits == 5


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """The file size limit of a child plays the full disk."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from trivet.errors import TrivetError\n"
        "from trivet.monitor.flood_collect import Collector\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))\n"
        "collector = Collector(1 << 18, Path(sys.argv[1]) / 'x')\n"
        "try:\n"
        "    for k in range(900_000): collector.add(b'a', b'/u%d' % k, float(k), 0, 'f', k)\n"
        "except TrivetError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=60)
    assert "can't grow" in ran.stdout
    assert "TMPDIR" in ran.stdout
    assert list((tmp_path / "x").iterdir()) == [], "spilled rows lie in files without names"


def one_path(collector: Collector) -> None:
    """Hand over a day of one path, asked for with as many query strings as there are requests but a few."""
    rng = np.random.default_rng(5)
    rows = [(START + k * 150, f"10.0.{d // 9}.{d}", f"/x?d={d}&n={k}") for k in range(400) for d in range(40)]
    times = START + rng.integers(0, 60_000, 10_000)
    rows += [(int(t), f"172.16.{rng.integers(80)}.{rng.integers(9)}", f"/x?n={t}") for t in times]
    rows += [(START + k * 20, "10.9.9.9", "/x?n=often") for k in range(1000)]
    rows += [(START + k, "10.8.8.8", f"/x?m={k}") for k in range(15_000)]
    for number, (t, ip, url) in enumerate(sorted(rows), 1):
        collector.add(ip.encode(), url.encode(), float(t), 0, "day.log", number)


def test_one_path_with_more_query_strings_than_memory(tmp_path: Path) -> None:
    reports = []
    for cap_bytes in (1 << 30, 1 << 20):
        collector = Collector(cap_bytes, tmp_path / str(cap_bytes))
        one_path(collector)
        reports.append(collector.report(1e12))
    whole, shortened = reports
    assert shortened.top_pairs == whole.top_pairs
    assert shortened.top_pairs[0] == ("10.9.9.9", "/x?n=often", 1000)
    assert shortened.busiest == whole.busiest
    assert whole.shortened == []
    (words,) = shortened.shortened
    assert words.startswith("/x: query strings")
    assert "clients" in words
    (fleet,), (part_of_it,) = whole.findings["lockstep"], shortened.findings["lockstep"]
    assert len(fleet["devices"]) >= 40
    assert {d for d in part_of_it["devices"] if d.startswith("10.0.")} < set(fleet["devices"])
    assert abs(part_of_it["period_s"] - 150) < 1
