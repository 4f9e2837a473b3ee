"""The decision about workers in virtual time: loads that hypothesis makes, swings around the thresholds."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.errors import ConfigError
from trivet.insight.scaling import (
    AddWorker,
    CallCommand,
    Load,
    RecycleWorker,
    Refuse,
    RemoveWorker,
    Scaler,
    Step,
    Thresholds,
    WorkerLoad,
)

LIMITS = Thresholds(max_workers=4)
#: Each is half an hour of looks.
EXAMPLES = 8
Taken = list[tuple[float, Step]]


def run(
    demand: Callable[[float], float],
    seconds: int,
    *,
    limits: Thresholds = LIMITS,
    memory: Callable[[float], float] = lambda _: 30.0,
    leaking: int | None = None,
    cores: int = 8,
    command: bool = False,
    every_s: float = 1.0,
) -> tuple[Taken, int]:
    """Let `demand` (in cores) meet the workers; return the steps taken and how many workers are left."""
    scaler = Scaler(limits, every_s, has_command=command)
    workers = list(range(1, limits.min_workers + 1))
    taken: Taken = []
    for look in range(int(seconds / every_s)):
        now_s = look * every_s
        each = min(demand(now_s) / len(workers), 1.0, cores / len(workers)) * 100
        machine = min(each * len(workers) / cores, 100)
        loads = [WorkerLoad(number, each, "memory grew" if number == leaking else "") for number in workers]
        step = scaler.step(Load(now_s, machine, memory(now_s), loads))
        if step is None:
            continue
        taken.append((now_s, step))
        match step:
            case AddWorker():
                workers.append(max(workers) + 1)
            case RemoveWorker(number):
                workers.remove(number)
            case RecycleWorker(number):
                workers[workers.index(number)] = max(workers) + 1
            case CallCommand(change):
                scaler.called(change, well=True)
        assert limits.min_workers <= len(workers) <= limits.max_workers
    return taken, len(workers)


@given(crossed=st.floats(5, 60), level=st.floats(0.81, 1.0))
def test_a_worker_is_decided_on_within_ten_seconds_of_the_crossing(crossed: float, level: float) -> None:
    def demand(now_s: float) -> float:
        # a look sees the mean since the one before: the second of the crossing shows in part
        share = min(max(now_s - crossed, 0.0), 1.0)
        return 0.1 + (level - 0.1) * share

    taken, _ = run(demand, 90, limits=Thresholds(max_workers=2))
    at_s, step = taken[0]
    assert isinstance(step, AddWorker)
    assert 8.0 <= at_s - crossed <= 10.0


@given(period_s=st.integers(2, 400), low=st.floats(0.61, 0.79), high=st.floats(0.8, 1.0))
@settings(max_examples=EXAMPLES)
def test_a_load_that_swings_round_the_threshold_does_not_flap(period_s: int, low: float, high: float) -> None:
    taken, _ = run(lambda s: high if s % period_s < period_s / 2 else low, 1200)
    assert sum(isinstance(step, RemoveWorker) for _, step in taken) == 0
    assert len(taken) <= 1


@given(period_s=st.integers(20, 600))
@settings(max_examples=EXAMPLES)
def test_a_load_from_little_to_much_waits_longer_after_each_regret(period_s: int) -> None:
    limits = Thresholds(max_workers=2)
    taken, _ = run(lambda s: 1.0 if s % period_s < period_s / 2 else 0.0, 3600, limits=limits)
    removed = [at_s for at_s, step in taken if isinstance(step, RemoveWorker)]
    gaps = [after - before for before, after in pairwise(removed)]
    assert all(gap >= 2 * limits.remove_for_s for gap in gaps[:1])
    assert all(gap >= 4 * limits.remove_for_s for gap in gaps[1:2])
    assert len(removed) <= 6


def test_a_burst_gets_all_workers_and_calm_takes_them_away_to_one() -> None:
    taken, left = run(lambda s: 3.9 if s < 300 else 0.05, 1200)
    kinds = [type(step) for _, step in taken]
    assert kinds[:3] == [AddWorker] * 3
    assert kinds[-3:] == [RemoveWorker] * 3
    assert left == 1


def test_a_starved_machine_makes_no_worker_look_idle() -> None:
    taken, left = run(lambda _: 8.0, 1200, cores=1)
    assert left == 4
    assert not any(isinstance(step, RemoveWorker) for _, step in taken)


def test_a_machine_that_others_keep_busy_gets_no_worker() -> None:
    scaler = Scaler(LIMITS, 1.0)
    looks = (Load(float(s), 99.0, 30.0, [WorkerLoad(1, 3.0)]) for s in range(100))
    assert [step for look in looks if (step := scaler.step(look))] == []


def test_workers_that_wait_for_a_processor_get_help_however_little_they_are_given() -> None:
    scaler = Scaler(LIMITS, 1.0)
    looks = (Load(float(s), 100.0, 30.0, [WorkerLoad(1, 8.0, "", 70.0)]) for s in range(30))
    taken = [step for look in looks if (step := scaler.step(look))]
    assert [type(step) for step in taken] == [AddWorker]
    scaler = Scaler(LIMITS, 1.0)
    looks = (Load(float(s), 100.0, 30.0, [WorkerLoad(1, 4.0, "", 40.0)]) for s in range(100))
    taken = [step for look in looks if (step := scaler.step(look))]
    assert taken == []


def test_workers_that_neither_run_nor_wait_are_taken_away_however_busy_the_machine_is() -> None:
    for waiting, steps in ((3.0, [RemoveWorker]), (45.0, []), (None, [])):
        scaler = Scaler(LIMITS, 1.0)
        idle = [WorkerLoad(number, 2.0, "", waiting) for number in (1, 2)]
        looks = (Load(float(s), 100.0, 30.0, idle) for s in range(int(LIMITS.remove_for_s) + 9))
        taken = [step for look in looks if (step := scaler.step(look))]
        assert [type(step) for step in taken] == steps


def test_with_memory_short_nothing_is_added_and_it_is_said_once() -> None:
    taken, left = run(lambda _: 1.0, 600, memory=lambda _: 90.0)
    assert left == 1
    assert [type(step) for _, step in taken] == [Refuse]


def test_with_memory_short_the_leaking_worker_is_recycled() -> None:
    taken, _ = run(lambda _: 0.3, 60, memory=lambda s: 90.0 if s < 30 else 50.0, leaking=1)
    assert [type(step) for _, step in taken] == [RecycleWorker]


def test_the_command_is_called_when_this_machine_is_spent_and_called_back() -> None:
    limits = Thresholds(max_workers=1)
    taken, left = run(lambda s: 1.0 if s < 60 else 0.1, 400, limits=limits, command=True)
    changes = [step.change for _, step in taken if isinstance(step, CallCommand)]
    assert changes == [1, 1, -1, -1]
    assert left == 1


@given(gap_s=st.floats(4, 1e7), forth=st.booleans())
def test_a_clock_that_jumps_or_a_machine_that_slept_proves_nothing(gap_s: float, forth: bool) -> None:
    scaler = Scaler(LIMITS, 1.0)
    at_s = 1e8
    for look in range(200):
        at_s += 1.0 if look % 8 else (gap_s if forth else -gap_s)
        assert scaler.step(Load(at_s, 100.0, 30.0, [WorkerLoad(1, 100.0)])) is None


def test_figures_that_are_missing_prove_nothing() -> None:
    scaler = Scaler(LIMITS, 1.0)
    for at_s in range(100):
        assert scaler.step(Load(at_s, None, 30.0, [WorkerLoad(1, None)])) is None


@pytest.mark.parametrize(
    "wrong",
    [
        Thresholds(add_above_cpu=40, remove_below_cpu=80),
        Thresholds(add_above_cpu=50, remove_below_cpu=50),
        Thresholds(add_above_cpu=120),
        Thresholds(min_workers=3, max_workers=2),
        Thresholds(min_workers=0),
        Thresholds(memory_limit=0),
        Thresholds(for_s=0),
        Thresholds(remove_for_s=float("nan")),
        Thresholds(cooldown_s=-1),
    ],
)
def test_thresholds_that_contradict_each_other_are_refused(wrong: Thresholds) -> None:
    with pytest.raises(ConfigError, match="--"):
        wrong.check()
