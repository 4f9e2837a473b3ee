"""The whole drive's simulation is tested itself: errors in keeper and banks must not survive its seeds."""

import pytest

from whole_hunt import seeds_to_the_kill
from whole_mutants import MUTANTS, Patch


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_mutant_of_the_whole_drive_is_caught(mutant: Patch) -> None:
    assert seeds_to_the_kill(mutant) is not None
