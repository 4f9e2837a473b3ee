"""Replay seeds with a readable trace: `python tests/sim/run_seed.py SEED...` (`make sim SEED=n`)."""

import sys
from collections.abc import Callable

from sim_run import Simulation


def main() -> int:
    """Run the seeds in the command line; 0 if all ended healthy, 1 if a promise was broken."""
    return 0 if all(replay(int(seed), print) for seed in sys.argv[1:]) else 1


def replay(seed: int, tell: Callable[[str], None], build: type[Simulation] = Simulation) -> bool:
    """Run `seed`, `tell` every step and how it ended; return whether it ended healthy."""
    simulation = build(seed, tell=tell)
    try:
        simulation.run()
    except AssertionError as broken:
        tell(f"protocol, seed {seed}: {type(broken).__name__}: {broken}")
        return False
    world = simulation.world
    tell(f"protocol, seed {seed}: healthy after {world.now:.1f} s, {world.steps} steps")
    tell(f"trace {world.trace_hash()}, faults {simulation.atlas.counts}, outcomes {simulation.outcomes}")
    return True


if __name__ == "__main__":
    raise SystemExit(main())
