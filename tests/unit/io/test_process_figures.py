"""Looks at real processes: what they use, what vanishes under the eye, what Python tells of itself."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from trivet.io import gc_counters, process_figures
from trivet.io.process_figures import MachineReader, ProcessReader

BUSY = "import time\nwhile True: pass"
WRITES = "import os\nwhile True: os.write(1, b'x' * 65536)"
COLLECTS = "from trivet.io.gc_counters import publish\npublish()\nimport gc, time\n"


@contextmanager
def running(code: str) -> Iterator[int]:
    """Run Python `code` for the time of the block."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_cpu_and_memory_are_those_of_the_system() -> None:
    reader = ProcessReader()
    with running(BUSY) as pid:
        first = reader.look([pid])[0]
        assert first.cpu_percent is None
        began, used = time.monotonic(), sum(psutil.Process(pid).cpu_times()[:2])
        time.sleep(0.5)
        second = reader.look([pid])[0]
        really = (sum(psutil.Process(pid).cpu_times()[:2]) - used) / (time.monotonic() - began) * 100
        assert second.cpu_percent == pytest.approx(really, abs=15)
        assert second.rss_bytes == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.1)
        assert second.parent_pid == os.getpid()
        assert second.private_bytes is not None
        assert second.handles == psutil.Process(pid).num_fds()


def test_what_passes_a_process_without_reaching_storage_is_other() -> None:
    reader = ProcessReader()
    with running(WRITES) as pid:
        reader.look([pid])
        time.sleep(0.3)
        looked = reader.look([pid])[0]
        assert looked.other_bytes_s is not None
        assert looked.other_bytes_s > 1 << 20
        assert looked.write_operations_s is not None
        assert looked.write_operations_s > 10


def test_processes_that_are_gone_or_zombies_are_left_out_and_forgotten() -> None:
    reader = ProcessReader()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    reader.look([child.pid])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert reader.look([child.pid]) == []
    child.wait()
    assert reader.look([child.pid, 2**22 + 1, os.getpid()])[0].pid == os.getpid()
    reader.look([])
    assert reader._known == {}


def test_processes_that_vanish_all_the_time_never_break_a_look() -> None:
    reader = ProcessReader()
    code = "import subprocess\nwhile True: subprocess.run(['true'])"
    with running(code):
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert len(reader.look(psutil.pids())) > 1
    assert len(reader._known) <= len(psutil.pids()) + 10


def test_a_clock_that_jumps_changes_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ProcessReader()
    reader.look([os.getpid()])
    monkeypatch.setattr(process_figures, "wall_s", lambda: time.time() + 10**9)
    looked = reader.look([os.getpid()])[0]
    assert looked.elapsed_s == pytest.approx(time.time() - psutil.Process().create_time(), abs=2)


def test_collections_are_seen_from_outside_also_of_a_process_that_hangs() -> None:
    code = COLLECTS + "[gc.collect() for _ in range(7)]\ntime.sleep(60)"
    with running(code) as pid:
        until = time.monotonic() + 20
        while (place := gc_counters.find(pid)) is None or (read := gc_counters.read(place)) is None \
                or read.counts[2] < 7:  # fmt: skip
            assert time.monotonic() < until
            time.sleep(0.02)
        assert read.seconds > 0
        assert read.traced_bytes is None
        looked = ProcessReader().look([pid])[0]
        assert looked.collections is not None
        assert looked.collections.counts[2] >= 7
    assert gc_counters.read(place) is None


def test_the_traced_heap_is_told_when_it_is_traced() -> None:
    code = "import tracemalloc; tracemalloc.start()\n" + COLLECTS
    code += "x = bytearray(3 << 20); gc.collect(); time.sleep(60)"
    with running(code) as pid:
        until = time.monotonic() + 20
        while True:
            place = gc_counters.find(pid)
            told = gc_counters.read(place) if place else None
            if told is not None and told.traced_bytes is not None and told.traced_bytes > 3 << 20:
                break
            assert time.monotonic() < until
            time.sleep(0.02)
    assert gc_counters.find(os.getpid()) is None
    assert not any("collected" in repr(one) for one in gc.callbacks)


def test_the_machine_is_told_as_a_whole() -> None:
    reader = MachineReader()
    with running(BUSY):
        time.sleep(0.3)
        told = reader.look()
    assert told.cpu_percent is not None
    assert 100 / told.cores * 0.3 <= told.cpu_percent <= 100
    assert told.memory_total_bytes == psutil.virtual_memory().total
