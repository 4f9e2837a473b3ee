"""Hunt every mutant and say how long it lived: `python tests/sim/run_mutants.py` (`make mutants`)."""

from statistics import median

from sim_hunt import SEEDS, seeds_to_the_kill
from sim_mutants import MUTANTS


def main() -> int:
    """Print a line for each mutant and how many were killed; 1 if one survived."""
    lives: list[int] = []
    for mutant in MUTANTS:
        seeds = seeds_to_the_kill(mutant)
        what = (mutant.__doc__ or "").splitlines()[0]
        print(f"{seeds or 'SURVIVES':>8}  {mutant.__name__}: {what}", flush=True)
        if seeds is not None:
            lives.append(seeds)
    print(
        f"killed {len(lives)} of {len(MUTANTS)}, at the median after {median(lives):g} seeds of {len(SEEDS)}"
    )
    return 0 if len(lives) == len(MUTANTS) else 1


if __name__ == "__main__":
    raise SystemExit(main())
