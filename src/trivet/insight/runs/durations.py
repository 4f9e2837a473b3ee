"""From events to the stretches of time of a phase: which start belongs to which end.

Rule: one start and one end in a run are a pair even when the end comes first: a negative duration is
shown, never clamped. With repeats, an end belongs to the start right before it; each pair is an attempt.
Rule: a start without an end is open; an end without a start is an orphan. An event that other phases
use too (a test's end begins the publishing) may repeat because of them, and is neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.insight.runs.cleaning import CleanEvents
from trivet.insight.runs.event_table import SECOND_NS, Codes, Ints
from trivet.insight.runs.phases import Phase


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of one phase: `run`, `begin` and `end` (ns) and the number of the `attempt`, from 1.

    `open_run` and `open_begin` are attempts that never ended; `orphans` counts ends without a start.
    """

    run: Codes
    begin: Ints
    end: Ints
    attempt: npt.NDArray[np.int32]
    open_run: Codes
    open_begin: Ints
    orphans: int

    def seconds(self) -> npt.NDArray[np.float64]:
        """The duration of each stretch."""
        return (self.end - self.begin) / SECOND_NS


def phase_spans(events: CleanEvents, phase: Phase, phases: Sequence[Phase] = ()) -> Spans:
    """The stretches of `phase` in `events`; `phases` are all those looked at: they may share events."""
    table = events.table
    starts, ends = _rows(events, phase.start), _rows(events, phase.end)
    start_run, end_run = table.run[starts], table.run[ends]
    start_count = np.bincount(start_run, minlength=len(table.run_ids))
    end_count = np.bincount(end_run, minlength=len(table.run_ids))
    repeats = (start_count > 1) | (end_count > 1)
    end_time = np.zeros(len(table.run_ids), np.int64)
    end_time[end_run] = events.time[ends]
    once = starts[~repeats[start_run]]
    once_run = table.run[once]
    ended = end_count[once_run] == 1
    pairs, unended = once[ended], once[~ended]
    orphans = int(np.count_nonzero((end_count == 1) & (start_count == 0)))
    simple = Spans(
        table.run[pairs],
        events.time[pairs],
        end_time[table.run[pairs]],
        np.ones(len(pairs), np.int32),
        table.run[unended],
        events.time[unended],
        orphans,
    )
    if not repeats.any():
        return simple
    shared = {p.end for p in phases}, {p.start for p in phases}
    again = _pair_repeats(events, starts[repeats[start_run]], ends[repeats[end_run]])
    return _joined(simple, again, phase.start in shared[0], phase.end in shared[1])


def _rows(events: CleanEvents, name: str) -> npt.NDArray[np.intp]:
    names = list(events.table.names)
    if name not in names:
        return np.zeros(0, np.intp)
    return np.flatnonzero(events.table.name == names.index(name))


def _pair_repeats(events: CleanEvents, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> Spans:
    """Pair each start with the end that comes next in its run; ties in time keep the table's order."""
    rows = np.concatenate([starts, ends])
    is_end = np.concatenate([np.zeros(len(starts), np.bool_), np.ones(len(ends), np.bool_)])
    order = np.lexsort((rows, events.time[rows], events.table.run[rows]))
    rows, is_end = rows[order], is_end[order]
    run, time = events.table.run[rows], events.time[rows]
    first_of_run = np.searchsorted(run, run)
    started = np.cumsum(~is_end)
    attempt = started - started[first_of_run] + (~is_end[first_of_run])
    paired = np.zeros(len(rows), np.bool_)
    paired[:-1] = ~is_end[:-1] & is_end[1:] & (run[1:] == run[:-1])
    after = np.zeros(len(rows), np.bool_)
    after[1:] = paired[:-1]
    left_open = ~is_end & ~paired
    return Spans(
        run[paired],
        time[paired],
        time[after],
        attempt[paired].astype(np.int32),
        run[left_open],
        time[left_open],
        int(np.count_nonzero(is_end & ~after)),
    )


def _joined(simple: Spans, again: Spans, start_is_shared: bool, end_is_shared: bool) -> Spans:
    opened = (
        (again.open_run[:0], again.open_begin[:0]) if start_is_shared else (again.open_run, again.open_begin)
    )
    return Spans(
        np.concatenate([simple.run, again.run]),
        np.concatenate([simple.begin, again.begin]),
        np.concatenate([simple.end, again.end]),
        np.concatenate([simple.attempt, again.attempt]),
        np.concatenate([simple.open_run, opened[0]]),
        np.concatenate([simple.open_begin, opened[1]]),
        simple.orphans + (0 if end_is_shared else again.orphans),
    )
