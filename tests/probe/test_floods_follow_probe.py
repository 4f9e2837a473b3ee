"""`trivet floods --follow` on a log that grows: told once, through a rotation, ended by a signal."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

START = 1717372800


def lines(beats: range, devices: int) -> str:
    """Return the requests of a fleet in lock-step, a beat every 150 s."""
    out = []
    for beat in beats:
        stamp = datetime.fromtimestamp(START + beat * 150, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        out += [f'10.0.0.{d} - - [{stamp}] "GET /checkin HTTP/1.1" 200 1\n' for d in range(1, devices + 1)]
    return "".join(out)


class Following:
    """The command, running."""

    def __init__(self, path: Path, *argv: str) -> None:
        command = [
            sys.executable,
            "-m",
            "trivet",
            "floods",
            str(path),
            "--follow",
            "--json",
            "--every",
            "0.2",
        ]
        self.process = subprocess.Popen([*command, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._buffer = b""

    def event(self, timeout_s: float = 30.0) -> dict[str, Any] | None:
        """Return the next event, or None when none comes in time."""
        assert self.process.stdout is not None
        ends = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, ends - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def stop(self, number: int) -> tuple[int, str]:
        """Send the signal and return the exit code and what went to standard error."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        said = self.process.stderr.read().decode()
        return self.process.wait(30), said


def test_a_fleet_is_told_once_while_the_log_grows_and_rotates(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(lines(range(8), 9))
    running = Following(path, "--from-start")
    try:
        with path.open("a") as log:
            log.write(lines(range(8, 24), 9))
        found = running.event()
        assert found is not None
        assert (found["event"], found["kind"], found["url"]) == ("finding", "lockstep", "/checkin")
        assert len(found["devices"]) == 9
        path.rename(tmp_path / "access.log.1")
        path.write_text(lines(range(24, 36), 9))
        assert running.event(1.5) is None, "what was told is not told again"
        code, said = running.stop(signal.SIGTERM)
        summary = running.event(1)
    finally:
        running.process.kill()
        running.process.communicate()
    assert code == 1
    assert "Traceback" not in said
    assert summary is not None
    assert (summary["event"], summary["requests"], summary["approximate"]) == ("summary", 36 * 9, False)
    assert summary["top_pairs"][0] == ["10.0.0.1", "/checkin", 36]


def test_a_quiet_log_ends_with_nothing_found(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(lines(range(2), 2) + "junk\n")
    running = Following(path, "--from-start", "--for", "1")
    try:
        summary = running.event()
        assert running.process.wait(30) == 0
    finally:
        running.process.kill()
        running.process.communicate()
    assert summary is not None
    assert (summary["requests"], summary["malformed"]) == (4, 1)
