"""What one operation on the folder costs: processor time of the keeper and its banks, and the time it takes.

Rule: a real drive with three banks of one server; processor time tells more than rates while others use the
machine too, though caches that they empty count in it.
Usage: python bench/fs_cost.py [--files 2000] [--mib 128]
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from fs_contestants import trivet_mount
from fs_steps import MIB, PAGE_BYTES, drop_caches, read_through, stamped, write_all

APPENDS = 300
READS = 3000


class Meter:
    """Reads the clocks of one drive's processes."""

    def __init__(self, state: Path) -> None:
        self._by_kind: dict[str, list[psutil.Process]] = {"keeper": [], "bank": []}
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if str(state) in command and {"keeper", "bank"} & set(command):
                self._by_kind["keeper" if "keeper" in command else "bank"].append(process)

    def spent_s(self, kind: str) -> float:
        """Return the processor time that all processes of `kind` have used."""
        times = [process.cpu_times() for process in self._by_kind[kind]]
        return sum(one.user + one.system for one in times)

    def run(self, what: str, count: int, work: Callable[[], object]) -> None:
        """Do `work`, which is `count` operations, and print what each cost."""
        before = self.spent_s("keeper"), self.spent_s("bank")
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
        keeper, banks = self.spent_s("keeper") - before[0], self.spent_s("bank") - before[1]
        each = [f"{seconds / count * 1e6:12,.0f}" for seconds in (keeper, banks, took)]
        print(f"{what:28}{count / took:12,.0f}" + "".join(each), flush=True)


def small_files(meter: Meter, top: Path, count: int) -> None:
    """Create, rename and unlink files of 4 KiB; append and fsync."""
    top.mkdir()
    names = [str(top / f"f{number:05}") for number in range(count)]
    data = os.urandom(PAGE_BYTES)

    def create() -> None:
        for name in names:
            Path(name).write_bytes(data)

    def append() -> None:
        with (top / "journal").open("ab", buffering=0) as file:
            for _ in range(APPENDS):
                file.write(b"x" * 100)
                os.fsync(file.fileno())

    meter.run("create 4 KiB", count, create)
    meter.run("rename", count, lambda: [os.rename(name, name + ".r") for name in names])
    meter.run("unlink", count, lambda: [os.unlink(name + ".r") for name in names])
    meter.run("append + fsync", APPENDS, append)


def large_file(meter: Meter, path: Path, mib: int) -> None:
    """Write a large file, read it cold, in order and at random."""
    block = os.urandom(MIB)

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for number in range(mib):
                write_all(file.fileno(), stamped(block, number))
            os.fsync(file.fileno())

    def read_at_random() -> None:
        choose = random.Random(7)
        with path.open("rb", buffering=0) as file:
            for _ in range(READS):
                os.pread(file.fileno(), PAGE_BYTES, choose.randrange(mib * MIB // PAGE_BYTES) * PAGE_BYTES)

    meter.run("write 1 MiB, fsync at end", mib, write)
    drop_caches()
    meter.run("read 1 MiB cold, in order", mib, lambda: read_through(path))
    drop_caches()
    meter.run("read 4 KiB cold, random", READS, read_at_random)


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--mib", type=int, default=128)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="trivet-bench-"))
    try:
        with trivet_mount(work) as mount:
            meter = Meter(work / "state")
            print(f"{'':28}{'a second':>12}{'keeper us':>12}{'3 banks us':>12}{'takes us':>12}")
            small_files(meter, mount / "small", options.files)
            large_file(meter, mount / "large", options.mib)
    finally:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
