"""What the drive's processes used over some time, as a table with a curve in each row."""

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from trivet.monitor.terminal_text import printable
from trivet.supervise.live_view import size_text
from trivet.wire.health_messages import FigureSeries

_CELLS = 32
_BLOCKS = "▁▂▃▄▅▆▇█"
_DATE_FROM_S = 20 * 3600.0


def series_table(series: FigureSeries) -> RenderableType:
    """Return the table of `series`: CPU and memory of the machine and of each process."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "CPU", "mean", "most", "memory", "most", "now", "handles"):
        table.add_column(title, justify="left" if title in ("", "CPU", "memory") else "right")
    machine = series.machine_memory_percent
    table.add_row(
        "machine", *_cpu(series.machine_cpu_percent, 100.0), _curve(machine, 100.0), _share(_most(machine)),
        _share(machine[-1]), "",
    )  # fmt: skip
    for one in series.processes:
        most = _most(one.rss_bytes)
        now, handles = one.rss_bytes[-1], one.handles[-1]
        table.add_row(
            printable(one.name), *_cpu(one.cpu_percent), _curve(one.rss_bytes, most),
            "-" if most is None else size_text(most), "ended" if now is None else size_text(now),
            "" if handles is None else str(handles),
        )  # fmt: skip
    parts: list[RenderableType] = [_head(series), "", table]
    if series.left_out:
        parts.append(f"and {series.left_out} smaller ones")
    return Group(*parts)


def _head(series: FigureSeries) -> str:
    first, last = series.at_s[0], series.at_s[-1] + series.step_s
    pattern = "%H:%M" if last - first < _DATE_FROM_S else "%d %b %H:%M"
    begin, end = (time.strftime(pattern, time.localtime(at_s)) for at_s in (first, last))
    step = f"{series.step_s:.0f} s" if series.step_s < 120 else f"{series.step_s / 60:.0f} min"
    return (
        f"{begin} to {end}, steps of {step}: CPU is the mean of a step (100 % = one core), memory the most."
    )


def _cpu(values: Sequence[float | None], top: float | None = None) -> tuple[str, str, str]:
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known) if known else None
    return _curve(values, top or max(100.0, _most(values) or 0.0)), _share(mean), _share(_most(values))


def _curve(values: Sequence[float | None], top: float | None) -> str:
    """Return `values` as blocks, from 0 to `top`, the most of what falls into a cell; a hole is a space."""
    cells = min(_CELLS, len(values))
    drawn = []
    for cell in range(cells):
        value = _most(values[cell * len(values) // cells : (cell + 1) * len(values) // cells])
        level = 0 if not top or value is None else min(int(value / top * len(_BLOCKS)), len(_BLOCKS) - 1)
        drawn.append(" " if value is None else _BLOCKS[level])
    return "".join(drawn)


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"
