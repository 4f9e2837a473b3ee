"""Bars of runs, a page at a time: how much of each run went into which phase.

Rule: a bar is as long as its run; no moment counts twice. Where phases overlap, the moment belongs to
the one that began last; time in no phase is OTHER; an open phase runs to the last event of its run.
Rule: newest run first, the last page may be partly filled, and only a page that is asked for is made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trivet.insight.runs.cleaning import CleanEvents
from trivet.insight.runs.durations import phase_spans
from trivet.insight.runs.event_table import SECOND_NS, Mask
from trivet.insight.runs.phases import OTHER, Phase

RUNS_PER_PAGE = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """One run: `seconds` per phase (only those it has), when it began (`begin_ns`), and what is odd in it."""

    run: str
    begin_ns: int
    total_s: float
    seconds: Mapping[str, float]
    open_phases: tuple[str, ...]
    repeated_phases: tuple[str, ...]
    negative_phases: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]


class BarPages:
    """The pages of bars of `events`; the order of the runs is found once, a page when it is asked for."""

    def __init__(self, events: CleanEvents, phases: Sequence[Phase], runs: Mask | None = None) -> None:
        self._events, self._phases = events, phases
        table = events.table
        latest = np.iinfo(np.int64).max
        begin = np.full(len(table.run_ids), latest)
        np.minimum.at(begin, table.run, events.time)
        if runs is not None:
            begin[~runs] = latest
        shown = np.flatnonzero(begin != latest)
        #: Codes of the runs, newest first.
        self.order = shown[np.argsort(begin[shown], kind="stable")[::-1]]

    def __len__(self) -> int:
        return -(-len(self.order) // RUNS_PER_PAGE)

    @property
    def run_count(self) -> int:
        """How many runs there are on all pages."""
        return len(self.order)

    def __iter__(self) -> Iterator[list[Bar]]:
        return (self.page(number) for number in range(1, len(self) + 1))

    def page(self, number: int) -> list[Bar]:
        """The bars of page `number`, from 1; empty beyond the last."""
        first = (number - 1) * RUNS_PER_PAGE
        return self.bars(self.order[first : first + RUNS_PER_PAGE])

    def newest(self, count: int) -> list[Bar]:
        """The bars of the `count` newest runs, newest first."""
        return self.bars(self.order[:count])

    def bars(self, codes: npt.NDArray[np.intp]) -> list[Bar]:
        """The bars of the runs with `codes`, in that order."""
        wanted = np.zeros(len(self._events.table.run_ids), np.bool_)
        wanted[codes] = True
        rows = np.flatnonzero(wanted[self._events.table.run])
        few = CleanEvents(self._events.table.only(rows), self._events.time[rows])
        extents = _extents(few)
        stretches = _stretches(few, self._phases, extents)
        tags = _tags(few, wanted)
        return [_bar(few, int(code), extents[int(code)], stretches, tags) for code in codes]


@dataclass(frozen=True, slots=True)
class _Stretch:
    phase: str
    begin: int
    end: int
    attempt: int
    opened: bool


def _extents(events: CleanEvents) -> dict[int, tuple[int, int]]:
    extents: dict[int, tuple[int, int]] = {}
    for run, time in zip(events.table.run.tolist(), events.time.tolist(), strict=True):
        begin, end = extents.get(run, (time, time))
        extents[run] = (min(begin, time), max(end, time))
    return extents


def _stretches(
    events: CleanEvents, phases: Sequence[Phase], extents: Mapping[int, tuple[int, int]]
) -> dict[int, list[_Stretch]]:
    found: dict[int, list[_Stretch]] = {run: [] for run in extents}
    for phase in phases:
        spans = phase_spans(events, phase, phases)
        columns = (column.tolist() for column in (spans.run, spans.begin, spans.end, spans.attempt))
        for run, begin, end, attempt in zip(*columns, strict=True):
            found[run].append(_Stretch(phase.name, begin, end, attempt, opened=False))
        for run, begin in zip(spans.open_run.tolist(), spans.open_begin.tolist(), strict=True):
            found[run].append(_Stretch(phase.name, begin, extents[run][1], 1, opened=True))
    return found


def _tags(events: CleanEvents, wanted: Mask) -> dict[int, dict[str, tuple[str, ...]]]:
    tags: dict[int, dict[str, tuple[str, ...]]] = {}
    for name, column in events.table.dimensions.items():
        rows = np.flatnonzero(wanted[column.run])
        for run, value in zip(column.run[rows].tolist(), column.value[rows].tolist(), strict=True):
            of_run = tags.setdefault(run, {})
            of_run[name] = (*of_run.get(name, ()), str(column.values[value]))
    return tags


def _bar(
    events: CleanEvents,
    run: int,
    extent: tuple[int, int],
    stretches: Mapping[int, list[_Stretch]],
    tags: Mapping[int, Mapping[str, tuple[str, ...]]],
) -> Bar:
    mine = stretches[run]
    nanoseconds = _exclusive(mine, extent)
    return Bar(
        run=events.table.run_id(run),
        begin_ns=extent[0],
        total_s=(extent[1] - extent[0]) / SECOND_NS,
        seconds={name: ns / SECOND_NS for name, ns in nanoseconds.items() if ns},
        open_phases=tuple(s.phase for s in mine if s.opened),
        repeated_phases=tuple({s.phase: None for s in mine if s.attempt > 1}),
        negative_phases=tuple({s.phase: None for s in mine if s.end < s.begin}),
        dimensions=tags.get(run, {}),
    )


def _exclusive(stretches: Sequence[_Stretch], extent: tuple[int, int]) -> dict[str, int]:
    """Nanoseconds per phase, each moment given to the stretch that began last of those going on."""
    spent = {stretch.phase: 0 for stretch in stretches}
    edges = sorted({*extent, *(t for s in stretches for t in (s.begin, s.end))})
    ordered = sorted((s for s in stretches if s.end > s.begin), key=lambda s: s.begin)
    idle = 0
    going: list[_Stretch] = []
    position = 0
    for left, right in pairwise(edges):
        while position < len(ordered) and ordered[position].begin <= left:
            going.append(ordered[position])
            position += 1
        while going and going[-1].end <= left:
            going.pop()
        owner = next((s for s in reversed(going) if s.end > left), None)
        if owner is None:
            idle += right - left
        else:
            spent[owner.phase] += right - left
    spent[OTHER] = idle
    return spent
