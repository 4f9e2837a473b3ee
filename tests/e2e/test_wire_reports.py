"""The reports of `trivet wire` as files: HTML, HAR, events for `trivet runs`; live capture; hostile input."""

import gzip
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from http_server import serving
from packet_writer import ACK, CaptureWriter, Peer, request, response

TRIVET = [sys.executable, "-m", "trivet"]


def trivet(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as typed."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*TRIVET, *map(str, words)], capture_output=True, text=True, timeout=90, **options
    )


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Write a capture with a good, a failed and an unanswered exchange, and a silent connection."""
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(1_700_000_000.0)
    for number, (path, answer) in enumerate(
        [
            ("/good?a=1&b=%20", response(b"x" * 2000, "200 OK", "Content-Type: text/html; charset=utf-8")),
            ("/<script>alert(1)</script>", response(b"no", "404 Not Found")),
            ("/lonely", b""),
        ]
    ):
        peer.say(0, 1_700_000_001.0 + number, request(path))
        peer.say(1, 1_700_000_001.25 + number, answer)
    Peer(writer, client=("10.0.0.1", 40001)).handshake(1_700_000_000.5)
    path = tmp_path / "mixed.pcap"
    path.write_bytes(writer.pcap())
    return path


def test_terminal_report(capture: Path) -> None:
    done = trivet("wire", capture, env={**os.environ, "COLUMNS": "140"})
    assert done.returncode == 0
    words = done.stdout.replace("\u00a0", " ")
    head = " ".join(words.split())
    assert "2 connections (2 opened here, 1 silent, 1 reused, 0 TLS)" in head
    assert "3 requests, 2 responses, 2 pairs" in head
    assert re.search(r"250\.0 ms +0 µs +404 +GET http://a\.example/<script>", words)
    assert "(no answer) GET http://a.example/lonely" in words


def test_a_server_that_is_not_there_or_is_none(capture: Path) -> None:
    told = trivet("wire", capture, "--server", "10.9.9.9")
    assert "No connection was opened to 10.9.9.9; servers in this capture: 10.0.0.2:80." in told.stdout
    refused = trivet("wire", capture, "--server", "nonsense")
    assert refused.returncode == 2
    assert "--server wants an address or address:port" in refused.stderr


def test_what_goes_through_a_websocket_is_said_not_to_be_read(tmp_path: Path) -> None:
    writer = CaptureWriter()
    peer = Peer(writer)
    peer.handshake(1_700_000_000.0)
    peer.say(0, 1_700_000_001.0, request("/live"))
    peer.say(1, 1_700_000_001.5, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
    (tmp_path / "ws.pcap").write_bytes(writer.pcap())
    told = json.loads(trivet("wire", tmp_path / "ws.pcap", "--json").stdout)
    assert [(one["status"], one["upgrade"]) for one in told["exchanges"]] == [(101, "websocket")]
    assert any("opened a WebSocket: the upgrade itself is shown" in note for note in told["notes"])


def test_one_stream_shows_its_heads(capture: Path) -> None:
    done = trivet("wire", capture, "--stream", 0)
    assert "Content-Type: text/html; charset=utf-8" in done.stdout
    assert trivet("wire", capture, "--stream", 7).returncode == 2


def test_html_page_holds_everything_and_fetches_nothing(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert trivet("wire", capture, "--html", out).returncode == 0
    page = out.read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "default-src 'none'" in page
    for words in (
        "Exchanges",
        "Slowest",
        "Errors (2)",
        "Hosts and URLs",
        "Connections",
        "silent",
        "no answer",
    ):
        assert words in page


def test_har(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.har"
    assert trivet("wire", capture, "--har", out).returncode == 0
    log = json.loads(out.read_text())["log"]
    assert (log["version"], len(log["entries"])) == ("1.2", 3)
    good, bad, lonely = log["entries"]
    assert good["request"]["queryString"] == [{"name": "a", "value": "1"}, {"name": "b", "value": " "}]
    assert {"name": "Host", "value": "a.example"} in good["request"]["headers"]
    assert good["response"]["content"] == {"size": 2000, "mimeType": "text/html"}
    assert good["timings"]["wait"] == pytest.approx(250, abs=0.01)
    assert good["timings"]["connect"] == pytest.approx(10, abs=0.01)
    assert good["startedDateTime"].startswith("2023-11-14T22:13:20.99")
    assert (bad["response"]["status"], lonely["response"]["status"]) == (404, 0)


def test_events_are_read_by_trivet_runs(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    done = trivet("wire", capture, "--events", out, "--json")
    hint = next(note for note in json.loads(done.stdout)["notes"] if "trivet runs" in note)
    words = hint.partition("trivet ")[2].split()
    told = json.loads(trivet(*words, "--json").stdout)
    assert (told["runs"], told["phases"]["wait"]["count"]) == (3, 2)
    assert told["phases"]["wait"]["mean"] == pytest.approx(0.25, abs=1e-5)


@pytest.mark.skipif(shutil.which("dumpcap") is None, reason="dumpcap is not installed")
def test_live_capture(tmp_path: Path) -> None:
    with serving() as port:
        asking = subprocess.Popen(
            [
                "sh",
                "-c",
                f"while :; do curl -s -o /dev/null 'http://127.0.0.1:{port}/live?size=5'; sleep 0.1; done",
            ]
        )
        try:
            out = tmp_path / "live.pcapng"
            done = trivet(
                "wire",
                out,
                "--live",
                "lo",
                "--seconds",
                "2",
                "--capture-filter",
                f"tcp port {port}",
                "--json",
            )
        finally:
            asking.kill()
            asking.wait()
    if "permission" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("this account may not capture")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["pairs"] >= 1
    assert told["exchanges"][0]["url"] == f"http://127.0.0.1:{port}/live?size=5"


def test_live_capture_that_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"evidence")
    done = trivet("wire", tmp_path / "kept", "--live", "lo", "--seconds", "1")
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert (tmp_path / "kept").read_bytes() == b"evidence"
    done = trivet("wire", tmp_path / "x", "--live", "nosuchdevice0", "--seconds", "1")
    assert done.returncode == 3
    assert "dumpcap" in done.stderr
    done = trivet("wire", tmp_path / "x", "--live", "lo", env={**os.environ, "PATH": str(tmp_path)})
    assert "dumpcap is not installed" in done.stderr


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty or too short"),
        (b"GET / HTTP/1.1\r\n" * 9, "neither pcap"),
        (b"\x1f\x8b" + bytes(90), "decompressed"),
    ],
)
def test_what_is_no_capture(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    done = trivet("wire", path)
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_and_one_that_can_not_be_written(capture: Path, tmp_path: Path) -> None:
    assert "can't read the capture" in trivet("wire", tmp_path / "none").stderr
    assert "can't write" in trivet("wire", capture, "--html", tmp_path / "no" / "x.html").stderr


def test_a_cut_gzip_gives_what_it_has(capture: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(gzip.compress(capture.read_bytes(), 1)[:-60])
    done = trivet("wire", path, "--json")
    assert done.returncode == 0, done.stderr
    assert any("cut" in note for note in json.loads(done.stdout)["notes"])


def test_memory_stays_bounded_however_long_the_capture(tmp_path: Path) -> None:
    """300 MB through a pipe, under a cap that would not hold them."""
    writer = CaptureWriter("raw")
    peer = Peer(writer)
    peer.handshake(1.0)
    peer.say(0, 2.0, request("/endless"))
    peer.say(1, 3.0, b"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n")
    head = writer.pcap()
    body = CaptureWriter("raw")
    peer.writer = body
    before = peer.next[1]
    for _ in range(200):
        peer.packet(1, 4.0, ACK, bytes(1400))
    records, sequence_at = bytearray(body.pcap()[24:]), 16 + 20 + 4

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))

    with subprocess.Popen(
        [*TRIVET, "wire", "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=limit,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as process:
        assert process.stdin is not None
        process.stdin.write(head)
        size = 16 + 20 + 20 + 1400
        for turn in range(1000):
            for row in range(200):
                number = (before + (turn * 200 + row) * 1400) & 0xFFFFFFFF
                records[row * size + sequence_at : row * size + sequence_at + 4] = number.to_bytes(4, "big")
            process.stdin.write(records)
        out, _ = process.communicate(timeout=90)
    told = json.loads(out)
    assert told["packets"] == 5 + 200_000
    assert (told["retransmissions"], told["missing_bytes"]) == (0, 0)
    assert told["exchanges"][0]["response_bytes"] == 280_000_000
    assert told["exchanges"][0]["complete"] is False
