"""Hunt every mutant and say how long it lived: `python tests/sim/run_mutants.py` (`make mutants`)."""

import logging
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

sys.path.append(str(Path(__file__).parents[1] / "whole"))

import sim_hunt
import sim_mutants
import standby_hunt
import standby_mutants
import whole_hunt
import whole_mutants

HUNTS = dict.fromkeys(whole_mutants.MUTANTS, whole_hunt.seeds_to_the_kill)
HUNTS |= dict.fromkeys(sim_mutants.MUTANTS, sim_hunt.seeds_to_the_kill)
HUNTS |= dict.fromkeys(standby_mutants.MUTANTS, standby_hunt.seeds_to_the_kill)


def hunt(at: int) -> int | None:
    """Return how many seeds the mutant at a place in the list lived."""
    logging.disable(logging.CRITICAL)
    mutant, seeds_to_the_kill = list(HUNTS.items())[at]
    return seeds_to_the_kill(mutant)


def main() -> int:
    """Print a line for each mutant and how many were killed; 1 if one survived."""
    lives: list[int] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for mutant, seeds in zip(HUNTS, pool.map(hunt, range(len(HUNTS))), strict=True):
            what = (mutant.__doc__ or "").splitlines()[0]
            print(f"{seeds or 'SURVIVES':>8}  {mutant.__name__}: {what}", flush=True)
            if seeds is not None:
                lives.append(seeds)
    print(f"killed {len(lives)} of {len(HUNTS)}, at the median after {median(lives):g} seeds")
    return 0 if len(lives) == len(HUNTS) else 1


if __name__ == "__main__":
    raise SystemExit(main())
