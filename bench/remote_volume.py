"""RemoteVolume measured: a large file up and down, against hashing it while writing three local copies.

Rule: contestants take turns, memory is touched before each, medians are told; only ratios of one run count.
Usage: python bench/remote_volume.py [--mib 256] [--rounds 5]
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import uvloop

from fs_compare import touch_memory
from fs_contestants import trivet_mount
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Caller

MIB = 1 << 20
ME = Caller(os.getuid(), os.getgid())
Figures = dict[str, float]


def cpu_s(drive: list[psutil.Process]) -> float:
    """Return the processor time that this process and those of the drive have used."""
    times = [process.cpu_times() for process in (psutil.Process(), *drive)]
    return sum(one.user + one.system for one in times)


def processes_of(state: Path) -> list[psutil.Process]:
    """Return the keeper and the servers of a drive."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):  # it has just ended
            if {"serve", str(state)} <= set(one.cmdline()):
                found.append(one)
    return found


def blocks_of(mib: int) -> list[bytes]:
    """Return MiBs of which no two are alike."""
    block = os.urandom(MIB)
    return [number.to_bytes(8, "big") + block[8:] for number in range(mib)]


def plain_up(folder: Path, blocks: list[bytes]) -> None:
    """Write three copies, hashing on the way."""
    digest = hashlib.sha256()
    files = [(folder / f"copy{number}").open("wb", buffering=0) for number in range(3)]
    for block in blocks:
        digest.update(block)
        for file in files:
            file.write(block)
    for file in files:
        file.close()


def plain_down(folder: Path) -> str:
    """Read one copy, hashing it."""
    digest = hashlib.sha256()
    with (folder / "copy0").open("rb", buffering=0) as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


async def remote_up(volume: RemoteVolume, name: bytes, blocks: list[bytes]) -> int:
    """Write the file through a RemoteVolume, hashing on the way, until it is acknowledged."""
    digest = hashlib.sha256()
    made, handle = await volume.create(ROOT_INO, name, 0o644, ME)
    for number, block in enumerate(blocks):
        digest.update(block)
        await volume.write(handle, number * MIB, block)
    await volume.flush(handle)
    await volume.release(handle)
    return made.ino


async def remote_down(volume: RemoteVolume, ino: int) -> str:
    """Read the file MiB by MiB from a snapshot, hashing it."""
    digest = hashlib.sha256()
    held = await volume.open_snapshot(ino)
    offset = 0
    while block := await volume.read(held.handle, offset, MIB):
        digest.update(block)
        offset += len(block)
    await volume.release(held.handle)
    return digest.hexdigest()


async def compare(state: Path, folder: Path, mib: int, rounds: int) -> dict[str, list[float]]:
    """Return MB/s, and CPU ms a MiB of all processes, of each contestant and direction by round."""
    blocks = blocks_of(mib)
    seen: dict[str, list[float]] = {}
    drive = processes_of(state)

    def note(what: str, started: float, cpu: float) -> None:
        seen.setdefault(f"{what} MB/s", []).append(mib * MIB / 1e6 / (time.perf_counter() - started))
        seen.setdefault(f"{what} cpu ms/MiB", []).append((cpu_s(drive) - cpu) * 1e3 / mib)

    async with connected(VolumeFolder(state)) as volume:
        for turn in range(rounds):
            touch_memory()
            started, cpu = time.perf_counter(), cpu_s(drive)
            plain_up(folder, blocks)
            note("plain up", started, cpu)
            started, cpu = time.perf_counter(), cpu_s(drive)
            expected = plain_down(folder)
            note("plain down", started, cpu)
            touch_memory()
            started, cpu = time.perf_counter(), cpu_s(drive)
            ino = await remote_up(volume, b"large", blocks)
            note("remote up", started, cpu)
            started, cpu = time.perf_counter(), cpu_s(drive)
            told = await remote_down(volume, ino)
            note("remote down", started, cpu)
            assert told == expected
            await volume.unlink(ROOT_INO, b"large")
            print(f"round {turn + 1} done", flush=True)
    return seen


def main() -> None:
    """Run the comparison and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as work:
        plain = Path(work) / "plain"
        plain.mkdir()
        with trivet_mount(Path(work)):
            seen = uvloop.run(compare(Path(work) / "state", plain, asked.mib, asked.rounds))
    medians = {what: statistics.median(values) for what, values in seen.items()}
    for what, value in medians.items():
        print(f"{what:24}{value:10.1f}")
    for way in ("up", "down"):
        print(f"{way}: {medians[f'remote {way} MB/s'] / medians[f'plain {way} MB/s']:.2f} x plain")


if __name__ == "__main__":
    main()
