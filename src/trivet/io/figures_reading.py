"""Reads what processes used: as a series of any length, and as their lives; beside the writer or without it.

Rule: a series comes from the shortest steps that reach so far back, put together to about VALUES of them.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from trivet.io.figures_store import LEVELS, MACHINE, PROCESSES, told_by_name
from trivet.wire.health_messages import FigureSeries, ProcessSeries

#: A series has about so many values.
VALUES = 600
_BUSY_S = 5.0


@dataclass(frozen=True, slots=True)
class Life:
    """When a process ran, as exactly as is known; `end_s` None: it ran at the last look."""

    role: str
    name: str
    pid: int
    begin_s: float
    end_s: float | None
    cpu_percent: float | None
    peak_bytes: int


def read_series(path: Path, since_s: float, until_s: float) -> FigureSeries:
    """Return what the file `path` holds from `since_s` to `until_s` (Unix times), in about VALUES steps.

    Empty when there is no file yet; TrivetError when it can't be read.
    """
    span_s = max(until_s - since_s, 1.0)
    level = next((one for one in LEVELS if span_s <= one.kept_s), LEVELS[-1])
    step_s = max(-(-span_s // (VALUES * level.step_s)), 1.0) * level.step_s
    if not path.exists():
        return FigureSeries(step_s, [], [], [], [])
    with _opened(path) as db:
        rows = db.execute(
            "SELECT at / ?1 * ?1 AS slot, role, name, max(pid), avg(cpu), max(memory), max(handles) "
            "FROM figures JOIN processes ON id = process WHERE step = ?2 AND at >= ?3 AND at <= ?4 "
            "GROUP BY slot, process ORDER BY slot",
            (int(step_s), level.step_s, since_s - level.step_s, until_s),
        ).fetchall()
    return _series(step_s, rows)


def _series(step_s: float, rows: Sequence[tuple[int, str, str, int, float, float, int]]) -> FigureSeries:
    places = {at: place for place, at in enumerate(dict.fromkeys(row[0] for row in rows))}
    machine = _empty(len(places)), _empty(len(places))
    known: dict[tuple[str, str], ProcessSeries] = {}
    for at, role, name, pid, cpu, memory, handles in rows:
        place = places[at]
        if role == MACHINE:
            machine[0][place], machine[1][place] = cpu, memory
            continue
        one = known.get((role, name)) or ProcessSeries(pid, role, name, *(_empty(len(places)) for _ in "123"))
        known[role, name] = one if one.pid == pid else msgspec.structs.replace(one, pid=pid)
        one.cpu_percent[place], one.rss_bytes[place], one.handles[place] = cpu, int(memory), handles
    told = sorted(known.values(), key=lambda one: max(filter(None, one.rss_bytes), default=0), reverse=True)
    return FigureSeries(
        step_s, [float(at) for at in places], *machine, told[:PROCESSES], len(told[PROCESSES:])
    )


def _empty(count: int) -> list[Any]:
    return [None] * count


def read_lives(path: Path) -> list[Life]:
    """Return when each process of the file `path` ran, the oldest first; TrivetError if it can't be read."""
    with _opened(path) as db:
        (newest,) = db.execute("SELECT max(at) FROM figures").fetchone()
        rows = db.execute(
            "SELECT role, name, pid, step, min(at), max(at), avg(cpu), max(memory) FROM figures "
            "JOIN processes ON id = process WHERE role <> ? GROUP BY process, pid, step "
            "ORDER BY process, pid, step",
            (MACHINE,),
        ).fetchall()
    lives = []
    for (role, name, pid), steps in groupby(rows, key=lambda row: row[:3]):
        levels = [row[3:] for row in steps]
        step, _, last, *_ = levels[0]
        longest, begin, *_ = levels[-1]
        for shorter, first, *_ in reversed(levels[:-1]):
            if first >= begin + longest:  # so far back it is not kept in short steps
                break
            longest, begin = shorter, max(begin, first)
        end_s = None if last >= newest else float(last + step)
        cpu = next((cpu for *_, cpu, _ in reversed(levels) if cpu is not None), None)
        lives.append(Life(role, name, pid, float(begin), end_s, cpu, int(max(row[4] for row in levels))))
    return sorted(lives, key=lambda one: one.begin_s)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with told_by_name(path):
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        try:
            yield db
        finally:
            db.close()
