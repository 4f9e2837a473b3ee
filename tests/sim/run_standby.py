"""Replay one seed with a standby: `python tests/sim/run_standby.py SEED` (`make sim-standby SEED=n`)."""

import sys

from sim_oracle import Violation
from standby_run import StandbyRun


def main() -> int:
    """Run the seed in the command line; 0 if it ended healthy, 1 if a promise was broken."""
    simulation = StandbyRun(int(sys.argv[1]), tell=print)
    try:
        simulation.run()
    except Violation as violation:
        print(f"seed {sys.argv[1]}: {violation}")
        return 1
    world = simulation.world
    print(f"seed {sys.argv[1]}: healthy after {world.now:.1f} s, {world.steps} steps")
    print(f"trace {world.trace_hash()}, faults {simulation.atlas.counts}, outcomes {simulation.outcomes}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
