"""`trivet wire` on real TLS and drip exchanges: first bytes told from last ones, over HTTP/1.1 and HTTP/2."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from http_server import certificate, serving
from packet_writer import CaptureWriter, request
from recorder import Recorder

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "captures"
#: Timers of a busy machine; what the capture itself allows (5 ms) is measured by bench/wire_bench.py.
TOLERANCE_S = 0.03

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def trivet_wire(*words: object) -> dict[str, Any]:
    """Run the command as typed and return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "trivet", "wire", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def ask(connection: socket.socket, data: bytes, expected_x: int) -> None:
    """Send `data` and read until `expected_x` letters x of the bodies have come."""
    connection.settimeout(20)
    connection.sendall(data)
    while expected_x > 0:
        piece = connection.recv(65536)
        assert piece, "the server closed early"
        expected_x -= piece.replace(b"text/plain", b"").count(b"x")


def test_drip_server_first_byte_is_told_from_the_last(tmp_path: Path) -> None:
    writer = CaptureWriter()
    pipelined = b"".join(request(f"/{n}?first=0.1&size={n * 7000 + 2}") for n in range(3))
    with (
        serving() as port,
        Recorder(("127.0.0.1", port), writer) as recorder,
        socket.create_connection(("127.0.0.1", recorder.port)) as connection,
    ):
        ask(connection, request("/a?first=0.15&drip=0.25&size=3000"), 3000)
        ask(connection, pipelined, 21_006)
    path = tmp_path / "drip.pcap"
    path.write_bytes(writer.pcap(nanoseconds=True))
    told = trivet_wire(path)
    assert (told["requests"], told["pairs"], told["streams"]) == (4, 4, 1)
    drip, *rest = told["exchanges"]
    assert drip["wait_s"] == pytest.approx(0.15, abs=TOLERANCE_S)
    assert drip["transfer_s"] == pytest.approx(0.25, abs=TOLERANCE_S)
    assert [row["response_bytes"] for row in rest] == [2, 7002, 14002]
    assert [row["url"].split("/")[3][0] for row in rest] == ["0", "1", "2"]
    assert {row["request_frame"] for row in rest} == {rest[0]["request_frame"]}
    assert [row["wait_s"] for row in rest] == sorted(row["wait_s"] for row in rest)


@needs_tshark
def test_http1_in_tls_on_an_odd_port_pipelined(tmp_path: Path) -> None:
    writer, keys, pem = CaptureWriter(), tmp_path / "keys", certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(pem))
    context.keylog_filename = str(keys)
    with serving(pem) as port, Recorder(("127.0.0.1", port), writer) as recorder:
        plain = socket.create_connection(("127.0.0.1", recorder.port))
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            pipelined = b"".join(request(f"/{n}?first=0.1&drip=0.2&size={n * 20000 + 10}") for n in range(3))
            ask(connection, pipelined, 60_030)
    path = tmp_path / "tls.pcap"
    path.write_bytes(writer.pcap(nanoseconds=True))
    told = trivet_wire(path, "--keylog", keys)
    assert (told["requests"], told["responses"], told["pairs"]) == (3, 3, 3)
    rows = told["exchanges"]
    assert [row["response_bytes"] for row in rows] == [10, 20_010, 40_010]
    for number, row in enumerate(rows):
        assert row["wait_s"] == pytest.approx(0.1 + number * 0.3, abs=0.05)
        assert row["transfer_s"] == pytest.approx(0.2, abs=0.02)
        assert row["url"].startswith(f"https://a.example/{number}?")
    (connection_row,) = told["connections"]
    assert (connection_row["tls_version"], connection_row["alpn"]) == ("TLS 1.3", "http/1.1")
    closed = trivet_wire(path)
    assert closed["requests"] == 0
    assert any("--keylog" in note for note in closed["notes"])


@needs_tshark
def test_http2_streams_that_run_beside_each_other(tmp_path: Path) -> None:
    writer, keys, pem = CaptureWriter(), tmp_path / "keys", certificate(tmp_path)
    with serving(pem, http2=True) as port, Recorder(("127.0.0.1", port), writer) as recorder:
        urls = [
            f"https://localhost:{recorder.port}/{n}?first={0.1 * n}&drip=0.2&size={n * 5000 + 3}"
            for n in range(4)
        ]
        words = [word for url in urls for word in ("-o", "/dev/null", url)]
        subprocess.run(
            ["curl", "-sS", "--http2", "--parallel", "--cacert", pem, *words],
            env={**os.environ, "SSLKEYLOGFILE": str(keys)},
            check=True,
            timeout=30,
        )
    path = tmp_path / "h2.pcap"
    path.write_bytes(writer.pcap(nanoseconds=True))
    told = trivet_wire(path, "--keylog", keys)
    rows = {row["url"]: row for row in told["exchanges"]}
    assert set(rows) == set(urls)
    assert told["pairs"] == 4
    assert told["connections"][0]["alpn"] == "h2"
    for number, url in enumerate(urls):
        row = rows[url]
        assert row["response_bytes"] == number * 5000 + 3
        assert row["wait_s"] == pytest.approx(0.1 * number, abs=0.05)
        assert row["transfer_s"] == pytest.approx(0.2, abs=0.03)
        assert (row["version"], row["status"], row["complete"]) == ("2", 200, True)


@needs_tshark
def test_http2_without_tls_on_an_odd_port(tmp_path: Path) -> None:
    writer = CaptureWriter()
    with serving(http2=True) as port, Recorder(("127.0.0.1", port), writer) as recorder:
        url = f"http://localhost:{recorder.port}/clear?first=0.1&drip=0.2&size=40000"
        words = ["curl", "-sS", "-4", "--http2-prior-knowledge", "-o", "/dev/null", url]
        subprocess.run(words, check=True, timeout=30)
    path = tmp_path / "h2c.pcap"
    path.write_bytes(writer.pcap(nanoseconds=True))
    (row,) = trivet_wire(path)["exchanges"]
    assert (row["url"], row["version"], row["response_bytes"], row["complete"]) == (url, "2", 40_000, True)
    assert row["wait_s"] == pytest.approx(0.1, abs=0.05)
    assert row["transfer_s"] == pytest.approx(0.2, abs=0.05)


@needs_tshark
@pytest.mark.skipif(shutil.which("editcap") is None, reason="editcap is not installed")
@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no public captures at {CAPTURES}")
def test_keys_inside_the_capture_are_used(tmp_path: Path) -> None:
    name, out = CAPTURES / "zeek_tls-1.2-stream-keylog", tmp_path / "with-keys.pcapng"
    subprocess.run(
        ["editcap", "--inject-secrets", f"tls,{name}.keys.txt", f"{name}.pcap", out], check=True, timeout=30
    )
    assert trivet_wire(out)["pairs"] == 16


@needs_tshark
@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no public captures at {CAPTURES}")
def test_the_public_tls_capture_with_its_keys() -> None:
    name = CAPTURES / "zeek_tls-1.2-stream-keylog"
    told = trivet_wire(f"{name}.pcap", "--keylog", f"{name}.keys.txt")
    assert (told["requests"], told["responses"], told["pairs"]) == (16, 16, 16)
    assert {row["host"] for row in told["exchanges"]} == {"www.heise.de"}


def test_key_logs_that_are_none(tmp_path: Path) -> None:
    capture = tmp_path / "x.pcap"
    capture.write_bytes(CaptureWriter().pcap())
    for keys, why in ((tmp_path / "none", "can't read the key log"), (capture, "is no key log")):
        done = subprocess.run(
            [sys.executable, "-m", "trivet", "wire", capture, "--keylog", keys],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert why in done.stderr
