"""The real keeper over real banks in virtual time: every seed ends healthy, nothing lost, nothing wrong."""

import os
from pathlib import Path

import pytest

from run_whole import replay
from seeded_runs import assert_pure_function
from whole_beyond import FATES, WholeBeyond
from whole_run import WholeRun

SEEDS = int(os.environ.get("TRIVET_WHOLE_SEEDS", "30"))
BEYOND_SEEDS = max(2 * len(FATES), SEEDS // 5)
SEEDS_A_TEST = 10


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_every_whole_drive_ends_healthy(first: int) -> None:
    for seed in range(first, min(first + SEEDS_A_TEST, SEEDS)):
        try:
            WholeRun(seed).run()
        except AssertionError as broken:
            raise AssertionError(f"replay with `make sim SEED={seed}`: {broken}") from broken


@pytest.mark.parametrize("first", range(0, BEYOND_SEEDS, len(FATES)))
def test_a_whole_drive_that_lost_too_much_says_so(first: int) -> None:
    for seed in range(first, min(first + len(FATES), BEYOND_SEEDS)):
        try:
            WholeBeyond(seed).run()
        except AssertionError as broken:
            raise AssertionError(f"beyond the promise, seed {seed}: {broken}") from broken


def test_a_whole_run_is_a_pure_function_of_its_seed() -> None:
    assert_pure_function(replay, Path(__file__).with_name("run_whole.py"), 3, 4)
