"""Hunting a mutant: seed after seed, none chosen for it, until a run says that a promise is broken.

Rule: only what the simulation demands counts; an assertion of the code that was changed is no kill.
"""

import os

import pytest

from sim_beyond import BeyondPromise
from sim_mutants import Patch
from sim_oracle import Violation
from sim_run import Simulation

SEEDS = range(20_000, 20_000 + int(os.environ.get("TRIVET_MUTANT_SEEDS", "600")))


def seeds_to_the_kill(mutant: Patch) -> int | None:
    """Return how many seeds it takes until a promise is seen broken, None if none of them does it."""
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        for count, seed in enumerate(SEEDS, start=1):
            run = Simulation(seed) if seed % 4 else BeyondPromise(seed)
            try:
                run.run()
            except Violation:
                return count
            except AssertionError:
                continue
    return None
