"""Hunting the mutants of the whole drive: seed after seed, none chosen for it.

Rule: only what runs and checker demand counts; an assertion of the code that was changed is no kill.
"""

import os

import pytest

from history import Refused
from whole_mutants import Patch
from whole_people import DoneTwice, WrongBytes
from whole_run import Bug, Violation, WholeRun

SEEDS = range(20_000, 20_000 + int(os.environ.get("TRIVET_MUTANT_SEEDS", "600")) // 5)


def seeds_to_the_kill(mutant: Patch) -> int | None:
    """Return how many seeds it takes until a promise is seen broken, None if none of them does it."""
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        for count, seed in enumerate(SEEDS, start=1):
            try:
                WholeRun(seed).run()
            except (Violation, Refused, WrongBytes, DoneTwice):
                return count
            except Bug:
                continue
    return None
