"""Statistics of phases over all runs, and per value of a dimension.

Rule: percentiles are by linear interpolation, the standard deviation is that of the whole population,
as numpy does both by default. Open attempts are counted and left out of everything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trivet.insight.runs.cleaning import CleanEvents
from trivet.insight.runs.durations import Spans, phase_spans
from trivet.insight.runs.phases import Phase

Seconds = npt.NDArray[np.float64]
_PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class PhaseStatistics:
    """One phase: `summary` has count, min, max, mean, std, p50, p95, p99 in seconds (None without data)."""

    phase: Phase
    summary: dict[str, float | int | None]
    repeated: int
    opened: int
    orphans: int
    negative: int


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """Counts over a table and the statistics of each phase."""

    runs: int
    events: int
    event_counts: dict[str, int]
    phases: tuple[PhaseStatistics, ...]

    def shape(self) -> dict[str, Any]:
        """The object that `trivet runs stats --json` prints."""
        return {
            "runs": self.runs,
            "events": self.events,
            "event_counts": self.event_counts,
            "phases": {entry.phase.name: entry.summary for entry in self.phases},
        }


def summarise(seconds: Seconds) -> dict[str, float | int | None]:
    """Count, extremes, mean, standard deviation and percentiles of durations in `seconds`."""
    if not len(seconds):
        return {"count": 0, **dict.fromkeys(("min", "max", "mean", "std", *_PERCENTILES))}
    quantiles = np.percentile(seconds, list(_PERCENTILES.values()))
    return {
        "count": len(seconds),
        "min": float(seconds.min()),
        "max": float(seconds.max()),
        "mean": float(seconds.mean()),
        "std": float(seconds.std()),
        **dict(zip(_PERCENTILES, map(float, quantiles), strict=True)),
    }


def run_statistics(events: CleanEvents, phases: Sequence[Phase]) -> RunStatistics:
    """Statistics of all `events` for each of `phases`."""
    table = events.table
    per_name = table.events_per_name()
    seen = np.zeros(len(table.run_ids), np.bool_)
    seen[table.run] = True
    return RunStatistics(
        runs=int(np.count_nonzero(seen)),
        events=len(table),
        event_counts={str(n): int(c) for n, c in zip(table.names, per_name, strict=True) if c},
        phases=tuple(_phase_statistics(phase, phase_spans(events, phase, phases)) for phase in phases),
    )


def by_dimension(
    events: CleanEvents, phases: Sequence[Phase], dimension: str, *, most: int = 50
) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """{value: {phase: summary}} for the `most` values of `dimension` with most runs, those first."""
    column = events.table.dimensions.get(dimension)
    if column is None:
        return {}
    frequent = np.argsort(-np.bincount(column.value, minlength=len(column.values)), kind="stable")[:most]
    result: dict[str, dict[str, dict[str, float | int | None]]] = {
        str(column.values[value]): {} for value in frequent
    }
    for phase in phases:
        spans = phase_spans(events, phase, phases)
        seconds = spans.seconds()
        for value in frequent:
            has_value = np.zeros(len(events.table.run_ids), np.bool_)
            has_value[column.run[column.value == value]] = True
            result[str(column.values[value])][phase.name] = summarise(seconds[has_value[spans.run]])
    return result


def _phase_statistics(phase: Phase, spans: Spans) -> PhaseStatistics:
    seconds = spans.seconds()
    return PhaseStatistics(
        phase,
        summarise(seconds),
        repeated=int(np.count_nonzero(spans.attempt > 1)),
        opened=len(spans.open_run),
        orphans=spans.orphans,
        negative=int(np.count_nonzero(seconds < 0)),
    )
