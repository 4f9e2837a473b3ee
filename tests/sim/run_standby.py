"""Replay seeds with a standby: `python tests/sim/run_standby.py SEED...` (`make sim-standby SEED=n`)."""

import sys
from collections.abc import Callable

import run_seed
from standby_run import StandbyRun


def main() -> int:
    """Run the seeds in the command line; 0 if all ended healthy, 1 if a promise was broken."""
    return 0 if all(replay(int(seed), print) for seed in sys.argv[1:]) else 1


def replay(seed: int, tell: Callable[[str], None]) -> bool:
    """Run `seed`, `tell` every step and how it ended; return whether it ended healthy."""
    return run_seed.replay(seed, tell, StandbyRun)


if __name__ == "__main__":
    raise SystemExit(main())
