"""Queues that are full and runs that stand out, planted and found."""

import numpy as np
import pytest

from trivet.insight.runs.cleaning import CleanEvents, Rules, clean
from trivet.insight.runs.event_table import SECOND_NS, Dimension, EventTable
from trivet.insight.runs.outliers import outliers
from trivet.insight.runs.phases import phases_of
from trivet.insight.runs.saturation import saturation

NAMES = ("queue_start", "queue_end", "test_start", "test_end")


def runs(rows: list[tuple[float, float, float]], queues: list[str] | None = None) -> CleanEvents:
    """Runs of (queued at, begun at, done at), in seconds."""
    times = np.array([[queued, begun, begun, done] for queued, begun, done in rows]) * SECOND_NS
    count = len(rows)
    dimensions = {}
    if queues:
        values = sorted(set(queues))
        codes = np.array([values.index(queue) for queue in queues], np.int32)
        dimensions = {"queue": Dimension(values, np.arange(count, dtype=np.int32), codes)}
    table = EventTable(
        [f"r{n}" for n in range(count)],
        NAMES,
        np.repeat(np.arange(count, dtype=np.int32), 4),
        np.tile(np.arange(4, dtype=np.int16), count),
        times.astype(np.int64).ravel(),
        times.astype(np.int64).ravel(),
        dimensions=dimensions,
    )
    return clean(table, Rules(), now_ns=10**18)


def test_one_worker_with_a_line_before_it_is_saturated() -> None:
    (queue,) = saturation(runs([(0, 0, 10), (0, 10, 20), (0, 20, 30), (30, 30, 40)]))
    assert (queue.queue, queue.runs, queue.most_waiting, queue.most_working) == ("*all*", 4, 2, 1)
    assert queue.saturated_share == queue.waiting_share == pytest.approx(0.5)
    assert queue.mean_waiting == pytest.approx(30 / 40)
    assert (queue.longest_s, queue.longest_begin_ns) == (20.0, 0)


def test_queues_are_told_apart_and_the_fullest_is_first() -> None:
    rows = [(0.0, 0.0, 10.0), (0.0, 10.0, 20.0), (0.0, 0.0, 5.0), (10.0, 10.0, 12.0)]
    full, idle = saturation(runs(rows, ["full", "full", "idle", "idle"]))
    assert (full.queue, idle.queue) == ("full", "idle")
    assert (full.saturated_share, idle.saturated_share) == (pytest.approx(0.5), 0.0)


def test_a_run_that_took_far_longer_is_named_and_ordinary_ones_are_not() -> None:
    dice = np.random.default_rng(5)
    rows = [(n * 1000.0, n * 1000.0 + 1, n * 1000.0 + 1 + dice.lognormal(3, 0.2)) for n in range(200)]
    rows[77] = (77_000.0, 77_001.0, 77_001.0 + 400)
    events = runs(rows)
    (found,) = outliers(events, phases_of(NAMES))
    assert (found.run, found.phase, found.seconds) == ("r77", "test", 400.0)
    assert found.usual_s == pytest.approx(np.exp(3), rel=0.1)
