"""Transfers and repairs as time-and-motion bars: the newest of a drive, read as they come.

Rule: the store of waypoints is read, never written, and only its newest events, however busy the door.
Rule: downloads out of a worker's memory take a moment and are many: few of them are shown.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from trivet.insight.runs.bars import Bar, BarPages
from trivet.insight.runs.cleaning import Rules, clean
from trivet.insight.runs.event_table import SECOND_NS, Dimension, EventTable
from trivet.insight.runs.phases import Phase, phases_of
from trivet.monitor.runs.drive_runs import repair_events
from trivet.monitor.runs.event_log import Event
from trivet.wire.board_frames import MotionBar
from trivet.wire.control_messages import Finding

#: How many runs are shown, how many of them are of cached downloads, how many events are read at a time.
BARS, CACHED_BARS, EVENTS = 14, 4, 2000
_BUSY_S = 0.2


class Motion:
    """Follows the store of waypoints in `folder`; used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tail.sqlite"
        self._last = 0
        self._runs: dict[str, list[Event]] = {}
        self._cached: dict[str, list[Event]] = {}

    def read(self) -> None:
        """Take in what is new; a store that is not there yet, or busy, is read next time."""
        try:
            events = self._newest()
        except sqlite3.Error:
            return
        for event in events:
            runs = self._cached if '"cached"' in event.dimensions else self._runs
            held = runs.setdefault(event.run, [])
            if len(held) < EVENTS:
                held.append(event)
        for runs, most in ((self._runs, BARS), (self._cached, CACHED_BARS)):
            for run in sorted(runs, key=lambda run: runs[run][-1].emit_ns or 0)[:-most]:
                del runs[run]

    def _newest(self) -> list[Event]:
        store = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        try:
            (newest,) = store.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
            after = 0 if newest < self._last else self._last
            rows = store.execute(
                "SELECT run, name, emit_ns, receive_ns, source, sequence, dimensions FROM events "
                "WHERE id > ? ORDER BY id",
                (max(after, newest - EVENTS),),
            ).fetchall()
        finally:
            store.close()
        self._last = newest
        return [Event(*row) for row in rows]

    def bars(self, repairs: Sequence[Finding]) -> list[MotionBar]:
        """Return the newest transfers, and `repairs`, as bars, the newest first."""
        events = [event for runs in (self._runs, self._cached) for held in runs.values() for event in held]
        events += repair_events(repairs)
        if not events:
            return []
        table = table_of(events)
        cleaned = clean(table, Rules(), 1 << 62)
        phases = phases_of(table.names)
        return [bar_told(bar, phases) for bar in BarPages(cleaned, phases).newest(BARS)]


def table_of(events: Sequence[Event]) -> EventTable:
    """Return `events` (some hundreds) as a table, without Arrow."""
    runs = list(dict.fromkeys(event.run for event in events))
    names = list(dict.fromkeys(event.name for event in events))
    run_code, name_code = ({name: code for code, name in enumerate(of)} for of in (runs, names))
    times = np.array([event.emit_ns for event in events], np.int64)
    return EventTable(
        runs,
        names,
        np.array([run_code[event.run] for event in events], np.int32),
        np.array([name_code[event.name] for event in events], np.int16),
        times,
        times,
        dimensions=_dimensions(
            {run_code[event.run]: event.dimensions for event in events if event.dimensions}
        ),
    )


def _dimensions(told: dict[int, str]) -> dict[str, Dimension]:
    found: dict[str, list[tuple[int, str]]] = {}
    for run, words in told.items():
        for name, value in msgspec.json.decode(words, type=dict[str, str]).items():
            found.setdefault(name, []).append((run, value))
    return {
        name: Dimension(
            [value for _, value in pairs],
            np.array([run for run, _ in pairs], np.int32),
            np.arange(len(pairs), dtype=np.int32),
        )
        for name, pairs in found.items()
    }


def bar_told(bar: Bar, phases: Sequence[Phase]) -> MotionBar:
    """Return `bar` for a frame, its `phases` in their order and the rest of its time behind."""
    tags = {name: values[0] for name, values in bar.dimensions.items()}
    order = [phase.name for phase in phases]
    parts = sorted(bar.seconds.items(), key=lambda item: order.index(item[0]) if item[0] in order else 99)
    kind = tags.get("queue", "")
    file, who = tags.get("file", ""), tags.get("requestor", "")
    about = f"{tags['path']} on {tags['server']}" if kind == "repair" else f"{file} by {who}" if file else who
    return MotionBar(
        bar.run[:200], kind, about[:200], bar.begin_ns / SECOND_NS, bar.total_s,
        [(name, seconds) for name, seconds in parts], bool(bar.open_phases), tags.get("error", ""),
    )  # fmt: skip
