"""The drive watches its own processes: one look a second, told on the control socket; means kept for months.

Rule: the supervisor looks, because it knows every process and outlives each; a look runs in a thread.
Rule: looks are dated by the clock of the day and spaced by one that never jumps.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from trivet.io.clock import steady_s, wall_s
from trivet.io.figures_reading import read_series
from trivet.io.process_figures import Looked, MachineReader, ProcessReader
from trivet.io.runner import REAPER
from trivet.supervise.children import ChildKeeper
from trivet.supervise.door_scaling import DoorScaling
from trivet.supervise.figures_keeping import FiguresKeeping
from trivet.supervise.growth import LeakWatch
from trivet.supervise.health_words import notes_of
from trivet.supervise.supervised_child import SupervisedChild
from trivet.wire.health_messages import (
    DriveFigures,
    FigureSeries,
    MachineFigures,
    ProcessFigures,
    ProcessSeries,
)

EVERY_S = 1.0
#: Processes that ours started are looked for this often: it takes a walk over all of the machine.
HELPERS_EVERY_S = 10.0
KEPT_LOOKS = 300


@dataclass(frozen=True, slots=True)
class Part:
    """What a process is to the drive."""

    role: str
    name: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything."""

    at_s: float
    machine: MachineFigures
    processes: Sequence[ProcessFigures]


class DriveWatch:
    """Looks at the processes that `children` looks after; `run` is its life; `scaling` decides by it.

    What is older than KEPT_LOOKS is in the file `kept`.
    """

    def __init__(
        self, children: ChildKeeper, kept: Path, scaling: DoorScaling | None = None, every_s: float = EVERY_S
    ) -> None:
        self._children = children
        self._kept, self._keeping = kept, FiguresKeeping(kept)
        self._scaling = scaling
        self._every_s = every_s
        self._processes, self._machine = ProcessReader(), MachineReader()
        self._leaks = LeakWatch()
        self._helpers: dict[int, Part] = {}
        self._helpers_at_s = float("-inf")
        self._looks: deque[Look] = deque(maxlen=KEPT_LOOKS)
        self._looked = asyncio.Event()

    async def run(self) -> None:
        """Look every `every_s` until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keeping.run())
            tasks.create_task(self._look_on())

    async def _look_on(self) -> None:
        due_s = steady_s()
        while True:
            parts = parts_of(self._children)
            look = await asyncio.to_thread(self._look, parts)
            self._looks.append(look)
            self._keeping.take(look.at_s, look.machine, look.processes)
            if self._scaling is not None:
                self._scaling.look(look.machine, look.processes)
            self._looked.set()
            now_s = steady_s()
            due_s = max(due_s + self._every_s, now_s)
            await asyncio.sleep(due_s - now_s)

    def _look(self, known: Mapping[int, Part]) -> Look:
        now_s = steady_s()
        if now_s - self._helpers_at_s >= HELPERS_EVERY_S:
            self._helpers, self._helpers_at_s = _helpers_of(known), now_s
        parts = {**self._helpers, **known}
        looked = [_figures(one, parts[one.pid]) for one in self._processes.look(parts)]
        return Look(wall_s(), self._machine.look(), self._leaks.mark(now_s, looked))

    async def told(self, series_s: float) -> DriveFigures:
        """Return the newest figures, and the series of the last `series_s` seconds (0 = none)."""
        await self._looked.wait()
        newest = self._looks[-1]
        scaling = None if self._scaling is None else self._scaling.told()
        steps = [] if self._scaling is None else list(self._scaling.steps)
        return DriveFigures(
            at_s=newest.at_s,
            every_s=self._every_s,
            machine=newest.machine,
            processes=list(newest.processes),
            scaling=scaling,
            steps=steps,
            notes=notes_of(newest.at_s, newest.machine, newest.processes, scaling, steps),
            series=await self._series(newest.at_s, series_s) if series_s > 0 else None,
        )

    async def _series(self, now_s: float, series_s: float) -> FigureSeries:
        if series_s <= KEPT_LOOKS * self._every_s:
            return _newest(self._looks, self._every_s, series_s)
        return await asyncio.to_thread(read_series, self._kept, now_s - series_s, now_s)


def parts_of(children: ChildKeeper) -> dict[int, Part]:
    """Return the processes that `children` looks after, and our own, by pid."""
    parts = {os.getpid(): Part("supervisor", "supervisor")}
    for child in children.all:
        pid = child.pid
        if pid is not None:
            parts[pid] = Part(_role(children, child), child.name.removeprefix("the "))
    return parts


def _role(children: ChildKeeper, child: SupervisedChild) -> str:
    if child.role == "bank" and child.port is not None:
        return f"bank {children.base_of(child.port)}"
    return "door worker" if child.role == "gateway" else child.role


def _helpers_of(known: Mapping[int, Part]) -> dict[int, Part]:
    """Return the processes that `known` ones started; reapers only wait, and are left out."""
    below = psutil.Process().children(recursive=True)  # one walk over the machine
    parents: dict[int, int] = {}
    found: dict[int, Part] = {}
    for one in below:
        with contextlib.suppress(psutil.Error):
            parents[one.pid] = one.ppid()
    for one in below:
        above = parents.get(one.pid, 0)
        while above not in known and above in parents:
            above = parents[above]
        with contextlib.suppress(psutil.Error):
            words = one.cmdline()
            if one.pid not in known and above in known and str(REAPER) not in words:
                # our own are a Python each: what they serve says more
                name = words[words.index("serve") + 1] if "serve" in words[:-1] else one.name()
                found[one.pid] = Part("helper", f"{name} of {known[above].name}")
    return found


def _figures(one: Looked, part: Part) -> ProcessFigures:
    return ProcessFigures(
        pid=one.pid,
        parent_pid=one.parent_pid,
        role=part.role,
        name=part.name,
        cpu_percent=one.cpu_percent,
        waiting_percent=one.waiting_percent,
        rss_bytes=one.rss_bytes,
        private_bytes=one.private_bytes,
        handles=one.handles,
        threads=one.threads,
        read_bytes_s=one.read_bytes_s,
        write_bytes_s=one.write_bytes_s,
        elapsed_s=one.elapsed_s,
        collections=None if one.collections is None else list(one.collections.counts),
        collecting_s=None if one.collections is None else one.collections.seconds,
        traced_bytes=None if one.collections is None else one.collections.traced_bytes,
    )


def _newest(looks: Sequence[Look], every_s: float, series_s: float) -> FigureSeries:
    chosen = list(looks)[-max(round(series_s / every_s), 1) :]
    by_pid = [{one.pid: one for one in look.processes} for look in chosen]
    pids = {pid: one for row in by_pid for pid, one in row.items()}
    processes = []
    for pid, last in sorted(pids.items()):
        rows = [row.get(pid) for row in by_pid]
        processes.append(
            ProcessSeries(
                pid=pid,
                role=last.role,
                name=last.name,
                cpu_percent=[None if row is None else row.cpu_percent for row in rows],
                rss_bytes=[None if row is None else row.rss_bytes for row in rows],
                handles=[None if row is None else row.handles for row in rows],
            )
        )
    return FigureSeries(
        step_s=every_s,
        at_s=[look.at_s for look in chosen],
        machine_cpu_percent=[look.machine.cpu_percent for look in chosen],
        machine_memory_percent=[look.machine.memory_percent for look in chosen],
        processes=processes,
    )
