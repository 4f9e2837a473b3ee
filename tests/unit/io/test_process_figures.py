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
TICK_S = 2 / os.sysconf("SC_CLK_TCK")
COLLECTS = "from trivet.io.gc_counters import publish\npublish()\nimport gc, time\n"


@contextmanager
def running(code: str) -> Iterator[int]:
    """Run Python `code` for the time of the block."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def _used(pid: int) -> tuple[float, float]:
    """Return (when, how many seconds of processors a process had used by then)."""
    return time.monotonic(), sum(psutil.Process(pid).cpu_times()[:2])


def test_cpu_and_memory_are_those_of_the_system() -> None:
    reader = ProcessReader()
    with running(BUSY) as pid:
        outer = _used(pid)
        assert reader.look([pid])[0].cpu_percent is None
        inner = _used(pid)
        time.sleep(0.5)
        inner_end = _used(pid)
        second = reader.look([pid])[0]
        outer_end = _used(pid)
        least = (inner_end[1] - inner[1] - TICK_S) / (outer_end[0] - outer[0]) * 100
        most = (outer_end[1] - outer[1] + TICK_S) / (inner_end[0] - inner[0]) * 100
        assert second.cpu_percent is not None
        assert least <= second.cpu_percent <= most
        assert second.rss_bytes == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.1)
        assert second.parent_pid == os.getpid()
        assert second.private_bytes is not None
        assert second.handles == psutil.Process(pid).num_fds()


def test_what_passes_a_process_without_reaching_storage_is_other() -> None:
    reader = ProcessReader()
    with running(WRITES) as pid:
        reader.look([pid])
        until = time.monotonic() + 20
        while True:
            time.sleep(0.3)
            looked = reader.look([pid])[0]
            if (looked.other_bytes_s or 0) > 1 << 20 and (looked.write_operations_s or 0) > 10:
                break
            assert time.monotonic() < until, looked


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
    began = time.monotonic()
    reader = MachineReader()
    with running(BUSY) as pid:
        until = time.monotonic() + 20
        while _used(pid)[1] < 0.3:
            assert time.monotonic() < until
            time.sleep(0.05)
        used_s = _used(pid)[1] - TICK_S
        told = reader.look()
        passed_s = time.monotonic() - began
    assert told.cpu_percent is not None
    assert used_s / passed_s / told.cores * 100 <= told.cpu_percent <= 100
    assert told.memory_total_bytes == psutil.virtual_memory().total
