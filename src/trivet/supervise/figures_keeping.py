"""Keeps what the looks at processes find: means of ten seconds go to the store, which bounds them.

Rule: the store is written beside the looks; a disk that hangs or is full costs history, never a look.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from trivet.errors import TrivetError
from trivet.io.figures_store import MACHINE, PROCESSES, STEP_S, FigureRow, FiguresStore
from trivet.wire.health_messages import MachineFigures, ProcessFigures

#: So many steps wait for a disk that hangs; older ones are dropped.
WAITING_STEPS = 60
PARTING_S = 2.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Step:
    """What processes of one name used at the looks of a step."""

    pid: int
    cpu: list[float] = field(default_factory=list)
    memory: float = 0.0
    handles: int | None = None

    def add(self, pid: int, cpu: float | None, memory: float, handles: int | None) -> None:
        self.pid = pid
        if cpu is not None:
            self.cpu.append(cpu)
        self.memory = max(self.memory, memory)
        self.handles = handles if self.handles is None else max(self.handles, handles or 0)


class FiguresKeeping:
    """Takes every look; `run` writes to the file `path` what the steps that are over were like."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at_s: float | None = None
        self._steps: dict[tuple[str, str], _Step] = {}
        self._waiting: deque[tuple[float, list[FigureRow]]] = deque(maxlen=WAITING_STEPS)
        self._news = asyncio.Event()
        self._store: FiguresStore | None = None
        self._one_at_a_time = threading.Lock()
        self._failure = ""

    def take(self, at_s: float, machine: MachineFigures, processes: Iterable[ProcessFigures]) -> None:
        """Count a look at the Unix time `at_s`."""
        at_s = at_s // STEP_S * STEP_S
        if at_s != self._at_s:
            self._finish()
            self._at_s = at_s
        self._steps.setdefault((MACHINE, ""), _Step(0)).add(
            0, machine.cpu_percent, machine.memory_percent, None
        )
        for one in _by_name(processes):
            step = self._steps.setdefault((one.role, one.name), _Step(one.pid))
            step.add(one.pid, one.cpu_percent, one.rss_bytes, one.handles)

    def _finish(self) -> None:
        """Hand over the step that is over: the machine, the drive's processes, the largest of the others."""
        rows = [
            FigureRow(role, name, step.pid, sum(step.cpu) / len(step.cpu) if step.cpu else None,
                      step.memory, step.handles)
            for (role, name), step in self._steps.items()
        ]  # fmt: skip
        self._steps.clear()
        if rows and self._at_s is not None:
            rows.sort(key=lambda row: (row.role != MACHINE, row.role == "helper", -row.memory))
            self._waiting.append((self._at_s, rows[:PROCESSES]))
            self._news.set()

    async def run(self) -> None:
        """Write until cancelled; then what is left, if the disk does not hang."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                await asyncio.to_thread(self._write)
        finally:
            self._finish()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PARTING_S):
                    await asyncio.to_thread(self._write, last=True)

    def _write(self, *, last: bool = False) -> None:
        with self._one_at_a_time:
            try:
                while self._waiting:
                    self._store = self._store or FiguresStore(self._path)
                    self._store.add(*self._waiting.popleft())
                    self._failure = ""
            except TrivetError as error:
                if str(error) != self._failure:  # said once while it lasts
                    log.warning("%s", error)
                self._failure = str(error)
                last = True  # it is opened anew, and begun anew if it is damaged
            if last and self._store is not None:
                self._store.close()
                self._store = None


def _by_name(processes: Iterable[ProcessFigures]) -> Iterator[ProcessFigures]:
    """Yield `processes`, those of one role and name as one with all that they use."""
    together: dict[tuple[str, str], list[ProcessFigures]] = {}
    for one in processes:
        together.setdefault((one.role, one.name), []).append(one)
    for same in together.values():
        cpu = [one.cpu_percent for one in same if one.cpu_percent is not None]
        handles = [one.handles for one in same if one.handles is not None]
        yield msgspec.structs.replace(
            same[-1],
            cpu_percent=sum(cpu) if cpu else None,
            rss_bytes=sum(one.rss_bytes for one in same),
            handles=sum(handles) if handles else None,
        )
