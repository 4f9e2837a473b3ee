"""`make faults`: the tests that break things on purpose, with counts that take too long for every change.

`make faults ARGS="kills seeds"` runs the parts whose names contain one of the words.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One run of pytest with the words `tests`; the environment's `variable` says how much, else `count`."""

    what: str
    variable: str
    count: int
    tests: tuple[str, ...]


#: What runs in virtual time may use every core; what breaks real processes has the machine to itself.
SPREAD = ("--numprocesses", "logical", "--dist", "load")
LOAD = "tests/e2e/test_faults_under_load.py"
PARTS = (
    Part(
        "seeds of the simulated protocol", "TRIVET_SIM_SEEDS", 10_000,
        (*SPREAD, "tests/sim/test_sim.py", "tests/sim/test_sim_one_bank_left.py"),
    ),
    Part(
        "seeds of two keepers over three banks", "TRIVET_STANDBY_SEEDS", 1000,
        (*SPREAD, "tests/sim/test_standby_sim.py"),
    ),
    Part("seeds of the whole drive in virtual time", "TRIVET_WHOLE_SEEDS", 500, (*SPREAD, "tests/whole")),
    Part("seeds for each mutant", "TRIVET_MUTANT_SEEDS", 1000, (*SPREAD, "tests/sim/test_mutants.py")),
    Part(
        "power losses of banks' disks and of the whole machine", "TRIVET_POWER_LOSSES", 50,
        ("tests/e2e/test_power_loss.py",),
    ),
    Part(
        "kills (SIGKILL) of keeper and banks under load", "TRIVET_KILLS", 200,
        (f"{LOAD}::test_killed_under_load",),
    ),
    Part("wipes of a server or a bank under load", "TRIVET_WIPES", 40, (f"{LOAD}::test_wiped_under_load",)),
    Part(
        "stops, partitions, slow links and second keepers under load", "TRIVET_PARTITIONS", 60,
        (f"{LOAD}::test_stopped_cut_off_and_slow_under_load",),
    ),
    Part(
        "kills (SIGKILL) of the keeper while it makes and restores snapshots", "TRIVET_SNAPSHOT_KILLS", 10,
        ("tests/e2e/test_snapshots.py",),
    ),
    Part(
        "leaders killed (SIGKILL) under load, one stopped and one ended: a standby follows",
        "TRIVET_TAKEOVERS", 20, ("tests/e2e/test_standby_e2e.py",),
    ),
    Part("clocks that run wrong", "TRIVET_CLOCK_SKEWS", 1, ("tests/e2e/test_clock_skew.py",)),
    Part(
        "corruptions of records and blobs", "TRIVET_CORRUPTIONS", 5000,
        ("tests/probe/test_corruption_matrix.py",),
    ),
    Part(
        "seeds of an upstream over a failing line, and a day of a flapping vendor", "TRIVET_UPSTREAM_SEEDS",
        5000, ("tests/sim/test_upstream_faults.py",),
    ),
    Part(
        "kills (SIGKILL) of the upstream's process in the middle of transfers", "TRIVET_UPSTREAM_KILLS", 200,
        ("tests/probe/test_upstream_killed.py", "tests/probe/test_upstream_evicting_killed.py"),
    ),
    Part(
        "rounds of kills of worker, RabbitMQ and Redis in the middle of transfers", "TRIVET_SERVER_ROUNDS",
        10, ("tests/probe/test_upstream_servers.py",),
    ),
    Part(
        "workers of the door added and taken away under load", "TRIVET_SCALE_ROUNDS", 100,
        ("tests/e2e/test_health_e2e.py",),
    ),
)  # fmt: skip


def main(words: list[str]) -> int:
    """Run the parts that `words` name, all without; print what ran. Return 0 if nothing failed."""
    rows = []
    for part in PARTS:
        if words and not any(word in part.what for word in words):
            continue
        count = int(os.environ.get(part.variable, part.count))
        print(f"--- {count:,} {part.what}", flush=True)
        began_s = time.monotonic()
        code = subprocess.call(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "3600", *part.tests],
            env={**os.environ, part.variable: str(count)},
        )
        rows.append((part.what, count, code, time.monotonic() - began_s))
    print(f"\n{'count':>8}  {'seconds':>8}  {'':8}  what")
    for what, count, code, seconds in rows:
        print(f"{count:>8,}  {seconds:>8.0f}  {'failed' if code else 'well':8}  {what}")
    return 1 if any(code for _, _, code, _ in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
