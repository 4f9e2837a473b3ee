"""The two old ways to get the statistics of test runs, as measures for ours: objects and masks.

Rule: both work on the same clean table (each event once a run) and give count, min, max, mean and std.
"""

import math
import statistics
from typing import NamedTuple

import numpy as np

from trivet.insight.runs.phases import TEST_RUN_PHASES, WAYPOINTS

KIND = np.dtype([("run", "i8"), ("name", "S12"), ("emit", "f8"), ("receive", "f8")])
#: Mean seconds from each waypoint to the next, and when the first run begins.
STEP_MEANS_S = (2, 180, 3, 60, 2, 35, 1, 600, 5)
BEGIN_S = 1_700_000_000.0

Summary = dict[str, float]


class Event(NamedTuple):
    """One event as an object."""

    run: int
    name: str
    emit: float


def make_table(runs: int, seed: int = 1) -> np.ndarray:
    """A record array of `runs` overlapping runs with skewed phases, in order of receipt."""
    dice = np.random.default_rng(seed)
    count = len(WAYPOINTS)
    emit = np.empty((runs, count))
    emit[:, 0] = BEGIN_S + np.cumsum(dice.exponential(7.0, runs))
    steps = dice.lognormal(np.log(STEP_MEANS_S), 0.5, (runs, count - 1))
    emit[:, 1:] = emit[:, :1] + np.cumsum(steps, axis=1)
    table = np.empty(runs * count, KIND)
    table["run"] = np.repeat(np.arange(runs), count)
    table["name"] = np.tile(np.array(WAYPOINTS, "S12"), runs)
    table["emit"] = emit.ravel()
    table["receive"] = table["emit"] + dice.gamma(2.0, 0.05, runs * count)
    return table[np.argsort(table["receive"], kind="stable")]


def to_objects(table: np.ndarray) -> list[Event]:
    """The table as a flat list of objects."""
    return [Event(run, name.decode(), emit) for run, name, emit, _ in table.tolist()]


def object_scan(events: list[Event]) -> dict[str, Summary]:
    """Every query a filter over the whole list: O(runs x events), as objects without an index do."""
    runs = sorted({event.run for event in events})
    found = {}
    for phase in TEST_RUN_PHASES:
        seconds = []
        for run in runs:
            first = next(e.emit for e in [e for e in events if e.run == run and e.name == phase.start])
            last = next(e.emit for e in [e for e in events if e.run == run and e.name == phase.end])
            seconds.append(last - first)
        found[phase.name] = {
            "count": len(seconds),
            "min": min(seconds),
            "max": max(seconds),
            "mean": math.fsum(seconds) / len(seconds),
            "std": statistics.pstdev(seconds),
        }
    return found


def masks(table: np.ndarray) -> dict[str, Summary]:
    """One mask over the whole table for each run: O(runs x events), but in C."""
    runs = np.unique(table["run"])
    seconds = {phase.name: np.empty(len(runs)) for phase in TEST_RUN_PHASES}
    for number, run in enumerate(runs):
        mine = table[table["run"] == run]
        at = dict(zip(mine["name"].tolist(), mine["emit"].tolist(), strict=True))
        for phase in TEST_RUN_PHASES:
            seconds[phase.name][number] = at[phase.end.encode()] - at[phase.start.encode()]
    return {
        name: {
            "count": len(values),
            "min": float(values.min()),
            "max": float(values.max()),
            "mean": float(values.mean()),
            "std": float(values.std()),
        }
        for name, values in seconds.items()
    }
