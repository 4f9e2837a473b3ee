"""A real follower, a real writer that rotates under it, real sinks."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 60.0


class Follower:
    """`trivet logs --follow --json` as a process, with what it printed."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trivet", "logs", *arguments, "--follow", "--json", "--every", "0.2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def handled(self) -> int:
        """Return the lines handled so far."""
        return max((e["lines_handled"] for e in list(self.events) if e["event"] == "period"), default=-1)

    def wait_until(self, done: Any) -> None:
        """Wait until `done()` is true, at most DEADLINE_S."""
        ends_s = time.monotonic() + DEADLINE_S
        while not done():
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            assert time.monotonic() < ends_s, self.events[-3:]
            time.sleep(0.02)

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        self._reader.join()
        return code


@pytest.fixture
def following() -> Iterator[Any]:
    """Start followers that are gone after the test."""
    started: list[Follower] = []

    def start(*arguments: str) -> Follower:
        started.append(Follower(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one._reader.join()
        for stream in (one.process.stdout, one.process.stderr):
            if stream:
                stream.close()


def line(size: int = 100, stamp_s: float | None = None) -> bytes:
    """Return a Combined line stamped now or `stamp_s`."""
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(stamp_s))
    return f'10.0.0.1 - - [{stamp}] "GET /a/b HTTP/1.1" 200 {size} "-" "probe"\n'.encode()


def test_not_one_line_is_lost_over_rotations(tmp_path: Path, following: Any) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(line())
    follower = following(str(path), "--from-start")
    follower.wait_until(lambda: follower.handled() >= 1)
    written = 1
    for turn in range(5):
        with path.open("ab", buffering=0) as old:
            for _ in range(200):
                old.write(line())
            os.rename(path, tmp_path / f"access.log.{turn}")
            with path.open("ab") as new:
                new.write(line())
            for _ in range(100):  # until it is told to reopen, a server writes to the renamed file
                old.write(line())
        (tmp_path / f"access.log.{turn - 1}").unlink(missing_ok=True)
        written += 301
        expected = written
        follower.wait_until(lambda: follower.handled() >= expected)  # noqa: B023
    assert follower.stop() == 0
    assert follower.handled() == written
    assert follower.events[-1]["malformed"] == follower.events[-1]["truncations"] == 0


def test_copytruncate_is_reported(tmp_path: Path, following: Any) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(line() * 10)
    follower = following(str(path), "--from-start")
    follower.wait_until(lambda: follower.handled() == 10)
    os.truncate(path, 0)
    path.open("ab").write(line(5) * 3)
    follower.wait_until(lambda: follower.handled() == 13)
    assert follower.stop() == 0
    assert follower.events[-1]["truncations"] == 1
    assert b"was truncated" in follower.process.stderr.read()


class Hook(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    posts: list[dict[str, Any]]

    def do_POST(self) -> None:
        """Take one alert."""
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).posts.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_alerts_reach_every_sink(tmp_path: Path, following: Any) -> None:
    Hook.posts = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path, out, told = tmp_path / "access.log", tmp_path / "alerts.jsonl", tmp_path / "command.json"
    began_s = time.time() - 60
    steady = b"".join(line(100, began_s + k) for k in range(40))
    path.write_bytes(steady)
    try:
        follower = following(
            str(path), "--from-start", "--time-resolution", "1", "--short-median", "2", "--long-median", "10",
            "--alert-file", str(out), "--alert-command", f"tee {told}",
            "--alert-webhook", f"http://127.0.0.1:{server.server_port}/hook",
        )  # fmt: skip
        follower.wait_until(lambda: follower.handled() == 40)
        path.open("ab").write(b"".join(line(900, began_s + 40 + k) for k in range(4)))
        follower.wait_until(lambda: any(e["event"] == "raised" for e in follower.events))
        # no line comes any more: quiet windows go by with the clock, and clear it
        follower.wait_until(lambda: any(e["event"] == "cleared" for e in follower.events))
        assert follower.stop() == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    alerts = [e for e in follower.events if e["event"] != "period"]
    assert [e["event"] for e in alerts] == ["raised", "cleared"]
    assert alerts[0]["short_average"] > 1.5 * alerts[0]["long_average"]
    assert [json.loads(text)["event"] for text in out.read_text().splitlines()] == ["raised", "cleared"]
    assert [post["event"] for post in Hook.posts] == ["raised", "cleared"]
    assert json.loads(told.read_text())["event"] == "cleared"


def test_a_broken_sink_is_told_and_stops_nothing(tmp_path: Path, following: Any) -> None:
    path = tmp_path / "access.log"
    began_s = time.time() - 60
    path.write_bytes(b"".join(line(100 if k < 20 else 900, began_s + k) for k in range(24)))
    follower = following(
        str(path), "--from-start", "--time-resolution", "1", "--short-median", "2", "--long-median", "4",
        "--alert-command", "false", "--alert-webhook", "http://127.0.0.1:9/",
    )  # fmt: skip
    follower.wait_until(lambda: any(e["event"] == "raised" for e in follower.events))
    assert follower.stop() == 0
    said = follower.process.stderr.read().decode()
    assert "false ended with 1" in said
    assert "http://127.0.0.1:9/" in said


def test_a_writer_at_full_speed_is_kept_up_with(tmp_path: Path, following: Any) -> None:
    path = tmp_path / "access.log"
    path.touch()
    follower = following(str(path), "--engine", "kernel")
    follower.wait_until(lambda: follower.handled() == 0)
    writer = subprocess.run(
        [sys.executable, "-m", "trivet", "logs", "generate", str(path), "--rate", "300000", "--for", "2",
         "--factor", "100", "--malformed", "0.01"],
        capture_output=True, timeout=DEADLINE_S,
    )  # fmt: skip
    written = path.read_bytes().count(b"\n")
    follower.wait_until(lambda: follower.handled() >= written)
    assert follower.stop() == 0
    last = follower.events[-1]
    assert (last["lines_handled"], last["lines_waiting"], last["truncations"]) == (written, 0, 0)
    assert 0.008 * written < last["malformed"] < 0.012 * written
    assert f"{written} lines in".encode() in writer.stderr


CADDY = (
    b'{"level":"info","ts":1646861401.5,"logger":"http.log.access","msg":"handled request","request":'
    b'{"remote_ip":"127.0.0.1","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/caddy"},'
    b'"duration":0.9,"size":10900,"status":200}\n'
)


@pytest.mark.parametrize("first", ["caddy.log", "nginx.log"])
def test_files_of_two_formats_are_followed_together(tmp_path: Path, following: Any, first: str) -> None:
    second = {"caddy.log": "nginx.log", "nginx.log": "caddy.log"}[first]
    held = {"caddy.log": CADDY, "nginx.log": line()}
    (tmp_path / first).write_bytes(held[first] * 3)
    follower = following(str(tmp_path / first), str(tmp_path / second), "--from-start")
    follower.wait_until(lambda: follower.handled() == 3)
    (tmp_path / second).write_bytes(held[second] * 4)
    follower.wait_until(lambda: follower.handled() == 7)
    (tmp_path / first).open("ab").write(held[first] * 2)
    follower.wait_until(lambda: follower.handled() == 9)
    assert follower.stop() == 0
    assert follower.events[-1]["malformed"] == 0
    assert sum(e["hits"] for e in follower.events if e["event"] == "period") == 9


def test_an_endless_line_is_one_malformed_line(tmp_path: Path, following: Any) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(line())
    follower = following(str(path), "--from-start")
    follower.wait_until(lambda: follower.handled() == 1)
    with path.open("ab", buffering=0) as out:
        for _ in range(30):
            out.write(b"y" * 1_000_000)
        out.write(b"\n" + line())
    follower.wait_until(lambda: follower.handled() == 3)
    assert follower.stop() == 0
    assert follower.events[-1]["malformed"] == 1


@pytest.mark.parametrize(("name", "words"), [(".", "is a directory"), ("/dev/zero", "is no regular file")])
@pytest.mark.parametrize("verb", ["logs", "floods"])
def test_what_cannot_be_followed_is_told_at_once(name: str, words: str, verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trivet", verb, name, "--follow"], capture_output=True, timeout=DEADLINE_S
    )
    assert done.returncode == 2
    assert words in done.stderr.decode()
