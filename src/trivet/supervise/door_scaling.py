"""Carries out what `insight/scaling.py` decides: workers of the door come and go, the command is called.

Rule: one step at a time; each is told with its reason, also one that failed.
Rule: the command is told in its last two words and its environment what is wanted; it has COMMAND_S, then it
is killed with all that it started.
"""

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from trivet.errors import InputError, TrivetError
from trivet.insight.scaling import (
    AddWorker,
    CallCommand,
    Load,
    RecycleWorker,
    Refuse,
    RemoveWorker,
    Scaler,
    Step,
    WorkerLoad,
)
from trivet.io import runner
from trivet.io.clock import steady_s, wall_s
from trivet.supervise.door_workers import DoorWorkers
from trivet.supervise.scaling_plan import ScalingPlan
from trivet.supervise.supervised_child import SupervisedChild
from trivet.wire.health_messages import (
    MachineFigures,
    ProcessFigures,
    ScalingState,
    ScalingStep,
    StepKind,
)

COMMAND_S = 30.0
KEPT_STEPS = 200
#: How many workers may be asked for by hand.
MOST_BY_HAND = 64
_SAID_BYTES = 2000

log = logging.getLogger(__name__)


class DoorScaling:
    """Decides about `workers` at each look, as `plan` says; `place` is the drive's state folder."""

    def __init__(self, plan: ScalingPlan, workers: DoorWorkers, place: Path, every_s: float) -> None:
        self._plan = plan
        self._workers = workers
        self._place = place
        self._scaler = Scaler(plan.thresholds, every_s, has_command=plan.command is not None)
        self._load: Load | None = None
        self._acting: asyncio.Task[None] | None = None
        self._parting: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._seq = 0
        self._decided_at_s = 0.0
        self.steps: deque[ScalingStep] = deque(maxlen=KEPT_STEPS)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End with the block what is being done."""
        try:
            yield
        finally:
            tasks = {*self._parting, *({self._acting} if self._acting else ())}
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def look(self, machine: MachineFigures, processes: Sequence[ProcessFigures]) -> None:
        """Decide after a look at everything; what is decided is done meanwhile."""
        if not self._plan.is_on:
            return
        if self._acting is not None and self._acting.done():
            self._acting.result()
            self._acting = None
        by_pid = {one.pid: one for one in processes}
        workers = []
        for child in self._workers.staying:
            figures = by_pid.get(child.pid or 0)
            if figures is None:
                workers.append(WorkerLoad(child.number, None))
                continue
            workers.append(
                WorkerLoad(child.number, figures.cpu_percent, figures.leak_why, figures.waiting_percent)
            )
        self._load = Load(steady_s(), machine.cpu_percent, machine.memory_percent, workers)
        step = self._scaler.step(self._load)
        if step is not None and self._acting is None:
            self._decided_at_s = wall_s()
            self._acting = asyncio.create_task(self._take(step))

    async def set_count(self, count: int) -> None:
        """Have `count` workers, by hand; returns when the new ones answer and the others are leaving."""
        if not 1 <= count <= MOST_BY_HAND:
            raise InputError(f"count: from 1 to {MOST_BY_HAND} workers, not {count}")
        async with self._one_at_a_time:
            self._decided_at_s = wall_s()
            missing = count - len(self._workers.staying)
            await asyncio.gather(*(self._add("asked for by hand") for _ in range(missing)))
            for child in self._workers.staying[count:]:
                await self._remove(child, "asked for by hand")

    async def _take(self, step: Step) -> None:
        async with self._one_at_a_time:
            try:
                match step:
                    case AddWorker(why):
                        await self._add(why)
                    case RemoveWorker(number, why):
                        await self._remove(self._child(number), why)
                    case RecycleWorker(number, why):
                        await self._recycle(self._child(number), why)
                    case CallCommand(change, why):
                        await self._call(change, why)
                    case Refuse(why):
                        self._tell("refused", why)
            except TrivetError as error:
                self._tell("refused", str(error))

    def _child(self, number: int) -> SupervisedChild:
        return next(child for child in self._workers.staying if child.number == number)

    async def _add(self, why: str) -> None:
        self._tell("worker added", why, await self._workers.add())

    async def _remove(self, child: SupervisedChild, why: str) -> None:
        await self._leave(child)
        self._tell("worker removed", why, child)

    async def _recycle(self, child: SupervisedChild, why: str) -> None:
        await self._workers.add()
        await self._leave(child)
        self._tell("worker recycled", why, child)

    async def _leave(self, child: SupervisedChild) -> None:
        await self._workers.remove(child)
        task = asyncio.create_task(self._workers.see_off(child))
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)

    async def _call(self, change: int, why: str) -> None:
        word, wanted = ("up" if change > 0 else "down"), max(self._scaler.outside + change, 0)
        assert self._load is not None
        told = {
            "TRIVET_SCALE": word,
            "TRIVET_SCALE_OUTSIDE": str(wanted),
            "TRIVET_SCALE_WORKERS": str(len(self._workers.staying)),
            "TRIVET_SCALE_WHY": why,
            "TRIVET_SCALE_CPU_PERCENT": f"{self._load.cpu:.0f}",
            "TRIVET_SCALE_MEMORY_PERCENT": f"{self._load.memory_percent:.0f}",
            "TRIVET_STATE": str(self._place),
        }
        words = [*self._plan.words(), word, str(wanted)]
        try:
            done = await runner.run(
                words, env={**os.environ, **told}, deadline_s=COMMAND_S, keep_bytes=_SAID_BYTES
            )
        except TrivetError as error:
            self._tell("command failed", str(error))
            return
        well = done.exit_code == 0 and not done.timed_out
        self._scaler.called(change, well=well)
        if well:
            self._tell("command called", f"{word} to {wanted} elsewhere: {why}")
            return
        how = f"did not end within {COMMAND_S:g} s" if done.timed_out else f"exit code {done.exit_code}"
        said = done.stderr.decode(errors="replace").strip() or "it said nothing"
        self._tell("command failed", f"{self._plan.command} {word} {wanted}: {how}; {said}")

    def _tell(self, what: StepKind, why: str, child: SupervisedChild | None = None) -> None:
        self._seq += 1
        workers = len(self._workers.staying)
        log.info("%s (%s workers): %s", what, workers, why)
        pid = None if child is None else child.pid
        self.steps.append(ScalingStep(self._seq, self._decided_at_s, what, why, workers, pid))

    def told(self) -> ScalingState:
        """Return how many workers there are and may be."""
        limits = self._plan.thresholds
        return ScalingState(
            workers=len(self._workers.staying),
            min_workers=limits.min_workers,
            max_workers=limits.max_workers,
            outside=self._scaler.outside,
            cpu_percent=None if self._load is None else self._load.cpu,
            add_above_cpu_percent=limits.add_above_cpu,
            remove_below_cpu_percent=limits.remove_below_cpu,
            memory_limit_percent=limits.memory_limit,
            command=self._plan.command,
            waiting=self._scaler.waiting,
        )
