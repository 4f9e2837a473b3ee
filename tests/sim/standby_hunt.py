"""Hunting the mutants of a pair of keepers: seed after seed, until a run says that a promise is broken."""

import pytest

from sim_hunt import SEEDS
from sim_mutants import Patch
from standby_run import StandbyRun


def seeds_to_the_kill(mutant: Patch) -> int | None:
    """Return how many seeds it takes until a promise is seen broken, None if none of them does it."""
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        for count, seed in enumerate(SEEDS, start=1):
            try:
                StandbyRun(seed).run()
            except AssertionError:
                return count
    return None
