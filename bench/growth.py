"""How the cost of an operation changes as a drive fills up: at 1,000, 10,000, 100,000 ... files of 4 KiB.

Rule: a real drive with three banks of one server; where others use the machine too, processor time an
operation (keeper and banks) is what counts, not rates.
Rule: the files are made through the mount, by several processes; those from 100,000 to 300,000 in one folder.
Usage: python bench/growth.py [--files 300000] [--minutes 30], or --clients for 1, 2, 4 and 8 at once, or
--filled STATE for a line about a drive that is down and holds the files of bench/filling.py; --settle STATE
before that has the banks work off what filled it, and lets go of the log; --plain DIR does without a drive,
in a new folder there: what the disk and its file system make of it
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from fs_contestants import trivet_mount
from fs_steps import drop_caches
from trivet.cli.status import drive_status
from trivet.io.volume_folder import VolumeFolder

BODY = bytes(range(256)) * 16
STAGES = (1_000, 10_000, 100_000, 300_000, 1_000_000)
PROBES = 1000
CLIENT_TURNS = 3
HEADING = "    files   create/s  us     stat/s   us     read/s   us   keeper MiB"
WRITERS = 4
AT_ONCE = 2000
A_FOLDER = 1000
SETTLED_WITHIN_S, TRIMMED_AFTER_S = 300.0, 3.0


def path_of(mount: Path, number: int) -> str:
    """Return where file `number` lies."""
    folder = "big" if 100_000 <= number < 300_000 else f"d{number // A_FOLDER:04}"
    return f"{mount}/{folder}/f{number:07}"


def make(mount: Path, first: int, end: int, step: int = 1) -> None:
    """Make every `step`-th of the files from `first` to `end`."""
    for number in range(first, end, step):
        path = path_of(mount, number)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        except FileNotFoundError:
            Path(path).parent.mkdir(exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, BODY)
        os.close(fd)


class Drive:
    """The processes of the drive below `work`."""

    def __init__(self, work: Path) -> None:
        found = [(process.info["cmdline"] or [], process) for process in psutil.process_iter(["cmdline"])]
        mine = [(words, process) for words, process in found if str(work / "state") in words]
        self.keeper = next(process for words, process in mine if "keeper" in words)
        self._all = [process for words, process in mine if {"keeper", "bank"} & set(words)]

    def spent_s(self) -> float:
        """Return the processor time of the keeper and the banks."""
        times = [process.cpu_times() for process in self._all]
        return sum(one.user + one.system for one in times)

    def keeper_mib(self) -> float:
        """Return the memory of the keeper."""
        return float(self.keeper.memory_info().rss / 2**20)


class NoDrive:
    """In place of a drive where there is none: it takes nothing."""

    def spent_s(self) -> float:
        """Return 0."""
        return 0.0

    def keeper_mib(self) -> float:
        """Return 0."""
        return 0.0


def cost(drive: Drive | NoDrive, work: Callable[[], None]) -> str:
    """Do `work`, PROBES operations; return its rate and the drive's processor time each."""
    spent, began = drive.spent_s(), time.monotonic()
    work()
    took = time.monotonic() - began
    return f"{PROBES / took:9,.0f}{(drive.spent_s() - spent) / PROBES * 1e6:8,.0f}"


def probe(drive: Drive | NoDrive, mount: Path, files: int) -> None:
    """Print a line of what operations cost with `files` files there."""
    chosen = random.Random(files).sample(range(files), min(files, PROBES))
    chosen = (chosen * PROBES)[:PROBES]
    new = mount / f"probe{files}"
    new.mkdir()

    def create() -> None:
        for number in range(PROBES):
            (new / str(number)).write_bytes(BODY)

    def stat() -> None:
        for number in chosen:
            os.stat(path_of(mount, number))

    def read() -> None:
        for number in chosen:
            if Path(path_of(mount, number)).read_bytes() != BODY:
                raise OSError(f"file {number} reads as something else")

    cells = [cost(drive, create)]
    for work in (stat, read):
        drop_caches()
        cells.append(cost(drive, work))
    shutil.rmtree(new)
    print(f"{files:9,}" + "".join(cells) + f"{drive.keeper_mib():9,.0f}", flush=True)


def list_big(mount: Path) -> None:
    """Print how long listing the large folder takes, with and without attributes."""
    for what, needs_stat in (("names", False), ("names and attributes", True)):
        drop_caches()
        began = time.monotonic()
        with os.scandir(mount / "big") as found:
            count = sum(bool(entry.stat().st_size) if needs_stat else 1 for entry in found)
        print(f"listing {count:,} {what}: {time.monotonic() - began:.2f} s", flush=True)


def in_processes(count: int, work: Callable[..., None], *arguments: object) -> None:
    """Let `count` processes do `work(*arguments, number)`; raises OSError if one fails."""
    fork = multiprocessing.get_context("fork")
    running = [fork.Process(target=work, args=(*arguments, number)) for number in range(count)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        raise OSError("a writer failed")


def make_share(mount: Path, first: int, end: int, number: int) -> None:
    """Make the files of one of the writers."""
    make(mount, first + number, end, WRITERS)


def grow(mount: Path, drive: Drive | NoDrive, files: int, minutes: float) -> None:
    """Fill the drive, stopping at each stage to probe."""
    print(HEADING, flush=True)
    until = time.monotonic() + minutes * 60
    made = 0
    for stage in (*(stage for stage in STAGES if stage < files), files):
        began, before = time.monotonic(), made
        while made < stage and time.monotonic() < until:
            end = min(stage, made + AT_ONCE)
            in_processes(WRITERS, make_share, mount, made, end)
            made = end
        print(f"# {made - before:,} files in {time.monotonic() - began:.0f} s", flush=True)
        probe(drive, mount, made)
        if made < stage:
            break
    if made > 100_000:
        list_big(mount)


def client(mount: Path, folder: str, number: int) -> None:
    """Create and read PROBES files in a folder of one's own."""
    own = mount / f"{folder}-{number}"
    own.mkdir()
    for name in range(PROBES):
        (own / str(name)).write_bytes(BODY)
    for name in range(PROBES):
        (own / str(name)).read_bytes()


def clients(mount: Path, drive: Drive) -> None:
    """Print what several processes at once get done, in turns, and the drive's processor time for each."""
    print("clients   files made and read a second   us each", flush=True)
    for turn in range(CLIENT_TURNS):
        for count in (1, 2, 4, 8):
            began, spent = time.monotonic(), drive.spent_s()
            in_processes(count, client, mount, f"c{turn}-{count}")
            rate = count * PROBES / (time.monotonic() - began)
            each_us = (drive.spent_s() - spent) / (count * PROBES) * 1e6
            print(f"{count:7}{rate:31,.0f}{each_us:10,.0f}", flush=True)


def settle(state: Path) -> None:
    """Wait until the banks of the drive are compared, and so the log of what filled it is let go of."""
    until = time.monotonic() + SETTLED_WITHIN_S
    folder = VolumeFolder(state)
    while True:
        told: dict[str, Any] = msgspec.to_builtins(asyncio.run(drive_status(folder)))
        if told["healthy"] and told["refresh_age_s"] is not None and told["refresh_age_s"] > TRIMMED_AFTER_S:
            print(f"# settled; a refresh took {told['refresh_took_s']:.1f} s", flush=True)
            return
        if time.monotonic() > until:
            raise TimeoutError(f"the drive never came to rest: {told}")
        time.sleep(1)


@contextmanager
def filled_mount(state: Path) -> Iterator[Path]:
    """Mount a drive that bench/filling.py filled; print how long it takes to start."""
    mount = state.parent / "drive"
    command = [sys.executable, "-m", "trivet"]
    options = ["--state", str(state), "--mount", str(mount), "--no-gateway"]
    began = time.monotonic()
    subprocess.run([*command, "up", "--detach", *options], check=True, stdout=subprocess.DEVNULL)
    os.stat(mount)
    print(f"# up in {time.monotonic() - began:.1f} s", flush=True)
    try:
        yield mount
    finally:
        subprocess.run([*command, "down", "--state", str(state)], check=True, stdout=subprocess.DEVNULL)


def look_at_filled(state: Path) -> None:
    """Print what operations cost on a drive that is filled already."""
    files = int((state.parent / "filled").read_text())
    with filled_mount(state) as mount:
        print(HEADING, flush=True)
        probe(Drive(state.parent), mount, files)
        if files > 100_000:
            list_big(mount)


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", action="store_true")
    parser.add_argument("--filled", type=Path)
    parser.add_argument("--settle", type=Path)
    parser.add_argument("--plain", type=Path)
    options = parser.parse_args()
    if options.settle is not None:
        with filled_mount(options.settle):
            settle(options.settle)
        return 0
    if options.filled is not None:
        look_at_filled(options.filled)
        return 0
    work = Path(tempfile.mkdtemp(prefix="trivet-bench-", dir=options.plain))
    try:
        if options.plain is not None:
            grow(work, NoDrive(), options.files, options.minutes)
            return 0
        with trivet_mount(work, gateway=False) as mount:
            if options.clients:
                clients(mount, Drive(work))
            else:
                grow(mount, Drive(work), options.files, options.minutes)
    finally:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
