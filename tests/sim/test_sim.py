"""The commit protocol's real cores under faults, in virtual time: every seed must end healthy."""

import os
from pathlib import Path

import pytest

from run_seed import replay
from seeded_runs import assert_pure_function
from sim_beyond import BeyondPromise
from sim_run import Simulation

FIRST = int(os.environ.get("TRIVET_FIRST_SEED", "0"))
SEEDS = int(os.environ.get("TRIVET_SIM_SEEDS", "500"))
BEYOND_SEEDS = SEEDS // 10
SEEDS_A_TEST = 50
#: Each once found a defect; what it found has a test of its own, too: a seed tells another story once a
#: fault is added.
FOUND = (508, 758, 254)


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, SEEDS_A_TEST))
def test_every_seed_ends_healthy(first: int) -> None:
    for seed in range(first, min(first + SEEDS_A_TEST, FIRST + SEEDS)):
        run(seed)


@pytest.mark.parametrize("seed", FOUND)
def test_seed_that_once_failed_ends_healthy(seed: int) -> None:
    run(seed)


@pytest.mark.parametrize("first", range(FIRST, FIRST + BEYOND_SEEDS, SEEDS_A_TEST))
def test_more_than_may_be_lost_is_said_loudly(first: int) -> None:
    for seed in range(first, min(first + SEEDS_A_TEST, FIRST + BEYOND_SEEDS)):
        BeyondPromise(seed).run()


def run(seed: int) -> None:
    simulation = Simulation(seed)
    try:
        simulation.run()
    except AssertionError as broken:
        raise AssertionError(f"replay with `make sim SEED={seed}`: {broken}") from broken


def test_run_is_a_pure_function_of_its_seed() -> None:
    assert_pure_function(replay, Path(__file__).with_name("run_seed.py"), 7, 8)
