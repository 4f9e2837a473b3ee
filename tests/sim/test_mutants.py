"""The simulator is tested itself: deliberate protocol errors must not survive the seeds."""

import pytest

from sim_hunt import seeds_to_the_kill
from sim_mutants import MUTANTS, Patch


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_mutant_is_caught(mutant: Patch) -> None:
    assert seeds_to_the_kill(mutant) is not None
