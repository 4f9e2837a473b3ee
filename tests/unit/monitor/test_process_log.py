"""A log of real processes: chosen by name, pid and text; odd names; counters by either name."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.monitor.process_log import COUNTERS, Choice, ProcessLog, counters_of


@contextmanager
def sleeping(program: bytes, *words: bytes) -> Iterator[int]:
    """Run a program that sleeps for the time of the block."""
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 10
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(program):
            assert time.monotonic() < until
            time.sleep(0.01)
        try:
            yield process.pid
        finally:
            process.kill()


def test_processes_are_chosen_by_part_of_their_name_by_pid_and_by_text(tmp_path: Path) -> None:
    program = tmp_path / "OddOne"
    shutil.copy(shutil.which("sleep") or "", program)
    with sleeping(bytes(program), b"60") as first, sleeping(bytes(program), b"61") as second:
        both = {first, second}
        assert set(Choice(names=["oddone"]).find()) == both
        assert set(Choice(names=["nothing", "ddon"]).find()) == both
        assert Choice(names=["oddone"], texts=["one 61"]).find() == [second]
        assert Choice(pids=[first]).find() == [first]
        assert both <= set(Choice().find())
        log = ProcessLog(Choice(names=["oddone"]), counters_of(["PrivateBytes", "rss_bytes"]))
        told = log.look()["processes"]
    assert {row["pid"] for row in told} == both
    assert set(told[0]) == {"pid", "caption", "private_bytes", "rss_bytes"}
    assert told[0]["private_bytes"] > 0
    assert log.look()["processes"] == []


def test_names_of_any_bytes_are_told_as_text_that_can_be_printed(tmp_path: Path) -> None:
    program = os.fsencode(tmp_path) + b"/n\xff\nme"
    shutil.copy(shutil.which("sleep") or "", program)
    with sleeping(program, b"60") as pid:
        told = ProcessLog(Choice(pids=[pid]), counters_of([])).look()
    row = told["processes"][0]
    assert row["caption"] == r"n\xff\x0ame"
    json.dumps(told, ensure_ascii=False).encode()
    assert set(row) == set(COUNTERS)


def test_a_counter_of_no_such_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="rss_bytes"):
        counters_of(["Rss"])


def test_the_command_tells_lines_of_json_and_ends_with_the_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    words = [sys.executable, "-m", "trivet", "health", "--pid", str(child.pid), "--every", "0.2"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as log:
        assert log.stdout is not None
        assert log.stderr is not None
        looks = [json.loads(log.stdout.readline()) for _ in range(3)]
        child.communicate(b"\n")
        assert log.wait(20) == 0
        assert "does not run" in log.stderr.read()
    assert all(look["processes"][0]["pid"] == child.pid for look in looks)
    stamps = [look["at_s"] for look in looks]
    assert stamps == sorted(stamps)
    assert looks[2]["processes"][0]["cpu_percent"] is not None
    assert len(looks[0]["timestamp"].rsplit(".", 1)[1]) == 3
    assert looks[0]["machine"]["virtual_total_bytes"] >= looks[0]["machine"]["memory_total_bytes"]
