"""Hunt every mutant and say how long it lived: `python tests/sim/run_mutants.py` (`make mutants`)."""

import logging
import sys
from pathlib import Path
from statistics import median

sys.path.append(str(Path(__file__).parents[1] / "whole"))

import sim_hunt
import sim_mutants
import standby_hunt
import standby_mutants
import whole_hunt
import whole_mutants


def main() -> int:
    """Print a line for each mutant and how many were killed; 1 if one survived."""
    logging.disable(logging.CRITICAL)
    lives: list[int] = []
    hunts = [(mutant, sim_hunt.seeds_to_the_kill) for mutant in sim_mutants.MUTANTS]
    hunts += [(mutant, standby_hunt.seeds_to_the_kill) for mutant in standby_mutants.MUTANTS]
    hunts += [(mutant, whole_hunt.seeds_to_the_kill) for mutant in whole_mutants.MUTANTS]
    for mutant, seeds_to_the_kill in hunts:
        seeds = seeds_to_the_kill(mutant)
        what = (mutant.__doc__ or "").splitlines()[0]
        print(f"{seeds or 'SURVIVES':>8}  {mutant.__name__}: {what}", flush=True)
        if seeds is not None:
            lives.append(seeds)
    print(f"killed {len(lives)} of {len(hunts)}, at the median after {median(lives):g} seeds")
    return 0 if len(lives) == len(hunts) else 1


if __name__ == "__main__":
    raise SystemExit(main())
