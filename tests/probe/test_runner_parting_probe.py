"""A child with a parting time ends by itself when trivet is killed, and is killed if it won't."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HOLDER = """
import asyncio, sys
from trivet.io import runner
async def main():
    words = [sys.executable, "-S", sys.argv[1], sys.argv[2]]
    async with runner.start(words, parting_s=float(sys.argv[3])) as child:
        print(child.pid, flush=True)
        await child.wait()
asyncio.run(main())
"""
POLITE = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path(sys.argv[1]).write_text("tidied"), sys.exit()))
pathlib.Path(sys.argv[1]).write_text("running")
time.sleep(60)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("running")
time.sleep(60)
"""


@pytest.mark.parametrize(("program", "left"), [(POLITE, "tidied"), (STUBBORN, "running")])
def test_children_part_when_their_starter_is_killed(tmp_path: Path, program: str, left: str) -> None:
    (tmp_path / "program.py").write_text(program)
    words = [sys.executable, "-c", HOLDER, tmp_path / "program.py", tmp_path / "note", "1.0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        await_that(lambda: (tmp_path / "note").exists() and (tmp_path / "note").read_text() == "running")
        os.kill(holder.pid, signal.SIGKILL)
    await_that(lambda: not Path(f"/proc/{pid}").exists())
    assert (tmp_path / "note").read_text() == left


def await_that(condition: object, deadline_s: float = 20.0) -> None:
    """Wait until `condition()` holds."""
    assert callable(condition)
    until = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.01)
