"""`trivet runs` as somebody types it: generated runs in, statistics and the chart out."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trivet.monitor.chart_files import chart_svg

SEGMENTS = ["initialisation", "queue", "flash", "boot", "test", "publish"]


def trivet(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command and check its exit code."""
    command = [sys.executable, "-m", "trivet", "runs", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def by_hand(path: Path, column: str) -> dict[str, np.ndarray]:
    """Durations per phase, the way the first analysis did it: masks over the table, one event each a run."""
    with h5py.File(path) as file:
        rows = file["device_group_1/events"][:]
    pairs = {
        "initialisation": ("request", "queue_start"),
        "queue": ("queue_start", "queue_end"),
        "flash": ("flash_start", "flash_end"),
        "boot": ("boot_start", "boot_end"),
        "test": ("test_start", "test_end"),
        "publish": ("test_end", "publish"),
    }
    return {
        phase: rows[column][rows["ev_name"] == end.encode()] - rows[column][rows["ev_name"] == start.encode()]
        for phase, (start, end) in pairs.items()
    }


@pytest.mark.parametrize(("by", "column"), [("emit", "emit"), ("receive", "received")])
def test_from_generated_runs_to_statistics_and_chart(tmp_path: Path, by: str, column: str) -> None:
    events, page = tmp_path / "events.h5", tmp_path / "page.svg"
    trivet("generate", 45, "--seed", 7, "--out", events)
    told: dict[str, Any] = json.loads(trivet("stats", events, "--json", "--by", by).stdout)
    assert (told["runs"], told["events"]) == (45, 450)
    assert set(told) == {"runs", "events", "event_counts", "phases"}
    assert set(told["event_counts"].values()) == {45}
    for phase, seconds in by_hand(events, column).items():
        assert told["phases"][phase] == {
            "count": 45,
            "min": seconds.min(),
            "max": seconds.max(),
            "mean": pytest.approx(seconds.mean(), abs=1e-6),
            "std": pytest.approx(seconds.std(), abs=1e-6),
            **{f"p{p}": pytest.approx(np.percentile(seconds, p), abs=1e-6) for p in (50, 95, 99)},
        }
    trivet("chart", events, "--unit", "min", "--out", page, "--page", 3)
    svg = page.read_text()
    assert "Testrun Time and Motion Analysis" in svg
    assert "Time / min" in svg
    assert all(f"#{colour}" in svg for colour in ("a5cee3", "1f78b3", "b2de89", "fcbf6f", "fb9a99", "693d9a"))
    assert [svg.index(f">{name}</text>") for name in SEGMENTS] == sorted(
        svg.index(f">{n}</text>") for n in SEGMENTS
    )
    assert [str(n) for n in range(4, -1, -1) if f">{n}</text>" in svg] == ["4", "3", "2", "1", "0"]


def test_every_format_gives_the_same_statistics(tmp_path: Path) -> None:
    told = []
    for name in ("e.h5", "e.csv", "e.parquet"):
        trivet("generate", 30, "--seed", 5, "--out", tmp_path / name)
        told.append(trivet("stats", tmp_path / name, "--json").stdout)
    assert told[0] == told[1] == told[2]


def test_the_terminal_shows_the_page_that_was_asked_for(tmp_path: Path) -> None:
    trivet("generate", 21, "--out", tmp_path / "e.csv")
    shown = trivet(tmp_path / "e.csv", "--page", 2).stdout
    assert "page 2 of 2, 21 runs" in shown
    assert "\n0 i" in shown
    refused = trivet("chart", tmp_path / "e.csv", "--page", 3, code=2)
    assert "the runs fill 2 pages" in refused.stderr


def test_the_html_page_holds_all_runs_and_fetches_nothing(tmp_path: Path) -> None:
    trivet("generate", 45, "--out", tmp_path / "e.csv")
    trivet("chart", tmp_path / "e.csv", "--out", tmp_path / "report.html")
    document = (tmp_path / "report.html").read_text()
    assert 'data-title="Chart"' in document
    assert 'data-title="Statistics"' in document
    spec = json.loads(document.split('<script type="application/json">')[1].split("</script>")[0])
    assert {row["run"] for row in spec["data"]["values"]} == {str(n) for n in range(45)}
    assert "src=" not in document.split("<script>")[0]


def test_events_emitted_and_imported_into_a_store_are_analysed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    trivet("generate", 10, "--out", tmp_path / "e.csv")
    assert trivet("import", tmp_path / "e.csv", "--store", store).stdout == "100 events kept\n"
    again = trivet("import", tmp_path / "e.csv", "--store", store).stdout
    assert again == "0 events kept; 100 were there already or are repeated\n"
    for event in ("flash_start", "flash_end"):
        trivet("emit", "by-hand", event, "--store", store, "--tag", "device_group=bench")
    trivet("compact", store)
    told = json.loads(trivet("stats", store, "--json").stdout)
    assert (told["runs"], told["events"], told["phases"]["flash"]["count"]) == (11, 102, 11)
    only = json.loads(trivet("stats", store, "--json", "--where", "device_group=bench").stdout)
    assert (only["runs"], only["event_counts"]) == (1, {"flash_start": 1, "flash_end": 1})
    assert trivet("forget", store, "--older-than-days", 365).stdout == "100 events forgotten\n"


def test_a_comparison_names_what_was_planted(tmp_path: Path) -> None:
    dice = np.random.default_rng(3)
    for name, slow in (("a.csv", 1.0), ("b.csv", 3.0)):
        lines = ["testrun_id,event_name,event_emit,device_group"]
        for run in range(120):
            group = int(dice.integers(0, 3))
            took = dice.lognormal(3, 0.3) * (slow if group == 1 else 1.0)
            lines += [
                f"{name}{run},flash_start,{run * 1000},g{group}",
                f"{name}{run},flash_end,{run * 1000 + took},g{group}",
            ]
        (tmp_path / name).write_text("\n".join(lines))
    told = json.loads(trivet("compare", tmp_path / "a.csv", tmp_path / "b.csv", "--json").stdout)
    assert (told["runs_a"], told["runs_b"]) == (120, 120)
    assert {(change["value"], change["more_than_noise"]) for change in told["ranked"][:2]} == {("g1", True)}
    trivet("compare", tmp_path / "a.csv", tmp_path / "b.csv", "--out", tmp_path / "c.html")
    assert 'data-title="Compare"' in (tmp_path / "c.html").read_text()
    periods = trivet("compare", "1970-01-01..1970-01-02", "1970-01-02..", "--of", tmp_path / "a.csv").stdout
    assert periods.startswith("A: 87 runs, B: 33 runs")
    refused = trivet("compare", "nowhere.csv", tmp_path / "b.csv", code=2)
    assert "a period is written FROM..TO" in refused.stderr


def test_an_exported_trace_reads_back_with_the_same_statistics(tmp_path: Path) -> None:
    trivet("generate", 25, "--out", tmp_path / "e.csv")
    trivet("export", tmp_path / "e.csv", "--out", tmp_path / "t.json")
    before, after = (
        json.loads(trivet("stats", tmp_path / name, "--json").stdout)["phases"]
        for name in ("e.csv", "t.json")
    )
    assert before == after


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_trace_that_chromium_wrote_is_read(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
    ]
    command += ["--trace-startup=toplevel", "--trace-startup-duration=1", "--trace-startup-format=json"]
    command += [
        f"--trace-startup-file={trace}",
        "--virtual-time-budget=2000",
        "--dump-dom",
        "data:text/html,hello",
    ]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    told = json.loads(trivet("stats", trace, "--json").stdout)
    assert told["phases"]["ThreadControllerImpl::RunTask"]["count"] > 10


def test_the_filters_of_the_page_choose_runs(tmp_path: Path) -> None:
    lines = ["testrun_id,event_name,event_emit,queue"]
    lines += [
        f"r{run},test_{edge},{run * 100 + at},q{run % 2}"
        for run in range(50)
        for edge, at in (("start", 0), ("end", 50))
    ]
    (tmp_path / "e.csv").write_text("\n".join(lines))
    trivet("chart", tmp_path / "e.csv", "--out", tmp_path / "r.html")
    document = (tmp_path / "r.html").read_text()
    spec = json.loads(document.split('<script type="application/json">')[1].split("</script>")[0])
    page, queue = spec["params"]
    assert queue["bind"]["options"] == [None, "q0", "q1"]
    page["value"], queue["value"] = 99, "q1"
    shown = {name for name in (f"r{n}" for n in range(50)) if f">{name}</text>" in chart_svg(spec)}
    assert shown == {"r1", "r3", "r5", "r7", "r9"}, "the last page of the 25 runs of q1"
