"""Processes that shall not share a processor."""

import os
import subprocess
import sys

import pytest

_SHOW = """
import os, sys, threading
from trivet.io.processors import run_apart
os.sched_setaffinity(0, set(map(int, sys.argv[2].split(","))))
run_apart(int(sys.argv[1]))
seen = []
thread = threading.Thread(target=lambda: seen.append(sorted(os.sched_getaffinity(0))))
thread.start()
thread.join()
print(*seen[0])
"""


def _processors(place: int, usable: list[int]) -> set[int]:
    """Return where a thread of a process runs that was told its `place` and may use the `usable`."""
    command = [sys.executable, "-c", _SHOW, str(place), ",".join(map(str, usable))]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(map(int, told.stdout.split()))


def test_neighbours_share_no_processor_and_use_all_there_are() -> None:
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        pytest.skip("one processor: nothing can be kept apart")
    first, second = _processors(0, usable), _processors(1, usable)
    assert not first & second
    assert first | second == set(usable)


def test_with_one_processor_nothing_changes() -> None:
    only = sorted(os.sched_getaffinity(0))[:1]
    assert _processors(0, only) == _processors(1, only) == set(only)
