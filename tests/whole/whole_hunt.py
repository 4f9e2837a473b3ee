"""Hunting the mutants of the whole drive: seed after seed, none chosen for it."""

import os

import pytest

from whole_mutants import Patch
from whole_run import WholeRun

SEEDS = range(20_000, 20_000 + int(os.environ.get("TRIVET_MUTANT_SEEDS", "600")) // 5)


def seeds_to_the_kill(mutant: Patch) -> int | None:
    """Return how many seeds it takes until a promise is seen broken, None if none of them does it."""
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        for count, seed in enumerate(SEEDS, start=1):
            try:
                WholeRun(seed).run()
            except AssertionError:
                return count
    return None
