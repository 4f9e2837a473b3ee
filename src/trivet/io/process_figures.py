"""What the system tells of processes and of the machine: memory, CPU, handles, reads and writes.

Rule: a process that vanishes while it is looked at is left out; what may not be seen is None.
Rule: rates come from two looks by a clock that never jumps; a process with the pid of another begins anew.
Rule: what a process waited for a processor is that of its first thread, which runs its loop.
Rule: private bytes are dear (the kernel walks the page tables): they are read every PRIVATE_EVERY_S.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from trivet.io import gc_counters
from trivet.io.clock import steady_s, wall_s
from trivet.wire.health_messages import MachineFigures

PRIVATE_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What a process has used since it began; bytes that went to or came from storage, calls that moved any.

    `passed_bytes` went through reads and writes, from wherever (cache, pipes, storage).
    """

    cpu_s: float
    read_bytes: int | None = None
    write_bytes: int | None = None
    passed_bytes: int | None = None
    read_calls: int | None = None
    write_calls: int | None = None
    waited_s: float | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """One process at one look; rates per second are None at the first look."""

    pid: int
    parent_pid: int
    name: str
    threads: int
    rss_bytes: int
    private_bytes: int | None
    handles: int | None
    elapsed_s: float
    counters: Counters
    cpu_percent: float | None
    waiting_percent: float | None
    read_bytes_s: float | None
    write_bytes_s: float | None
    other_bytes_s: float | None
    read_operations_s: float | None
    write_operations_s: float | None
    collections: gc_counters.Collections | None


class _Known:
    """A process as it was at the last look."""

    def __init__(self, process: psutil.Process, now_s: float) -> None:
        self.process = process
        self.at_s = self.proved_at_s = now_s
        self.began_s = now_s - max(wall_s() - process.create_time(), 0.0)
        self.counters: Counters | None = None
        self.private_bytes: int | None = None
        self.private_at_s = float("-inf")
        self.collecting_at: Path | None = None
        self.collections: gc_counters.Collections | None = None

    def look_closely(self, now_s: float) -> None:
        """Read what costs: private bytes; where a Python process tells of its collector, and what."""
        self.private_at_s = now_s
        self.private_bytes = _private_bytes(self.process)
        if self.collecting_at is None and self.process.name().startswith(("python", "trivet")):
            self.collecting_at = gc_counters.find(self.process.pid)
        if self.collecting_at is not None:
            self.collections = gc_counters.read(self.collecting_at)

    def is_same(self, now_s: float) -> bool:
        """Tell whether the pid still is this process; looked up every PRIVATE_EVERY_S, as that costs."""
        if now_s - self.proved_at_s < PRIVATE_EVERY_S:
            return True
        self.proved_at_s = now_s
        return self.process.is_running()


class ProcessReader:
    """Looks at processes again and again; keeps one small row for each that still runs."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def look(self, pids: Iterable[int], *, closely: bool = True) -> list[Looked]:
        """Return those of `pids` that run; `closely` False leaves out private bytes and collections."""
        found = []
        seen = set(pids)
        for pid in sorted(seen):
            try:
                found.append(self._look(pid, closely=closely))
            except (psutil.Error, OSError):  # gone, or gone and come back as another
                self._known.pop(pid, None)
        for pid in self._known.keys() - seen:
            del self._known[pid]
        return found

    def _look(self, pid: int, *, closely: bool) -> Looked:
        now_s = steady_s()
        known = self._known.get(pid)
        if known is None or not known.is_same(now_s):
            known = self._known[pid] = _Known(psutil.Process(pid), now_s)
        process = known.process
        if closely and now_s - known.private_at_s >= PRIVATE_EVERY_S:
            known.look_closely(now_s)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                raise psutil.ZombieProcess(pid)
            times = process.cpu_times()
            counters = _counters(process, times.user + times.system)
            looked = _looked(known, counters, now_s)
        known.counters, known.at_s = counters, now_s
        return looked


def _looked(known: _Known, counters: Counters, now_s: float) -> Looked:
    process, before, passed_s = known.process, known.counters, now_s - known.at_s

    def rate(name: str) -> float | None:
        then, now = getattr(before, name, None), getattr(counters, name)
        if then is None or now is None or passed_s <= 0 or now < then:
            return None
        return float(now - then) / passed_s

    cpu_s, waited_s, read_s, write_s, through_s = (
        rate(name) for name in ("cpu_s", "waited_s", "read_bytes", "write_bytes", "passed_bytes")
    )
    return Looked(
        pid=process.pid,
        parent_pid=process.ppid(),
        name=process.name(),
        threads=process.num_threads(),
        rss_bytes=process.memory_info().rss,
        private_bytes=known.private_bytes,
        handles=_handles(process),
        elapsed_s=now_s - known.began_s,
        counters=counters,
        cpu_percent=None if cpu_s is None else cpu_s * 100,
        waiting_percent=None if waited_s is None else waited_s * 100,
        read_bytes_s=read_s,
        write_bytes_s=write_s,
        other_bytes_s=None if through_s is None else max(through_s - (read_s or 0.0) - (write_s or 0.0), 0.0),
        read_operations_s=rate("read_calls"),
        write_operations_s=rate("write_calls"),
        collections=known.collections,
    )


def _counters(process: psutil.Process, cpu_s: float) -> Counters:
    waited_s = _waited_s(process.pid)
    try:
        told = process.io_counters()
    except psutil.AccessDenied:
        return Counters(cpu_s, waited_s=waited_s)
    return Counters(
        cpu_s=cpu_s,
        read_bytes=told.read_bytes,
        write_bytes=told.write_bytes,
        passed_bytes=told.read_chars + told.write_chars,
        read_calls=told.read_count,
        write_calls=told.write_count,
        waited_s=waited_s,
    )


def _waited_s(pid: int) -> float | None:
    """Return how long the process was ready to run and no processor was free, if the kernel says."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
    except (FileNotFoundError, PermissionError):
        return None


def _handles(process: psutil.Process) -> int | None:
    try:
        # Linux 6.2 and newer: the folder's size is the number of open files, and costs one call
        return os.stat(f"/proc/{process.pid}/fd").st_size or process.num_fds()
    except (PermissionError, psutil.AccessDenied):
        return None


def _private_bytes(process: psutil.Process) -> int | None:
    try:
        return int(process.memory_full_info().uss)
    except psutil.AccessDenied:
        return None


class MachineReader:
    """Looks at the machine as a whole."""

    def __init__(self) -> None:
        self._cores = psutil.cpu_count() or 1
        self._before = _busy_and_all()

    def look(self) -> MachineFigures:
        """Return its figures; CPU since the look before, None when no time has passed."""
        busy, all_s = _busy_and_all()
        busy_s, passed_s = busy - self._before[0], all_s - self._before[1]
        self._before = (busy, all_s)
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        return MachineFigures(
            cores=self._cores,
            cpu_percent=min(max(busy_s / passed_s, 0.0), 1.0) * 100 if passed_s > 0 else None,
            memory_percent=memory.percent,
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            swap_total_bytes=swap.total,
            swap_used_bytes=swap.used,
        )


def _busy_and_all() -> tuple[float, float]:
    times = psutil.cpu_times()
    idle = times.idle + times.iowait
    everything = sum(times) - times.guest - times.guest_nice  # guests are counted in user and nice, too
    return everything - idle, everything
