"""Replay seeds of the whole drive with a readable trace: `python tests/whole/run_whole.py SEED...`."""

import logging
import sys
from collections.abc import Callable

from whole_run import WholeRun


def main() -> int:
    """Run the seeds in the command line; 0 if all ended healthy, 1 if a promise was broken."""
    logging.disable(logging.CRITICAL)
    return 0 if all(replay(int(seed), print) for seed in sys.argv[1:]) else 1


def replay(seed: int, tell: Callable[[str], None]) -> bool:
    """Run `seed`, `tell` every step and how it ended; return whether it ended healthy."""
    run = WholeRun(seed, tell=tell)
    try:
        run.run()
    except AssertionError as broken:
        tell(f"whole drive, seed {seed}: {type(broken).__name__}: {broken}")
        return False
    tell(f"whole drive, seed {seed}: healthy, {run.steps} steps, trace {run.hash}")
    tell(f"faults {run.counts}, outcomes {run.outcomes}")
    return True


if __name__ == "__main__":
    raise SystemExit(main())
