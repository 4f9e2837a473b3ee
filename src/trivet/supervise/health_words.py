"""What is not well with a drive, in sentences; and its processes as a table.

Rule: words first: who reads one line knows whether all is well.
"""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from trivet.insight.board.verdict import most_are_away
from trivet.supervise.live_view import absences, size_text
from trivet.wire.control_messages import Status
from trivet.wire.health_messages import (
    DriveFigures,
    MachineFigures,
    ProcessFigures,
    ScalingState,
    ScalingStep,
)

#: How long a step that failed is still told of.
FAILED_TOLD_S = 600.0
MEMORY_LIMIT_PERCENT = 85.0


def notes_of(
    now_s: float,
    machine: MachineFigures,
    processes: Sequence[ProcessFigures],
    scaling: ScalingState | None,
    steps: Sequence[ScalingStep],
) -> list[str]:
    """Return what is not well with processes and machine at the Unix time `now_s`."""
    notes = [
        f"{one.name} (process {one.pid}) leaks: {one.leak_why}" for one in processes if one.leak is not None
    ]
    limit = MEMORY_LIMIT_PERCENT if scaling is None else scaling.memory_limit_percent
    if machine.memory_percent >= limit:
        notes.append(f"memory of the machine is {machine.memory_percent:.0f} % full")
    last = steps[-1] if steps else None
    failed = last is not None and last.what in ("refused", "command failed")
    if last is not None and failed and abs(now_s - last.at_s) < FAILED_TOLD_S:
        notes.append(f"scaling, {last.what}: {last.why}")
    return notes


def problems(status: Status, figures: DriveFigures | None) -> list[str]:
    """Return everything that is not well, the drive's files first; empty when all is well."""
    found = [*absences(status), *status.notes]
    if most_are_away(status):
        found.insert(0, "most banks are away: nothing can be changed until one is back")
    if status.open_damage:
        found.append(f"{status.open_damage} findings are not repaired yet")
    if status.gateway is not None and status.gateway.state != "up":
        found.append(f"the HTTP door is {status.gateway.state}; why is in {status.gateway.log}")
    if figures is None:
        found.append("nobody watches the processes: `trivet up` does not run here, or does not answer")
    else:
        found.extend(figures.notes)
    if not status.healthy and not found:
        found.append("the drive is not healthy; `trivet status` shows it")
    return found


def verdict_lines(found: Sequence[str]) -> Iterator[Text]:
    """Yield the words that come first."""
    if not found:
        yield Text("All is well.", "bold green")
        return
    yield Text(f"NOT well: {len(found)} thing{'s' * (len(found) > 1)}.", "bold red")
    for one in found:
        yield Text(f"! {one}", "yellow")


def machine_line(figures: DriveFigures) -> Text:
    """Return the sentence about the machine and the door's workers."""
    machine, scaling = figures.machine, figures.scaling
    text = (
        f"Machine: CPU {_percent(machine.cpu_percent)} of {machine.cores} cores, memory "
        f"{machine.memory_percent:.0f} % of {size_text(machine.memory_total_bytes)}."
    )
    if scaling is not None:
        text += f" Door: {scaling.workers} of at most {scaling.max_workers} workers"
        text += f"; {scaling.waiting}." if scaling.waiting else "."
    return Text(text)


def process_table(processes: Sequence[ProcessFigures]) -> Table:
    """Return the table of processes."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("process", "pid", "CPU", "memory", "private", "handles", "threads", "up for", ""):
        table.add_column(title, justify="left" if title in ("process", "") else "right")
    for one in processes:
        table.add_row(
            one.name,
            str(one.pid),
            _percent(one.cpu_percent),
            size_text(one.rss_bytes),
            "-" if one.private_bytes is None else size_text(one.private_bytes),
            "-" if one.handles is None else str(one.handles),
            str(one.threads),
            duration_text(one.elapsed_s),
            Text("" if one.leak is None else f"leaks {one.leak}", "red"),
        )
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} %"


def duration_text(seconds: float) -> str:
    """Return a time as people say it: "40 s", "12 min", "5 h", "3 d"."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if days >= 2:
        return f"{days:.0f} d"
    if hours >= 2:
        return f"{hours:.0f} h"
    return f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"
