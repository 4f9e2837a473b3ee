"""How many workers the door should have: the decision alone, from looks at the machine and the workers.

Rule: a worker is added when CPU has been above its threshold for `for_s`, taken away when what is left would
stay well below it for `remove_for_s`; between the two thresholds nothing happens, after a step neither.
Rule: what a worker waited for a processor counts as use: on a machine that others keep busy it gets little.
Rule: adding again soon after taking away doubles the time before the next taking away: no flapping.
Rule: with memory short no worker is added here; a leaking one is recycled, else the command is called.
Rule: a look that comes late, or without figures, proves nothing: what was counted begins anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trivet.errors import ConfigError

#: A machine that others keep busy gets no worker which would have nothing to do.
LEAST_SHARE_PERCENT = 20.0
#: Workers that would run for so much of the time, had they a processor, have something to do all the same.
LEAST_DEMAND_PERCENT = 60.0
#: Looks further apart than so many intervals are a gap.
LATE_INTERVALS = 3
REGRET_S = 600.0
MOST_PATIENCE = 8


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When workers come and go; percentages of CPU and of memory, seconds."""

    min_workers: int = 1
    max_workers: int = 1
    add_above_cpu: float = 80.0
    remove_below_cpu: float = 40.0
    for_s: float = 10.0
    remove_for_s: float = 60.0
    memory_limit: float = 85.0
    cooldown_s: float = 30.0

    def check(self) -> None:
        """Raise ConfigError, in words, when they contradict each other."""
        if not 1 <= self.min_workers <= self.max_workers:
            raise ConfigError(
                f"--workers {self.min_workers} and --max-workers {self.max_workers}: "
                "at least 1, and no more to begin with than at most"
            )
        if not 0 < self.remove_below_cpu < self.add_above_cpu <= 100:
            raise ConfigError(
                f"--scale-down-cpu {self.remove_below_cpu:g} and --scale-up-cpu {self.add_above_cpu:g}: "
                "the first must be below the second, both above 0 and at most 100, "
                "or workers would come and go for ever"
            )
        if not 0 < self.memory_limit <= 100:
            raise ConfigError(f"--scale-memory {self.memory_limit:g}: a percentage above 0, at most 100")
        for name, value in (("for", self.for_s), ("down-for", self.remove_for_s)):
            if not 1 <= value <= 3600:
                raise ConfigError(f"--scale-{name} {value:g}: from 1 to 3600 seconds")
        if not 0 <= self.cooldown_s <= 3600:
            raise ConfigError(f"--scale-cooldown {self.cooldown_s:g}: from 0 to 3600 seconds")


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """One worker; `cpu_percent` 100 = one core, None when it is new; `leak`: what grows, "" if nothing.

    `waiting_percent`: for how much of the time it could have run, and no processor was free; None: unknown.
    """

    number: int
    cpu_percent: float | None
    leak: str = ""
    waiting_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """One look, `at_s` by a clock that never jumps; `workers` those that stay, oldest first."""

    at_s: float
    machine_cpu: float | None
    memory_percent: float
    workers: Sequence[WorkerLoad]

    @property
    def workers_cpu(self) -> float:
        """The mean of the workers."""
        return sum(one.cpu_percent or 0.0 for one in self.workers) / max(len(self.workers), 1)

    @property
    def workers_demand(self) -> float | None:
        """The mean of what they would use on a machine less busy; None where that is not known."""
        waiting = [one.waiting_percent for one in self.workers if one.waiting_percent is not None]
        if not waiting or len(waiting) < len(self.workers):
            return None
        return self.workers_cpu + sum(waiting) / len(waiting)

    @property
    def workers_have_work(self) -> bool:
        """Whether the workers have a part in what the machine does."""
        return self.workers_cpu >= LEAST_SHARE_PERCENT or (self.workers_demand or 0.0) >= LEAST_DEMAND_PERCENT

    @property
    def cpu(self) -> float:
        """What is held against the threshold: the machine or the workers, whichever is busier."""
        return max(self.machine_cpu or 0.0, self.workers_cpu)


@dataclass(frozen=True, slots=True)
class AddWorker:
    """Start one more."""

    why: str


@dataclass(frozen=True, slots=True)
class RemoveWorker:
    """Let one leave."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class RecycleWorker:
    """Start one in the place of this, which leaves."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class CallCommand:
    """Have somebody else add (1) or take away (-1) an instance elsewhere."""

    change: int
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Say why nothing can be done."""

    why: str


Step = AddWorker | RemoveWorker | RecycleWorker | CallCommand | Refuse


class Scaler:
    """Decides at each look; `step` returns at most one step, which is then taken."""

    def __init__(self, thresholds: Thresholds, every_s: float, *, has_command: bool = False) -> None:
        self._limits = thresholds
        self._every_s = every_s
        self._has_command = has_command
        self.outside = 0
        self.waiting = ""
        self._last_s: float | None = None
        self._busy_since_s: float | None = None
        self._full_since_s: float | None = None
        self._idle_since_s: float | None = None
        self._stepped_s = self._grown_s = self._shrunk_s = float("-inf")
        self._patience = 1
        self._refused = ""

    def step(self, load: Load) -> Step | None:
        """Return what is to be done after this look, None for nothing."""
        before_s = self._last_s
        self._last_s = load.at_s
        late_s = LATE_INTERVALS * self._every_s
        if before_s is None or not 0 < load.at_s - before_s <= late_s or load.machine_cpu is None:
            self._forget()
            return None
        limits = self._limits
        busy = load.cpu >= limits.add_above_cpu and load.workers_have_work
        self._busy_since_s = _since(busy, self._busy_since_s, before_s)
        self._full_since_s = _since(load.memory_percent >= limits.memory_limit, self._full_since_s, before_s)
        self._idle_since_s = _since(self._is_idle(load), self._idle_since_s, before_s)
        step = self._due(load)
        if isinstance(step, Refuse):
            if step.why.partition(":")[0] == self._refused:  # said once while it lasts
                return None
            self._refused = step.why.partition(":")[0]
            return step
        if not busy and self._full_since_s is None:
            self._refused = ""
        if step is not None:
            self._note(step, load.at_s)
        return step

    def called(self, change: int, *, well: bool) -> None:
        """Take the outcome of the command: only what it did counts."""
        if well:
            self.outside = max(self.outside + change, 0)

    def _forget(self) -> None:
        self._busy_since_s = self._full_since_s = self._idle_since_s = None
        self.waiting = ""

    def _is_idle(self, load: Load) -> bool:
        """Tell whether one less would do; a machine without idle CPU makes workers only look idle."""
        limits, count, demand = self._limits, len(load.workers), load.workers_demand
        if load.memory_percent >= limits.memory_limit:
            return False
        if demand is None and (load.machine_cpu or 0.0) >= limits.add_above_cpu:
            return False
        if not self.outside and count <= limits.min_workers:
            return False
        each = load.workers_cpu if demand is None else demand
        left = each * (count + self.outside) / max(count + self.outside - 1, 1)
        return (
            each <= limits.remove_below_cpu and left <= (limits.remove_below_cpu + limits.add_above_cpu) / 2
        )

    def _due(self, load: Load) -> Step | None:
        limits, now_s = self._limits, load.at_s
        # the threshold may have been crossed at any moment of the interval before the first look above it
        for_s = limits.for_s - self._every_s
        busy_s, full_s, idle_s = (
            0.0 if since_s is None else now_s - since_s
            for since_s in (self._busy_since_s, self._full_since_s, self._idle_since_s)
        )
        remove_for_s = limits.remove_for_s * self._patience
        cool_s = limits.cooldown_s - (now_s - (self._grown_s if busy_s or full_s else self._stepped_s))
        self.waiting = _waiting(busy_s, full_s, idle_s, cool_s, limits, remove_for_s)
        if cool_s > 0:
            return None
        if full_s and full_s >= for_s:
            return self._without_memory(load)
        if busy_s and busy_s >= for_s:
            return self._busy(load)
        if idle_s and idle_s >= remove_for_s:
            why = f"the workers use {load.workers_cpu:.0f} % of a core each, for {idle_s:.0f} s"
            if self.outside and self._has_command:
                return CallCommand(-1, why)
            if len(load.workers) > limits.min_workers:
                return RemoveWorker(load.workers[-1].number, why)
        return None

    def _without_memory(self, load: Load) -> Step:
        why = f"memory is at {load.memory_percent:.0f} % of the machine"
        leaking = [one for one in load.workers if one.leak]
        if leaking:
            return RecycleWorker(leaking[0].number, f"{why}, and this worker leaks: {leaking[0].leak}")
        if self._has_command:
            return CallCommand(1, why)
        return Refuse(f"no worker is added on this machine: {why}, no worker leaks, no --scale-command")

    def _busy(self, load: Load) -> Step:
        limits = self._limits
        what, cpu = (
            ("the workers", load.workers_cpu)
            if load.workers_cpu >= (load.machine_cpu or 0.0)
            else ("the machine", load.cpu)
        )
        why = f"CPU of {what} is at {cpu:.0f} %, {limits.add_above_cpu:g} or more for {limits.for_s:g} s"
        if load.memory_percent >= limits.memory_limit:
            return self._without_memory(load)
        if len(load.workers) < limits.max_workers:
            return AddWorker(why)
        if self._has_command:
            return CallCommand(1, f"{why}, and all {limits.max_workers} workers run")
        return Refuse(f"all {limits.max_workers} workers run (--max-workers): {why}")

    def _note(self, step: Step, now_s: float) -> None:
        grows = isinstance(step, AddWorker) or (isinstance(step, CallCommand) and step.change > 0)
        if grows and now_s - self._shrunk_s < REGRET_S:
            self._patience = min(self._patience * 2, MOST_PATIENCE)
        elif grows:
            self._patience = 1
        if isinstance(step, RemoveWorker) or (isinstance(step, CallCommand) and step.change < 0):
            self._shrunk_s = now_s
        else:
            self._grown_s = now_s
        self._stepped_s = now_s
        self._forget()


def _since(holds: bool, since_s: float | None, before_s: float) -> float | None:
    if not holds:
        return None
    return before_s if since_s is None else since_s


def _waiting(
    busy_s: float, full_s: float, idle_s: float, cool_s: float, limits: Thresholds, remove_for_s: float
) -> str:
    """Say what is waited for."""
    if not (busy_s or full_s or idle_s):
        return ""
    what = "memory is short" if full_s else "busy" if busy_s else "idle"
    since_s = full_s or busy_s or idle_s
    of_s = limits.for_s if full_s or busy_s else remove_for_s
    cooling = f", resting {cool_s:.0f} s after the last step" if cool_s > 0 else ""
    return f"{what} for {since_s:.0f} s of {of_s:.0f} s{cooling}"
