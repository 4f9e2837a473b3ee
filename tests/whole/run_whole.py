"""Replay a seed of the whole drive with a readable trace: `python tests/whole/run_whole.py SEED`."""

import logging
import sys

from whole_run import WholeRun


def main() -> int:
    """Run the seed in the command line; 0 if it ended healthy, 1 if a promise was broken."""
    logging.disable(logging.CRITICAL)
    run = WholeRun(int(sys.argv[1]), tell=print)
    try:
        run.run()
    except AssertionError as broken:
        print(f"whole drive, seed {sys.argv[1]}: {type(broken).__name__}: {broken}")
        return 1
    print(f"whole drive, seed {sys.argv[1]}: healthy, {run.steps} steps, trace {run.hash}")
    print(f"faults {run.counts}, outcomes {run.outcomes}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
