"""What the drive tells about its own processes: figures, leaks, how many workers the door has and why.

Rule: as in `control_messages.py`: one JSON object, fields are added, never renamed.
Rule: a figure that the system does not give, or not yet (a rate needs two looks), is None, never 0.
"""

from typing import Literal

import msgspec

Leak = Literal["memory", "handles"]
StepKind = Literal[
    "worker added", "worker removed", "worker recycled", "refused", "command called", "command failed"
]
#: The longest series that may be asked for; 0 seconds = none.
SERIES_MAX_S = 90 * 24 * 3600


class MachineFigures(msgspec.Struct, frozen=True):
    """The machine; `cpu_percent` of all cores together (0 to 100)."""

    cores: int
    cpu_percent: float | None
    memory_percent: float
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int
    swap_used_bytes: int


class ProcessFigures(msgspec.Struct, frozen=True):
    """One process of the drive; `cpu_percent` 100 = one core, `private_bytes` at most ten seconds old.

    `waiting_percent`: for how much of the time it was ready to run and no processor was free.
    `role`: supervisor, keeper, bank BASE, door worker, upstream, or helper (a process that one of these
    started). `collections` per generation, `collecting_s` and `traced_bytes` are those of Python's collector.
    """

    pid: int
    parent_pid: int
    role: str
    name: str
    cpu_percent: float | None
    rss_bytes: int
    private_bytes: int | None
    handles: int | None
    threads: int
    read_bytes_s: float | None
    write_bytes_s: float | None
    elapsed_s: float
    leak: Leak | None = None
    leak_why: str = ""
    collections: list[int] | None = None
    collecting_s: float | None = None
    traced_bytes: int | None = None
    waiting_percent: float | None = None


class ProcessSeries(msgspec.Struct, frozen=True):
    """One process's columns, one value for each time of the series; None where it did not run."""

    pid: int
    role: str
    name: str
    cpu_percent: list[float | None]
    rss_bytes: list[int | None]
    handles: list[int | None]


class FigureSeries(msgspec.Struct, frozen=True):
    """The figures of before, oldest first, `step_s` apart where nothing is missing.

    Steps longer than a look hold the mean of CPU, the most of memory and handles; processes of one name
    are told together, with the newest pid. `left_out` are processes that are not told.
    """

    step_s: float
    at_s: list[float]
    machine_cpu_percent: list[float | None]
    machine_memory_percent: list[float | None]
    processes: list[ProcessSeries]
    left_out: int = 0


class ScalingStep(msgspec.Struct, frozen=True):
    """One thing that was done, or could not be, about the number of workers; `workers` after it.

    `at_s` is when it was decided.
    """

    seq: int
    at_s: float
    what: StepKind
    why: str
    workers: int
    pid: int | None = None


class ScalingState(msgspec.Struct, frozen=True):
    """How many workers the door has and may have; `outside` is what the command was asked to add elsewhere.

    `cpu_percent` is what is held against the thresholds; `waiting` says in words what it waits for, "" if
    there is nothing to do.
    """

    workers: int
    min_workers: int
    max_workers: int
    outside: int
    cpu_percent: float | None
    add_above_cpu_percent: float
    remove_below_cpu_percent: float
    memory_limit_percent: float
    command: str | None = None
    waiting: str = ""


class DriveFigures(msgspec.Struct, frozen=True):
    """Everything at one moment; `notes` are sentences about what is not well, `steps` the newest last."""

    at_s: float
    every_s: float
    machine: MachineFigures
    processes: list[ProcessFigures]
    scaling: ScalingState | None = None
    steps: list[ScalingStep] = []
    notes: list[str] = []
    series: FigureSeries | None = None
