"""`trivet uptime` as a user types it: probe, stop, import, report, chart."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet.cli.main import run

COMMAND = [sys.executable, "-m", "trivet", "uptime"]


def trivet(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it said."""
    return subprocess.run([*COMMAND, *argv], capture_output=True, text=True, timeout=60)


class Service(http.server.BaseHTTPRequestHandler):
    """Answers / well and everything else with 503."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/" else 503)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    """Run the service and return its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_probe_report_and_charts(service: str, tmp_path: Path) -> None:
    store = str(tmp_path / "u.sqlite")
    urls = [f"{service}/", f"{service}/broken"]
    ran = trivet("probe", *urls, "--every", "0.5", "--count", "3", "--place", "london", "--store", store)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(" 200, ") == 3
    assert ran.stdout.count(" 503, ") == 3
    report = json.loads(trivet("report", "--json", "--by", "day", "--store", store).stdout)
    assert report["by"] == "day"
    good, broken = sorted(report["rows"], key=lambda row: row["url"])
    assert (good["place"], good["samples"], good["availability"], good["over_1s"]) == ("london", 3, 1.0, 0.0)
    assert good["p50_ms"] > 0
    assert (broken["availability"], broken["failures"], broken["outages"]) == (0.0, 3, 1)
    wanted = {
        "place",
        "period",
        "availability",
        "over_1s",
        "over_10s",
        "p50_ms",
        "p95_ms",
        "samples",
        "gaps_s",
    }
    assert wanted <= set(good)
    page, picture = tmp_path / "u.html", tmp_path / "u.svg"
    assert trivet("report", "--chart", str(page), "--store", store).returncode == 0
    assert trivet("report", "--chart", str(picture), "--store", store).returncode == 0
    assert "Latest outages" in page.read_text()
    assert "status 503" in page.read_text()
    assert picture.read_text().startswith("<svg")
    text = trivet("report", "--store", store).stdout
    assert f"{service}/broken from london" in text
    assert "status 503" in text
    wrong = trivet("report", "--chart", str(tmp_path / "u.gif"), "--store", store)
    assert wrong.returncode == 2
    assert ".svg" in wrong.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_probe_stops_when_asked_and_keeps_what_it_has(service: str, tmp_path: Path, stop: int) -> None:
    store = tmp_path / "u.sqlite"
    argv = [*COMMAND, "probe", f"{service}/", "--json", "--every", "600", "--store", str(store)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        sample = json.loads(running.stdout.readline())
        os.kill(running.pid, stop)
        assert running.wait(20) == 0
        assert running.stderr.read() == ""
    assert sample["status"] == 200
    rows = json.loads(trivet("report", "--json", "--store", str(store)).stdout)["rows"]
    assert sum(row["samples"] for row in rows) == 1


def test_stores_of_several_places_are_reported_together(service: str, tmp_path: Path) -> None:
    stores = [str(tmp_path / f"{place}.sqlite") for place in ("london", "newark")]
    for place, store in zip(("london", "newark"), stores, strict=True):
        trivet("probe", f"{service}/", "--count", "1", "--place", place, "--store", store)
    ran = trivet("report", "--json", "--store", stores[0], "--store", stores[1])
    assert [row["place"] for row in json.loads(ran.stdout)["rows"]] == ["london", "newark"]


def timed_line(second: int, took: str, status: int = 200) -> str:
    """Return an nginx line with its request time behind."""
    stamp = f"05/Jun/2024:10:{second // 60:02}:{second % 60:02} +0000"
    return f'10.0.0.1 - - [{stamp}] "GET / HTTP/1.1" {status} 5 "-" "test" {took}\n'


def test_import_takes_each_line_once(tmp_path: Path) -> None:
    log, store = tmp_path / "timed.log", str(tmp_path / "u.sqlite")
    lines = [
        timed_line(k, "12.500" if k == 7 else "2.000" if k % 10 == 0 else "0.040", 500 if k == 3 else 200)
        for k in range(100)
    ]
    log.write_text("".join(lines) + "junk\n")
    assert (
        "100 samples (1 malformed)" in trivet("import", str(log), "--place", "web1", "--store", store).stdout
    )
    assert (
        "0 samples (101 imported before)"
        in trivet("import", str(log), "--place", "web1", "--store", store).stdout
    )
    with log.open("a") as more:
        more.write(timed_line(200, "0.040"))
    assert (
        "1 samples (101 imported before)"
        in trivet("import", str(log), "--place", "web1", "--store", store).stdout
    )
    (row,) = json.loads(trivet("report", "--json", "--store", store).stdout)["rows"]
    assert (row["place"], row["url"], row["period"], row["samples"]) == ("web1", "timed.log", "2024-06", 101)
    assert row["over_1s"] == pytest.approx(11 / 101)
    assert row["over_10s"] == pytest.approx(1 / 101)
    assert row["failures"] == 1
    assert row["p50_ms"] == pytest.approx(40, rel=0.02)
    assert row["gaps_s"] == 0


def test_wrong_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "u.sqlite")
    untimed = tmp_path / "plain.log"
    untimed.write_text('1.2.3.4 - - [05/Jun/2024:10:00:00 +0000] "GET / HTTP/1.1" 200 5\n')
    for argv, said in (
        (["report", "--store", store], "trivet uptime probe"),
        (["probe", "localhost", "--store", store], "http://"),
        (["probe", "http://x/", "--every", "0", "--store", store], "--every"),
        (["probe", "https://x/", "--ca-file", "/nowhere", "--store", store], "--ca-file"),
        (["import", str(untimed), "--store", store], "$request_time"),
        (["import", str(tmp_path / "none.log"), "--store", store], "none.log"),
        (["report", "--since", "june", "--store", store], "2024-06-05"),
    ):
        assert run(["uptime", *argv]) == 2, argv
        assert said in capsys.readouterr().err
