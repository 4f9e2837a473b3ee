"""Fills a drive with many files of 4 KiB, past the mount: the keeper's own volume over its real banks.

What is stored is what programs would have stored; the kernel's requests are left out, which cost most of the
time. Runs in pieces: each goes on where the last one ended, and in between nothing runs.

Rule: a file counts once its close is acknowledged; nothing is made that a later start does not load.
Usage: python bench/filling.py STATE [--files 1000000] [--minutes 9] [--settle] (the drive must be down)
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvloop

from growth import A_FOLDER, BODY, path_of
from trivet.cli.status import drive_status
from trivet.errors import FileSystemError
from trivet.io.volume_folder import VolumeFolder
from trivet.keeper.seat import Seat
from trivet.keeper.service import keep
from trivet.volume.interface import ROOT_INO, Caller, MountableVolume

AT_ONCE = 512
REFRESH_S = 3600.0
TRIMMED_AFTER_S = 3.0
ME = Caller(os.getuid(), os.getgid())


@contextmanager
def banks(state: Path) -> Iterator[None]:
    """Run the servers of the drive in `state` for the time of the block."""
    command = [sys.executable, "-m", "trivet", "serve", "bank", "--state", str(state), "--port"]
    ports = VolumeFolder(state).read_config().bases
    running = [subprocess.Popen([*command, str(port)]) for port in ports]
    try:
        yield
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait()


async def folder_at(volume: MountableVolume, name: bytes) -> int:
    """Return the inode of a folder of the root, made if it is not there."""
    try:
        return (await volume.lookup(ROOT_INO, name)).ino
    except FileSystemError:
        return (await volume.mkdir(ROOT_INO, name, 0o755, ME)).ino


async def fill(volume: MountableVolume, first: int, files: int, until_s: float) -> int:
    """Make the files from `first` on, as many as there is time for; return how many there are then."""
    numbers = iter(range(first, files))
    folders: dict[str, int] = {}
    made = first
    names = {os.path.dirname(path_of(Path(), number)) for number in range(first, files, A_FOLDER)}
    for name in sorted(names):
        folders[name] = await folder_at(volume, os.fsencode(name.lstrip("./")))

    async def work() -> None:
        nonlocal made
        for number in numbers:
            folder, name = os.path.split(path_of(Path(), number))
            _, handle = await volume.create(folders[folder], os.fsencode(name), 0o644, ME)
            await volume.write(handle, 0, BODY)
            await volume.flush(handle)
            await volume.release(handle)
            made += 1
            if time.monotonic() > until_s:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return made


async def settled(folder: VolumeFolder) -> None:
    """Wait until all banks are compared, so that the log of the filling is let go of."""
    while True:
        told = await drive_status(folder)
        if told.refresh_age_s is not None and told.refresh_age_s > TRIMMED_AFTER_S:
            print(f"settled; the refresh took {told.refresh_took_s:.1f} s", flush=True)
            return
        await asyncio.sleep(1)


def main() -> int:
    """Fill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--settle", action="store_true", help="stay until the banks are compared")
    options = parser.parse_args()
    until_s = time.monotonic() + options.minutes * 60

    @asynccontextmanager
    async def door(volume: MountableVolume) -> AsyncIterator[None]:
        began = time.monotonic()
        before = (await volume.statfs()).files
        print(f"{before:,} inodes after {began - started:.1f} s of starting", flush=True)
        first = options.state.parent / "filled"
        have = int(first.read_text()) if first.exists() else 0
        made = await fill(volume, have, options.files, until_s)
        await volume.fsyncdir(ROOT_INO)
        first.write_text(str(made))
        took, spent = time.monotonic() - began, time.process_time()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{made:,} files, {made - have:,} in {took:.0f} s; processor {spent:.0f} s; {memory:.0f} MiB")
        if options.settle:
            await settled(VolumeFolder(options.state))
        os.kill(os.getpid(), 15)
        yield None

    started = time.monotonic()
    with banks(options.state):
        return uvloop.run(keep(Seat(VolumeFolder(options.state)), door, durability=None, refresh_s=REFRESH_S))


if __name__ == "__main__":
    sys.exit(main())
