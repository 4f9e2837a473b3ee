"""`make faults`: the tests that break things on purpose, with counts that take too long for every change.

`make faults ARGS="kills seeds"` runs the parts whose names contain one of the words. `make soak` takes the
counts of hours; with `--hours H` it goes round the parts in small slices, each with seeds of its own, until
the time is over.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SLICES = 20


@dataclass(frozen=True)
class Part:
    """One run of pytest with the words `tests`; the environment's `variable` says how much.

    Else it is `count`, in a soak `soak`.
    """

    what: str
    variable: str
    count: int
    soak: int
    tests: tuple[str, ...]


@dataclass
class Tally:
    """What ran of a part: how much, for how long, and the seeds that failed."""

    count: int = 0
    seconds: float = 0.0
    failed: list[int] = field(default_factory=list)


#: What runs in virtual time may use every core; what breaks real processes has the machine to itself.
SPREAD = ("--numprocesses", "logical", "--dist", "load")
LOAD = "tests/e2e/test_faults_under_load.py"
PARTS = (
    Part(
        "seeds of the simulated protocol", "TRIVET_SIM_SEEDS", 10_000, 100_000,
        (*SPREAD, "tests/sim/test_sim.py", "tests/sim/test_sim_one_bank_left.py"),
    ),
    Part(
        "seeds of two keepers over three banks", "TRIVET_STANDBY_SEEDS", 1000, 10_000,
        (*SPREAD, "tests/sim/test_standby_sim.py"),
    ),
    Part(
        "seeds of the whole drive in virtual time", "TRIVET_WHOLE_SEEDS", 500, 5000,
        (*SPREAD, "tests/whole"),
    ),
    Part("seeds for each mutant", "TRIVET_MUTANT_SEEDS", 1000, 1000, (*SPREAD, "tests/sim/test_mutants.py")),
    Part(
        "power losses of banks' disks and of the whole machine", "TRIVET_POWER_LOSSES", 50, 500,
        ("tests/e2e/test_power_loss.py",),
    ),
    Part(
        "kills (SIGKILL) of keeper and banks under load", "TRIVET_KILLS", 200, 5000,
        (f"{LOAD}::test_killed_under_load",),
    ),
    Part(
        "wipes of a server or a bank under load", "TRIVET_WIPES", 40, 500,
        (f"{LOAD}::test_wiped_under_load",),
    ),
    Part(
        "stops, partitions, slow links and second keepers under load", "TRIVET_PARTITIONS", 60, 1000,
        (f"{LOAD}::test_stopped_cut_off_and_slow_under_load",),
    ),
    Part(
        "kills (SIGKILL) of the keeper while it makes and restores snapshots", "TRIVET_SNAPSHOT_KILLS",
        10, 100, ("tests/e2e/test_snapshots.py",),
    ),
    Part(
        "leaders killed (SIGKILL) under load, one stopped and one ended: a standby follows",
        "TRIVET_TAKEOVERS", 20, 200, ("tests/e2e/test_standby_e2e.py",),
    ),
    Part("clocks that run wrong", "TRIVET_CLOCK_SKEWS", 1, 1, ("tests/e2e/test_clock_skew.py",)),
    Part(
        "corruptions of records and blobs", "TRIVET_CORRUPTIONS", 5000, 100_000,
        ("tests/probe/test_corruption_matrix.py",),
    ),
    Part(
        "seeds of an upstream over a failing line, and a day of a flapping vendor", "TRIVET_UPSTREAM_SEEDS",
        5000, 50_000, ("tests/sim/test_upstream_faults.py",),
    ),
    Part(
        "kills (SIGKILL) of the upstream's process in the middle of transfers", "TRIVET_UPSTREAM_KILLS",
        200, 2000, ("tests/probe/test_upstream_killed.py", "tests/probe/test_upstream_evicting_killed.py"),
    ),
    Part(
        "rounds of kills of worker, RabbitMQ and Redis in the middle of transfers", "TRIVET_SERVER_ROUNDS",
        10, 100, ("tests/probe/test_upstream_servers.py",),
    ),
    Part(
        "workers of the door added and taken away under load", "TRIVET_SCALE_ROUNDS", 100, 1000,
        ("tests/e2e/test_health_e2e.py",),
    ),
)  # fmt: skip


def rounds(hours: float) -> Iterator[int]:
    """Yield the number of each round until `hours` are over; one round if they are 0."""
    until_s = time.monotonic() + hours * 3600
    number = 0
    while number == 0 or time.monotonic() < until_s:
        yield number
        number += 1


def run(part: Part, count: int, seed: int) -> bool:
    """Run `count` of a part from `seed` on; tell whether all went well."""
    print(f"--- {count:,} {part.what}, seed {seed}", flush=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "0", *part.tests]
    seeds = {"TRIVET_SEED": str(seed), "TRIVET_FIRST_SEED": str(seed)}
    return subprocess.call(command, env={**os.environ, **seeds, part.variable: str(count)}) == 0


def amount(part: Part, *, soak: bool, hours: float) -> int:
    """Return how much of a part runs at once; a mutant needs all its seeds, however short the time is."""
    wanted = int(os.environ.get(part.variable, part.soak if soak else part.count))
    return wanted if not hours or "MUTANT" in part.variable else max(part.count // SLICES, 1)


def main(words: Sequence[str]) -> int:
    """Run the parts that `words` name, all without; print what ran. Return 0 if nothing failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*", help="run only parts whose names contain one of them")
    parser.add_argument("--soak", action="store_true", help="take the counts of hours")
    parser.add_argument("--hours", type=float, default=0.0, help="go round in slices for so long")
    asked = parser.parse_args(words)
    parts = [part for part in PARTS if not asked.words or any(word in part.what for word in asked.words)]
    tallies = {part.what: Tally() for part in parts}
    first = int(os.environ.get("TRIVET_SEED", "0"))
    ends = time.monotonic() + asked.hours * 3600
    for number in rounds(asked.hours):
        for part in parts:
            if number > 0 and (time.monotonic() > ends or "MUTANT" in part.variable):
                continue
            count, tally = amount(part, soak=asked.soak, hours=asked.hours), tallies[part.what]
            seed, began_s = first + tally.count, time.monotonic()
            if not run(part, count, seed):
                tally.failed.append(seed)
            tally.count += count
            tally.seconds += time.monotonic() - began_s
    print(f"\n{'count':>8}  {'seconds':>8}  what")
    for what, tally in tallies.items():
        found = f" FAILED from seeds {tally.failed}" if tally.failed else ""
        print(f"{tally.count:>8,}  {tally.seconds:>8.0f}  {what}, from seed {first}{found}")
    return 1 if any(tally.failed for tally in tallies.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
