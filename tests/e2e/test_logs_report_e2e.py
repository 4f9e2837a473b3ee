"""`trivet logs` as a user types it: exact counts, alerts by the classic parameters, messages."""

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
START_S = 1717583229  # 2024-06-05 10:27:09 UTC


def trivet(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command with `arguments`."""
    return subprocess.run(
        [sys.executable, "-m", "trivet", "logs", *arguments], input=stdin, capture_output=True, timeout=110
    )


def report(*arguments: str, stdin: bytes = b"") -> dict[str, Any]:
    """Return what the command says as JSON; it must have gone well."""
    done = trivet(*arguments, "--json", stdin=stdin)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated log with nasty and malformed lines; its exact answers lie beside it."""
    path = tmp_path_factory.mktemp("made") / "access.log"
    arguments = [
        "--lines",
        "20000",
        "--seed",
        "7",
        "--nasty",
        "0.02",
        "--malformed",
        "0.01",
        "--urls",
        "3000",
    ]
    subprocess.run([sys.executable, BENCH / "mklog.py", path, *arguments], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("engine", ["kernel", "regex"])
def test_every_field_equals_the_truth(made: Path, engine: str) -> None:
    truth = json.loads(Path(f"{made}.truth.json").read_text())
    said = report(str(made), "--engine", engine)
    fields = [name for name in truth if name not in ("file_bytes", "top_ip_hours", "lockstep")]
    assert {name: said[name] for name in fields} == {name: truth[name] for name in fields}
    assert said["engine"] == engine
    assert said["format"] == "combined"
    assert said["files"][0]["lines"] == truth["lines"]


def test_packed_split_and_piped_logs_say_the_same(made: Path, tmp_path: Path) -> None:
    lines = made.read_bytes().splitlines(keepends=True)
    (tmp_path / "a.log.1").write_bytes(gzip.compress(b"".join(lines[:7000])))
    (tmp_path / "a.log").write_bytes(bz2.compress(b"".join(lines[7000:])))
    whole = report(str(made), "--engine", "kernel")
    split = report(str(tmp_path / "a.log*"), "--engine", "kernel")
    piped = report("-", "--engine", "kernel", stdin=gzip.compress(made.read_bytes()))
    assert [Path(f["path"]).name for f in split["files"]] == ["a.log.1", "a.log"]
    for other in (split, piped):
        assert {**other, "files": 0} == {**whole, "files": 0}


def log_of(values: list[int]) -> bytes:
    """Return a log of one request of so many bytes every 10 s."""
    from time import gmtime, strftime

    stamps = (strftime("%d/%b/%Y:%H:%M:%S +0000", gmtime(START_S + 10 * k)) for k in range(len(values)))
    return b"".join(
        f'10.0.0.1 - - [{stamp}] "GET /a HTTP/1.1" 200 {size} "-" "x"\n'.encode()
        for stamp, size in zip(stamps, values, strict=True)
    )


@pytest.mark.parametrize("engine", ["kernel", "regex"])
def test_alert_raised_and_cleared_by_the_default_parameters(engine: str) -> None:
    # 12 and 120 windows of 10 s, threshold 1.5, over bytes: with the fourth window of the burst the short
    # average is 2000/12 > 150; it is 2000/12 again, and no more over 1.5 * 113.3, eight windows after it
    values = [100] * 132 + [300] * 12 + [100] * 40
    alerts = report("-", "--engine", engine, stdin=log_of(values))["alerts"]
    assert [(a["event"], a["time_s"] - START_S) for a in alerts] == [("raised", 1360), ("cleared", 1520)]
    assert alerts[0]["short_average"] == pytest.approx(2000 / 12)
    assert alerts[0]["long_average"] == 100
    assert alerts[1]["long_average"] == pytest.approx((112 * 100 + 8 * 300) / 120)


def test_steady_traffic_from_a_fresh_start_does_not_alarm() -> None:
    assert report("-", stdin=log_of([1] + [100] * 300))["alerts"] == []


def test_other_parameters() -> None:
    stdin = log_of([100] * 10 + [190] * 2)
    quick = ("--short-median", "2", "--long-median", "4", "--threshold", "1.8")
    assert [a["event"] for a in report("-", *quick, stdin=stdin)["alerts"]] == ["raised"]
    assert report("-", *quick, "--alert-on", "hits", stdin=stdin)["alerts"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--short-median", "120"], "must be smaller than the long median"),
        (["--threshold", "1"], "must be bigger than 1"),
        (["--engine", "fast"], 'Invalid value "fast" for --engine'),
        (["--format", "syslog"], "no log format is called 'syslog'"),
        (["--memory-mb", "1"], "--memory-mb must be 16 or more"),
        (["--follow", "--for", "-1"], "--for must be more than 0"),
        (["--follow", "--alert-command", "'"], "--alert-command can't be split into words"),
        (["--follow", "--html", "no/such/folder.html"], "cannot write no/such/folder.html"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(log_of([1]))
    done = trivet(str(path), *arguments)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_bad_lines_are_kept_with_number_and_reason(made: Path, tmp_path: Path) -> None:
    truth = json.loads(Path(f"{made}.truth.json").read_text())
    out = tmp_path / "bad.txt"
    report(str(made), "--bad-lines", str(out))
    kept = out.read_text().splitlines()
    assert [int(line.split(":")[1]) for line in kept] == truth["malformed_lines"]
    assert all(line.split(": ", 2)[1] for line in kept)


def test_text_and_page(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    text = trivet(str(made)).stdout.decode()
    assert "203.0.113.77" in text
    assert "/api/login" in text
    done = trivet(str(made), "--html", str(page))
    assert done.returncode == 0, done.stderr
    html = page.read_text()
    assert "203.0.113.77" in html
    assert 'src="http' not in html


def test_durations_make_percentiles_and_slow_urls(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    lines = log_of([1] * 200).replace(b'"x"\n', b'"x" 0.010\n').replace(b"GET /a ", b"GET /slow ", 10)
    path.write_bytes(
        lines.replace(b'/slow HTTP/1.1" 200 1 "-" "x" 0.010', b'/slow HTTP/1.1" 200 1 "-" "x" 2.500')
    )
    for engine in ("kernel", "regex"):
        said = report(str(path), "--engine", engine)
        assert said["format"] == "combined+duration"
        assert said["latency"]["p50_s"] == pytest.approx(0.010, rel=0.01)
        assert said["latency"]["p99_s"] == pytest.approx(2.5, rel=0.01)
        assert said["slow_urls"][0] == {"url": "/slow", "hits": 10, "mean_s": 2.5, "max_s": 2.5}
