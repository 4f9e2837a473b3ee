"""`make faults`: the tests that break things on purpose, with counts that take too long for every change.

`make faults ARGS="kills seeds"` runs the parts whose names contain one of the words. `make soak` takes the
counts of hours; with `--hours H` it goes round the parts in small slices, each with seeds of its own, until
the time is over.

Rule: two lanes at once. What runs in virtual time goes at nice 19 beside what breaks real processes, of
which one part at a time has the machine; what a lane's tests say goes to a file of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SLICES = 20


@dataclass(frozen=True)
class Part:
    """One run of pytest with the words `tests`; the environment's `variable` says how much.

    Else it is `count`, in a soak `soak`. `switches` are variables that are set for it.
    """

    what: str
    variable: str
    count: int
    soak: int
    tests: tuple[str, ...]
    switches: tuple[str, ...] = ()


@dataclass
class Tally:
    """What ran of a part: how much, for how long, and the seeds that failed."""

    count: int = 0
    seconds: float = 0.0
    failed: list[int] = field(default_factory=list)


#: What runs in virtual time may use every core that the real faults leave it.
SPREAD = ("--numprocesses", "logical", "--dist", "load")
LOAD = "tests/e2e/test_faults_under_load.py"
PARTS = (
    Part(
        "seeds of the simulated protocol", "TRIVET_SIM_SEEDS", 10_000, 100_000,
        (*SPREAD, "tests/sim/test_sim.py", "tests/sim/test_sim_one_bank_left.py")),
    Part(
        "seeds of two keepers over three banks", "TRIVET_STANDBY_SEEDS", 1000, 10_000,
        (*SPREAD, "tests/sim/test_standby_sim.py")),
    Part(
        "seeds of the whole drive in virtual time", "TRIVET_WHOLE_SEEDS", 500, 5000,
        (*SPREAD, "tests/whole")),
    Part("seeds for each mutant", "TRIVET_MUTANT_SEEDS", 1000, 1000, (*SPREAD, "tests/sim/test_mutants.py")),
    Part(
        "power losses of banks' disks and of the whole machine", "TRIVET_POWER_LOSSES", 50, 500,
        ("tests/e2e/test_power_loss.py",)),
    Part(
        "kills (SIGKILL) of keeper and banks under load", "TRIVET_KILLS", 200, 5000,
        (f"{LOAD}::test_killed_under_load",)),
    Part(
        "wipes of a server or a bank under load", "TRIVET_WIPES", 40, 500,
        (f"{LOAD}::test_wiped_under_load",)),
    Part(
        "stops, partitions, slow links and second keepers under load", "TRIVET_PARTITIONS", 60, 1000,
        (f"{LOAD}::test_stopped_cut_off_and_slow_under_load",)),
    Part(
        "kills beside a bank whose blobs are in an object store", "TRIVET_KILLS", 60, 600,
        (f"{LOAD}::test_killed_under_load",), ("TRIVET_BANK_ON_STORE",)),
    Part(
        "wipes beside a bank whose blobs are in an object store", "TRIVET_WIPES", 6, 60,
        (f"{LOAD}::test_wiped_under_load",), ("TRIVET_BANK_ON_STORE",)),
    Part(
        "stops, partitions and slow links beside a bank whose blobs are in an object store",
        "TRIVET_PARTITIONS", 16, 160, (f"{LOAD}::test_stopped_cut_off_and_slow_under_load",),
        ("TRIVET_BANK_ON_STORE",)),
    Part(
        "kills (SIGKILL) of the keeper while it makes and restores snapshots", "TRIVET_SNAPSHOT_KILLS",
        10, 100, ("tests/e2e/test_snapshots.py",)),
    Part(
        "leaders killed (SIGKILL) under load, one stopped and one ended: a standby follows",
        "TRIVET_TAKEOVERS", 20, 200, ("tests/e2e/test_standby_e2e.py",)),
    Part(
        "hosts of a leading keeper pulled out: the one on another host follows",
        "TRIVET_TAKEOVERS", 20, 200, ("tests/e2e/test_far_standby.py",)),
    Part(
        "faults of a volume on a database: kills, a database that dies, hangs or is cut off, takeovers",
        "TRIVET_ENGINE_FAULTS", 35, 350, ("tests/e2e/test_engine_faults.py",)),
    Part("clocks that run wrong", "TRIVET_CLOCK_SKEWS", 1, 1, ("tests/e2e/test_clock_skew.py",)),
    Part(
        "corruptions of records and blobs", "TRIVET_CORRUPTIONS", 5000, 100_000,
        ("tests/probe/test_corruption_matrix.py",)),
    Part(
        "seeds of an upstream over a failing line, and a day of a flapping vendor", "TRIVET_UPSTREAM_SEEDS",
        5000, 50_000, (*SPREAD, "tests/sim/test_upstream_faults.py")),
    Part(
        "kills (SIGKILL) of the upstream's process in the middle of transfers", "TRIVET_UPSTREAM_KILLS",
        200, 2000, ("tests/probe/test_upstream_killed.py", "tests/probe/test_upstream_evicting_killed.py")),
    Part(
        "rounds of kills of worker, RabbitMQ and Redis in the middle of transfers", "TRIVET_SERVER_ROUNDS",
        10, 100, ("tests/probe/test_upstream_servers.py",)),
    Part(
        "workers of the door added and taken away under load", "TRIVET_SCALE_ROUNDS", 100, 1000,
        ("tests/e2e/test_health_e2e.py",)),
)  # fmt: skip


@dataclass
class Lane:
    """Parts that run one after the other, `niceness` behind others; what they say goes to the file `log`."""

    log: Path
    niceness: int
    tallies: dict[Part, Tally]


def rounds(hours: float, clock: Callable[[], float] = time.monotonic) -> Iterator[int]:
    """Yield the number of each round until `hours` are over on the `clock`; one round if they are 0."""
    until_s = clock() + hours * 3600
    number = 0
    while number == 0 or clock() < until_s:
        yield number
        number += 1


def run(part: Part, count: int, seed: int, lane: Lane) -> bool:
    """Run `count` of a part from `seed` on; tell whether all went well."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "0", *part.tests]
    seeds = {"TRIVET_SEED": str(seed), "TRIVET_FIRST_SEED": str(seed)}
    with lane.log.open("a") as log:
        log.write(f"--- {count:,} {part.what}, seed {seed}\n")
        log.flush()
        done = subprocess.run(
            ["nice", "-n", str(lane.niceness), *command],
            env={**os.environ, **seeds, **dict.fromkeys(part.switches, "1"), part.variable: str(count)},
            stdout=log, stderr=log, check=False,
        )  # fmt: skip
    return done.returncode == 0


def amount(part: Part, *, soak: bool, hours: float) -> int:
    """Return how much of a part runs at once; a mutant needs all its seeds, however short the time is."""
    wanted = int(os.environ.get(part.variable, part.soak if soak else part.count))
    return wanted if not hours or "MUTANT" in part.variable else max(part.count // SLICES, 1)


def work(
    lane: Lane,
    asked: argparse.Namespace,
    first: int,
    run: Callable[[Part, int, int, Lane], bool] = run,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Go through the parts of `lane` from the seed `first` on, with `asked.hours` again and again."""
    ends = clock() + asked.hours * 3600
    for number in rounds(asked.hours, clock):
        for part, tally in lane.tallies.items():
            if number > 0 and (clock() > ends or "MUTANT" in part.variable):
                continue
            count = amount(part, soak=asked.soak, hours=asked.hours)
            seed, began_s = first + tally.count, clock()
            is_well = run(part, count, seed, lane)
            if not is_well:
                tally.failed.append(seed)
            tally.count += count
            took_s = clock() - began_s
            tally.seconds += took_s
            said = "well" if is_well else f"FAILED, see {lane.log}"
            print(
                f"{count:>8,}  {clock() - began_s:>8.0f}  {part.what}, from seed {seed}: {said}", flush=True
            )
        if lane.tallies and all("MUTANT" in part.variable for part in lane.tallies):
            return


def main(words: Sequence[str]) -> int:
    """Run the parts that `words` name, all without; print what ran. Return 0 if nothing failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*", help="run only parts whose names contain one of them")
    parser.add_argument("--soak", action="store_true", help="take the counts of hours")
    parser.add_argument("--hours", type=float, default=0.0, help="go round in slices for so long")
    asked = parser.parse_args(words)
    parts = [part for part in PARTS if not asked.words or any(word in part.what for word in asked.words)]
    first, began_s = int(os.environ.get("TRIVET_SEED", "0")), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="trivet-faults-"))
    lanes = [
        Lane(folder / "virtual.log", 19, {part: Tally() for part in parts if SPREAD[0] in part.tests}),
        Lane(folder / "real.log", 0, {part: Tally() for part in parts if SPREAD[0] not in part.tests}),
    ]
    print(f"{'count':>8}  {'seconds':>8}  what (what the tests say: {folder})", flush=True)
    threads = [
        threading.Thread(target=work, args=(lane, asked, first), daemon=True)
        for lane in lanes
        if lane.tallies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tallies = {part: tally for lane in lanes for part, tally in lane.tallies.items()}
    print(f"\n{'count':>8}  {'seconds':>8}  all in {time.monotonic() - began_s:.0f} s")
    for part, tally in tallies.items():
        found = f" FAILED from seeds {tally.failed}" if tally.failed else ""
        print(f"{tally.count:>8,}  {tally.seconds:>8.0f}  {part.what}, from seed {first}{found}")
    return 1 if not tallies or any(tally.failed for tally in tallies.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
