"""The board's panels as text: what `trivet top` shows side by side, and `--once` prints one below the other.

Rule: text of the drive (paths, clients, users) is shown as text; control characters never reach the terminal.
"""

from collections.abc import Callable
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trivet.insight.board.verdict import age_text
from trivet.insight.runs.chart_spec import COLOURS, OTHER_COLOUR, duration_text
from trivet.monitor.terminal_text import printable
from trivet.supervise.live_view import STATE_STYLES, size_text
from trivet.wire.board_frames import BoardFrame, MotionBar
from trivet.wire.health_messages import ProcessFigures

Order = Literal["name", "CPU", "memory", "handles"]
ORDERS: tuple[Order, ...] = ("name", "CPU", "memory", "handles")
ROWS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("banks", "Banks and repairs"), ("traffic", "Traffic")),
    (("motion", "Transfers and repairs, newest first"), ("floods", "Who asks most")),
    (("processes", "Processes"), ("scaling", "Workers of the door")),
    (("vendors", "Vendors"),),
)
_LEVELS = {"good": "bold bright_green", "warn": "bold yellow", "bad": "bold bright_red"}
_BLOCKS = " ▁▂▃▄▅▆▇█"
_PHASES = ("initialisation", "queue", "transfer", "verify", "publish", "repair")
_ROWS, _BAR_CELLS, _SPARK_CELLS, _NAME = 8, 24, 60, 60


def verdict_text(frame: BoardFrame, *, paused: bool = False) -> Text:
    """Return the sentence on top, what is being done, and what is worth a look."""
    text = Text(frame.verdict.sentence, style=_LEVELS[frame.verdict.level])
    if paused:
        text.append("  PAUSED", style="reverse")
    if frame.verdict.doing:
        text.append(f"\n{frame.verdict.doing}", style="default")
    for line in frame.look:
        text.append(f"\nworth a look: {printable(line)}", style="yellow")
    return text


def panel(name: str, frame: BoardFrame, order: Order = "name") -> RenderableType | None:
    """Return the panel called `name`, processes in `order`; None where there is nothing to show at all."""
    if name == "processes":
        return _processes(frame, order)
    return _PANELS[name](frame)


def _banks(frame: BoardFrame) -> RenderableType:
    table = _table()
    for bank in frame.banks:
        cells = Text()
        for server in bank.servers:
            cells.append(f"{server.port} {server.state}  ", style=STATE_STYLES[server.state])
        _row(table, Text(f"bank {bank.base}", "bold"), bank.state, cells)
    healing = frame.healing
    checked = "not yet" if healing.refresh_age_s is None else f"{age_text(healing.refresh_age_s)} ago"
    lines = [Text(f"to mend {healing.open_damage:,}, repaired so far {healing.repaired_total:,}, "
                  f"all copies compared {checked}")]  # fmt: skip
    for one in healing.repairs[:_ROWS]:
        where = f" from {one.source}" if one.source else ""
        what = f"{_cut(one.path)}: {one.item} on {one.server} {one.why}, repaired{where}"
        lines.append(Text(f"{_ago(frame, one.at_s):>10}  {what}"))
    return Group(table, *lines)


def _traffic(frame: BoardFrame) -> RenderableType:
    told = frame.traffic
    lately = told.per_second[-_SPARK_CELLS:]
    most = max(lately, default=0) or 1
    spark = "".join(_BLOCKS[-(-hits * (len(_BLOCKS) - 1) // most)] for hits in lately)
    errors = told.client_errors + told.server_errors
    lines = [
        Text(spark, "cyan"),
        Text(f"{sum(lately[-10:]) / 10:.1f} requests/s; last minute {told.hits:,}, {size_text(told.bytes)}, "
             f"{errors:,} errors" + (f" ({told.server_errors or 'none'} the drive's fault)" if errors else "")
             + ("" if told.p95_ms is None else f", 95 % within {told.p95_ms:.0f} ms")),
    ]  # fmt: skip
    for alert in told.alerts[:3]:
        word, style = ("ALERT", "bold red") if alert.raised else ("over", "green")
        lines.append(Text(f"{word} {_ago(frame, alert.at_s)}: {alert.text}", style))
    table = _table("section", "hits", "sent", "errors")
    for one in told.sections:
        _row(
            table,
            _cut(one.name),
            f"{one.hits:,}",
            size_text(one.bytes),
            f"{one.errors:,}" if one.errors else "",
        )
    return Group(*lines, table)


def _floods(frame: BoardFrame) -> RenderableType:
    table = _table("client and address, last minute", "hits")
    for one in frame.floods.pairs:
        name = Text(_cut(f"{one.client} {one.url}"))
        if one.loop:
            name.append("  a loop?", "bold red")
        _row(table, name, f"{one.hits:,}")
    told = [Text(_cut(one.why, 200), "yellow") for one in frame.floods.findings] or [
        Text("no flood", "green")
    ]
    return Group(table, *told)


def _motion(frame: BoardFrame) -> RenderableType:
    lines = [Text(f"{one.state} {one.direction} {_cut(one.path)}, {size_text(one.done)}"
                  + ("" if one.total is None else f" of {size_text(one.total)}") + f", {printable(one.user)}")
             for one in frame.moving]  # fmt: skip
    longest = max((one.total_s for one in frame.bars), default=0.0) or 1.0
    table = _table()
    for one in frame.bars:
        _row(table, _bar(one, longest), duration_text(one.total_s), _cut(f"{one.kind} {one.about}", 30),
                      Text("open" if one.open else one.error, "yellow"))  # fmt: skip
    legend = Text()
    for name, colour in zip(_PHASES, COLOURS, strict=True):
        legend.append(f" {name[0]} ", f"black on {colour}").append(f" {name} ")
    return Group(*lines, table, legend) if frame.bars else Group(*lines, Text("no transfer lately", "dim"))


def _bar(one: MotionBar, longest: float) -> Text:
    """Return the phases of `one` as cells; a run too short for one cell shows its longest phase."""
    colours = dict(zip(_PHASES, COLOURS, strict=True))
    phases = one.phases
    if phases and round(sum(seconds for _, seconds in phases) / longest * _BAR_CELLS) < 1:
        phases = [(max(phases, key=lambda phase: phase[1])[0], longest / _BAR_CELLS)]
    line, drawn, so_far = Text(), 0, 0.0
    for name, seconds in phases:
        so_far += seconds
        cells = round(so_far / longest * _BAR_CELLS) - drawn
        drawn += cells
        letter = name[0] if name in colours else "."
        line.append(letter * cells, f"black on {colours.get(name, OTHER_COLOUR)}")
    return line


def _processes(frame: BoardFrame, order: Order) -> RenderableType | None:
    if frame.figures is None:
        return Text("`trivet up` does not run: nobody counts processes", "dim")
    machine = frame.figures.machine
    cpu = "" if machine.cpu_percent is None else f"CPU {machine.cpu_percent:.0f} % of {machine.cores} cores, "
    table = _table("process", "pid", "CPU %", "memory", "handles", "threads", "")
    for one in sorted(frame.figures.processes, key=_keys(order)):
        cpu_text = "-" if one.cpu_percent is None else f"{one.cpu_percent:.0f}"
        handles = "-" if one.handles is None else str(one.handles)
        leak = Text(f"{one.leak} grows" if one.leak else "", "bold red")
        _row(
            table,
            _cut(one.name),
            str(one.pid),
            cpu_text,
            size_text(one.rss_bytes),
            handles,
            str(one.threads),
            leak,
        )
    head = Text(f"machine: {cpu}memory {machine.memory_percent:.0f} %; ordered by {order}", "dim")
    return Group(head, table)


def _keys(order: Order) -> Callable[[ProcessFigures], tuple[float, int]]:
    """Return what to sort by; the order by name is that of the frame."""
    return {
        "name": lambda one: (0.0, 0),
        "CPU": lambda one: (-(one.cpu_percent or 0.0), one.pid),
        "memory": lambda one: (-float(one.rss_bytes), one.pid),
        "handles": lambda one: (-float(one.handles or 0), one.pid),
    }[order]


def _scaling(frame: BoardFrame) -> RenderableType | None:
    figures = frame.figures
    if figures is None or figures.scaling is None:
        return None
    scaling = figures.scaling
    lines = [Text(f"{scaling.workers} of at most {scaling.max_workers}. {scaling.waiting}")]
    lines += [Text(f"{_ago(frame, step.at_s)}: {step.what}, {step.workers} now; {step.why}")
              for step in figures.steps[:_ROWS]]  # fmt: skip
    return Group(*lines)


def _vendors(frame: BoardFrame) -> RenderableType | None:
    if not frame.upstreams:
        return None
    table = _table("vendor", "", "requests today", "on their way", "queue", "parked")
    for one in frame.upstreams:
        state = (
            Text("well", "green") if one.healthy else Text(printable(one.trouble) or "not reached", "yellow")
        )
        most = "" if one.requests_per_day is None else f" of {one.requests_per_day:,}"
        waiting = (str(one.outbox), str(one.waiting), str(one.parked))
        _row(table, printable(one.name), state, f"{one.requests:,}{most}", *waiting)
    return table


_PANELS: dict[str, Callable[[BoardFrame], RenderableType | None]] = {
    "banks": _banks, "traffic": _traffic, "floods": _floods, "motion": _motion, "scaling": _scaling,
    "vendors": _vendors,
}  # fmt: skip


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=bool(titles), header_style="dim")
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place else "left")
    return table


def _row(table: Table, *cells: str | Text) -> None:
    """Add a row of plain text: what stands in brackets is no markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def _ago(frame: BoardFrame, at_s: float) -> str:
    return f"{age_text(max(0.0, frame.at_s - at_s))} ago"


def _cut(text: str, most: int = _NAME) -> str:
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
