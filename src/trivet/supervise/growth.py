"""Follows memory and handles of every process of the drive, and names those that only grow."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from trivet.insight.leaks import Growth, GrowthWatch
from trivet.supervise.live_view import size_text
from trivet.wire.health_messages import ProcessFigures

#: What is too little to be called a leak, whatever it is for.
MEMORY_BYTES = 16 << 20
HANDLES = 20


@dataclass(frozen=True, slots=True)
class _Row:
    memory: GrowthWatch
    handles: GrowthWatch


class LeakWatch:
    """Takes every look at all processes; keeps some hundred numbers for each that still runs."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str], _Row] = {}

    def mark(self, now_s: float, processes: Iterable[ProcessFigures]) -> list[ProcessFigures]:
        """Return `processes` as seen at `now_s` (a clock that never jumps), those that leak marked."""
        rows, marked = self._rows, []
        self._rows = {}
        for one in processes:
            key = (one.pid, one.role)
            row = rows.get(key) or _Row(GrowthWatch(MEMORY_BYTES), GrowthWatch(HANDLES))
            self._rows[key] = row
            row.memory.add(now_s, one.rss_bytes)
            if one.handles is not None:
                row.handles.add(now_s, one.handles)
            marked.append(_marked(one, row))
        return marked


def _marked(one: ProcessFigures, row: _Row) -> ProcessFigures:
    if (growth := row.memory.leak()) is not None:
        return msgspec.structs.replace(one, leak="memory", leak_why=f"memory {_words(growth, size_text)}")
    if (growth := row.handles.leak()) is not None:
        return msgspec.structs.replace(one, leak="handles", leak_why=f"handles {_words(growth, _count)}")
    return one


def _count(value: float) -> str:
    return f"{value:.0f}"


def _words(growth: Growth, told: Callable[[float], str]) -> str:
    return f"grew from {told(growth.low)} to {told(growth.high)} within {growth.over_s / 60:.0f} min"
