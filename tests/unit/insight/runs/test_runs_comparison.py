"""What changed between two sets of runs: a planted cause is named, noise is not."""

import math

import numpy as np
import pytest

from trivet.insight.runs.cleaning import CleanEvents, Rules, clean
from trivet.insight.runs.comparison import TOTAL, compare
from trivet.insight.runs.event_table import SECOND_NS, Dimension, EventTable
from trivet.insight.runs.phases import Phase
from trivet.insight.runs.student_t import student_t_tail

FLASH = Phase("flash", "flash_start", "flash_end")


def runs(seed: int, count: int, slow: dict[str, float], groups: int = 4) -> CleanEvents:
    """`count` runs with skewed durations of one phase in `groups`, some of which are `slow`er by a factor."""
    dice = np.random.default_rng(seed)
    group = dice.integers(0, groups, count).astype(np.int32)
    factor = np.array([slow.get(f"g{g}", 1.0) for g in range(groups)])[group]
    seconds = dice.lognormal(3, 0.5, count) * factor
    begin = np.arange(count) * 1000 * SECOND_NS
    emit = np.stack([begin, begin + (seconds * SECOND_NS).astype(np.int64)], axis=1).ravel()
    everyone = np.arange(count, dtype=np.int32)
    table = EventTable(
        [str(n) for n in range(count)],
        ("flash_start", "flash_end"),
        np.repeat(everyone, 2),
        np.tile(np.array([0, 1], np.int16), count),
        emit,
        emit,
        dimensions={"device_group": Dimension([f"g{g}" for g in range(groups)], everyone, group)},
    )
    return clean(table, Rules(), now_ns=10**18)


def test_the_planted_cause_is_first_and_more_than_noise() -> None:
    found = compare(runs(1, 400, {}), runs(2, 400, {"g2": 2.0}), [FLASH])
    assert (found.ranked[0].dimension, found.ranked[0].value) == ("device_group", "g2")
    assert found.ranked[0].more_than_noise
    assert not any(change.more_than_noise for change in found.ranked if change.value != "g2")
    assert found.overall[0].more_than_noise


def test_what_the_values_explain_adds_up_to_the_change() -> None:
    found = compare(runs(1, 300, {}), runs(2, 200, {"g0": 3.0}, groups=5), [FLASH])
    explained = sum(change.extra_s for change in found.ranked if change.phase == "flash")
    whole = next(change for change in found.overall if change.phase == "flash")
    assert explained == pytest.approx(whole.extra_s, abs=1e-9)
    assert whole.extra_s == pytest.approx(whole.mean_b_s - whole.mean_a_s, abs=1e-9)


def test_without_a_change_almost_nothing_is_called_more_than_noise() -> None:
    alarms = [
        change
        for seed in range(40)
        for change in compare(runs(seed, 100, {}), runs(seed + 100, 120, {}), [FLASH]).ranked
        if change.more_than_noise
    ]
    assert len(alarms) <= 4, "at a level of 1 % a test, 40 tests should hardly ever give more"


def test_a_value_that_is_new_or_gone_is_in_the_books() -> None:
    found = compare(runs(1, 100, {}, groups=1), runs(2, 100, {"g1": 5.0}, groups=2), [FLASH])
    new = next(change for change in found.ranked if change.value == "g1" and change.phase == TOTAL)
    assert (new.runs_a, new.mean_a_s, new.more_than_noise) == (0, None, False)
    assert new.extra_s > 10


@pytest.mark.parametrize(
    ("t", "freedom", "chance"),
    [(0.0, 5, 1.0), (12.706205, 1, 0.05), (2.570582, 5, 0.05), (3.169273, 10, 0.01), (1.959964, 1e7, 0.05)],
)
def test_tails_are_those_of_the_tables(t: float, freedom: float, chance: float) -> None:
    assert math.isclose(student_t_tail(t, freedom), chance, rel_tol=2e-6)
