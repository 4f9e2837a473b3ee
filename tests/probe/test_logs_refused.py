"""Logs that this account may not read are told, and nothing else suffers; the kernel itself refuses them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LINE = b'10.0.0.1 - - [03/Jun/2024:10:00:00 +0000] "GET /a HTTP/1.1" 200 17 "-" "x"\n'
#: root is refused nothing: it is run without the rights that make it so
UNPRIVILEGED = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Path]:
    """A folder with a log that may be read, one that may not, and one in a folder that may not be entered."""
    (tmp_path / "shut").mkdir()
    for name in ("open.log", "closed.log", "shut/in.log"):
        (tmp_path / name).write_bytes(LINE)
    (tmp_path / "closed.log").chmod(0)
    (tmp_path / "shut").chmod(0)
    yield tmp_path
    (tmp_path / "shut").chmod(0o700)


def trivet(folder: Path, *words: str) -> tuple[int, str, str]:
    """Run trivet in `folder` without the right to read everything; return (exit code, output, errors)."""
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "trivet", *words], cwd=folder, capture_output=True, timeout=60
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("verb", ["logs", "floods"])
@pytest.mark.parametrize("name", ["closed.log", "shut/in.log"])
def test_a_log_that_may_not_be_read(logs: Path, verb: str, name: str) -> None:
    code, output, errors = trivet(logs, verb, name)
    assert (code, output) == (2, "")
    assert f"cannot read {name}: Permission denied" in errors


def test_the_other_logs_are_read(logs: Path) -> None:
    code, output, errors = trivet(logs, "logs", "*.log", "--json")
    assert code == 0
    assert '"records": 1,' in output
    assert "left out: cannot read closed.log: Permission denied" in errors


def test_followed_logs_that_may_not_be_read(logs: Path) -> None:
    words = ["--follow", "--from-start", "--for", "0.5", "--json"]
    code, output, errors = trivet(logs, "logs", "*.log", "shut/in.log", *words)
    assert code == 0
    assert '"lines_handled": 1,' in output
    assert errors.count("cannot read closed.log: Permission denied") == 1
    assert errors.count("cannot read shut/in.log: Permission denied") == 1


@pytest.mark.parametrize("option", ["--html", "--bad-lines"])
def test_a_file_that_may_not_be_written(logs: Path, option: str) -> None:
    code, _, errors = trivet(logs, "logs", "open.log", option, "shut/out")
    assert code == 2
    assert "cannot write shut/out: Permission denied" in errors
