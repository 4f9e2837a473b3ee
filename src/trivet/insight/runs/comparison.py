"""What changed between two sets of runs, and which values of which dimensions explain it.

Rule: the extra time a value explains is exact bookkeeping: over the values of a dimension that each run has
one of, it sums to the change of the mean (share in B times its own change, plus the change of its share
times how far it was from the mean of A).
Rule: "more than noise" is Welch's test at 1 % divided by the number of tests made (Bonferroni): with many
values some always look changed. With fewer than 5 runs on a side nothing is more than noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trivet.insight.runs.cleaning import CleanEvents
from trivet.insight.runs.durations import phase_spans
from trivet.insight.runs.phases import Phase
from trivet.insight.runs.student_t import student_t_tail

Seconds = npt.NDArray[np.float64]
#: The phase and the dimension that stand for everything.
TOTAL, ALL = "*total*", "*all*"

_LEVEL = 0.01
_FEWEST = 5
_MOST_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """How the mean of `phase` changed for the runs with `value`: `extra_s` is what it explains of the change
    of the mean of all runs, in seconds a run; `p` is the chance of such a difference by noise alone.
    """

    phase: str
    dimension: str
    value: str
    extra_s: float
    runs_a: int
    runs_b: int
    mean_a_s: float | None
    mean_b_s: float | None
    p: float
    more_than_noise: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The `overall` change of each phase, and the changes of values `ranked`: no noise first."""

    runs_a: int
    runs_b: int
    overall: tuple[Change, ...]
    ranked: tuple[Change, ...]


def compare(a: CleanEvents, b: CleanEvents, phases: Sequence[Phase], *, most: int = 30) -> Comparison:
    """Compare the runs of `b` with those of `a`; the `most` important changes of values are ranked."""
    per_run_a, per_run_b = _per_run(a, phases), _per_run(b, phases)
    overall, values = [], []
    dimensions = sorted(a.table.dimensions.keys() | b.table.dimensions.keys())
    for phase in (TOTAL, *(phase.name for phase in phases)):
        x, y = per_run_a[phase], per_run_b[phase]
        overall.append(_change(phase, ALL, "", _mean(y) - _mean(x), (_known(x), _known(y))))
        for dimension in dimensions:
            values += _by_value(phase, dimension, (a, b), (x, y))
    judged = [_judged(change, len(values)) for change in values if change.extra_s]
    judged.sort(key=lambda change: (not change.more_than_noise, -abs(change.extra_s)))
    ranked = tuple(judged[:most])
    counts = [int(np.count_nonzero(~np.isnan(p[TOTAL]))) for p in (per_run_a, per_run_b)]
    return Comparison(counts[0], counts[1], tuple(_judged(c, len(overall)) for c in overall), ranked)


def _per_run(events: CleanEvents, phases: Sequence[Phase]) -> dict[str, Seconds]:
    """{phase: seconds of each run code, all attempts together}; nan for a run without the phase."""
    runs = len(events.table.run_ids)
    begin, end = np.full(runs, np.iinfo(np.int64).max), np.full(runs, np.iinfo(np.int64).min)
    np.minimum.at(begin, events.table.run, events.time)
    np.maximum.at(end, events.table.run, events.time)
    seen = end >= begin
    total = np.full(runs, np.nan)
    total[seen] = (end[seen] - begin[seen]) / 1e9
    found = {TOTAL: total}
    for phase in phases:
        spans = phase_spans(events, phase, phases)
        seconds = np.bincount(spans.run, weights=spans.seconds(), minlength=runs)
        seconds[np.bincount(spans.run, minlength=runs) == 0] = np.nan
        found[phase.name] = seconds
    return found


def _by_value(
    phase: str,
    dimension: str,
    events: tuple[CleanEvents, CleanEvents],
    seconds: tuple[Seconds, Seconds],
) -> list[Change]:
    """The change of every value of `dimension`."""
    groups = [_groups(e, dimension, s) for e, s in zip(events, seconds, strict=True)]
    sizes = [max(len(_known(s)), 1) for s in seconds]
    mean_a = _mean(seconds[0])
    none = np.zeros(0)
    found = []
    for value in list(dict.fromkeys([*groups[0], *groups[1]]))[:_MOST_VALUES]:
        x, y = groups[0].get(value, none), groups[1].get(value, none)
        share_a, share_b = len(x) / sizes[0], len(y) / sizes[1]
        was, now = (_mean(x) if len(x) else mean_a), (_mean(y) if len(y) else 0.0)
        own = share_b * (now - was) if len(x) and len(y) else 0.0
        moved = (share_b - share_a) * ((was if len(x) else now) - mean_a)
        found.append(_change(phase, dimension, value, own + moved, (x, y)))
    return found


def _groups(events: CleanEvents, dimension: str, seconds: Seconds) -> dict[str, Seconds]:
    """{value: seconds of the runs that have it}."""
    column = events.table.dimensions.get(dimension)
    if column is None or not len(column.run):
        return {}
    known = ~np.isnan(seconds[column.run])
    order = np.argsort(column.value[known], kind="stable")
    values, runs = column.value[known][order], column.run[known][order]
    edges = np.flatnonzero(np.diff(values, prepend=-1))
    parts = np.split(seconds[runs], edges[1:])
    return {str(column.values[values[edge]]): part for edge, part in zip(edges, parts, strict=True)}


def _change(phase: str, dimension: str, value: str, extra: float, sets: tuple[Seconds, Seconds]) -> Change:
    x, y = sets
    means = [_mean(s) if len(s) else None for s in sets]
    return Change(phase, dimension, value, extra, len(x), len(y), means[0], means[1], _chance(x, y), False)


def _judged(change: Change, tests: int) -> Change:
    return replace(change, more_than_noise=change.p < _LEVEL / tests)


def _chance(x: Seconds, y: Seconds) -> float:
    """The chance of a difference of means as large as this one when nothing changed; 1 with too few runs."""
    if min(len(x), len(y)) < _FEWEST:
        return 1.0
    apart = abs(float(y.mean() - x.mean()))
    parts = float(x.var(ddof=1)) / len(x), float(y.var(ddof=1)) / len(y)
    if not sum(parts):
        return 0.0 if apart else 1.0
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1))
    return student_t_tail(apart / math.sqrt(sum(parts)), freedom)


def _known(seconds: Seconds) -> Seconds:
    return seconds[~np.isnan(seconds)]


def _mean(seconds: Seconds) -> float:
    known = _known(seconds)
    return float(known.mean()) if len(known) else 0.0
