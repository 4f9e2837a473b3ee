"""Runs that took far longer in a phase than that phase usually takes.

Rule: usual is the median of the logarithm of the durations, far is 3.5 robust deviations (MAD) above it
and at least a fifth of the median: durations are skewed, and one slow run must not hide another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivet.insight.runs.cleaning import CleanEvents
from trivet.insight.runs.durations import phase_spans
from trivet.insight.runs.phases import Phase

_FAR = 3.5
_LEAST_SHARE = 0.2
_LEAST_RUNS = 8
#: Scales the median absolute deviation to the standard deviation of a normal distribution.
_MAD_TO_STD = 1.4826


@dataclass(frozen=True, slots=True)
class Outlier:
    """A `run` whose `phase` took `seconds` instead of about `usual_s`, `score` robust deviations above."""

    run: str
    phase: str
    seconds: float
    usual_s: float
    score: float


def outliers(events: CleanEvents, phases: Sequence[Phase], *, most: int = 20) -> list[Outlier]:
    """The `most` outliers that cost the most time, those first."""
    found: list[tuple[float, Outlier]] = []
    for phase in phases:
        spans = phase_spans(events, phase, phases)
        seconds = spans.seconds()
        positive = seconds > 0
        if np.count_nonzero(positive) < _LEAST_RUNS:
            continue
        logs = np.log(seconds[positive])
        middle = float(np.median(logs))
        spread = float(np.median(np.abs(logs - middle))) * _MAD_TO_STD
        usual = float(np.exp(middle))
        scores = (logs - middle) / max(spread, 1e-9)
        apart = seconds[positive] - usual
        far = np.flatnonzero((scores > _FAR) & (apart > _LEAST_SHARE * usual))
        worst = far[np.argsort(-apart[far], kind="stable")[:most]]
        runs = spans.run[positive]
        for row in worst:
            run = events.table.run_id(int(runs[row]))
            score = round(float(np.clip(scores[row], -999, 999)), 1)
            outlier = Outlier(run, phase.name, float(seconds[positive][row]), usual, score)
            found.append((float(apart[row]), outlier))
    return [outlier for _, outlier in sorted(found, key=lambda entry: -entry[0])[:most]]
