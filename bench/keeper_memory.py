"""What the keeper holds in memory: a drive with many small files, against 150 MB plus 700 bytes a file.

Rule: a real drive with three banks; files of 4 KiB are made, listed and read through the mount first.
Usage: python bench/keeper_memory.py [--files 30000]
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from fs_contestants import trivet_mount

BASE_BYTES = 150_000_000
EACH_BYTES = 700
A_FOLDER = 500
STEPS = 6


def keeper_of(work: Path) -> psutil.Process:
    """Return the keeper of the drive whose state lies in `work`."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "keeper" in command and str(work / "state") in command:
            return process
    raise OSError("the drive has no keeper")


def make_files(folder: Path, count: int) -> Iterator[int]:
    """Make `count` files; yield how many there are after each STEPS-th part, after reading them all."""
    data = os.urandom(4096)
    made: list[Path] = []
    for step in range(1, STEPS + 1):
        while len(made) < count * step // STEPS:
            path = folder / f"d{len(made) // A_FOLDER:04}" / f"file-{len(made):08}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            made.append(path)
        for path in made[-count // STEPS :]:
            if path.read_bytes() != data:
                raise OSError(f"{path} reads as something else")
        yield len(made)


def main() -> int:
    """Measure; return 1 if the keeper holds more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=30_000)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="trivet-bench-"))
    is_over = False
    try:
        with trivet_mount(work) as mount:
            keeper = keeper_of(work)
            print(f"{'files':>10}{'keeper MB':>12}{'allowed MB':>12}")
            print(f"{0:10,}{keeper.memory_info().rss / 1e6:12.1f}{BASE_BYTES / 1e6:12.1f}")
            for files in make_files(mount, options.files):
                held = keeper.memory_info().rss
                allowed = BASE_BYTES + EACH_BYTES * files
                is_over |= held > allowed
                print(f"{files:10,}{held / 1e6:12.1f}{allowed / 1e6:12.1f}", flush=True)
    finally:
        shutil.rmtree(work)
    return 1 if is_over else 0


if __name__ == "__main__":
    sys.exit(main())
