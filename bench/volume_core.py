"""Bench: the volume of the keeper on banks in memory: what it alone costs, without disk, network and kernel.

Run: `python bench/volume_core.py [--files N] [--profile]`.
"""

import argparse
import cProfile
import gc
import pstats
import random
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from memory_ports import MemoryBanks
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.blob_names import BlobNames
from trivet.volume.interface import ROOT_INO, Caller
from trivet.volume.loading import Loading

ME = Caller(0, 0)
PAGE = bytes(range(256)) * 16


async def rate(label: str, count: int, unit: str, work: Callable[[], Awaitable[None]], profile: bool) -> None:
    """Time `work`, which does `count` of `unit`, and say so."""
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    start = time.perf_counter()
    await work()
    took_s = time.perf_counter() - start
    profiler.disable()
    print(f"{label:<34}{count / took_s:>12,.0f} {unit}/s  {took_s / count * 1e6:>8.1f} us")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(18)


async def create_files(volume: LocalVolume, folder: int, count: int) -> None:
    """Create, write 4 KiB, close."""
    for at in range(count):
        _made, handle = await volume.create(folder, b"file-%07d" % at, 0o644, ME)
        await volume.write(handle, 0, PAGE)
        await volume.flush(handle)
        await volume.release(handle)


async def small_files(volume: LocalVolume, count: int, profile: bool) -> None:
    """Create, look up, list, rename and unlink small files."""
    folder = (await volume.mkdir(ROOT_INO, b"small", 0o755, ME)).ino

    async def look_up() -> None:
        for at in range(count):
            await volume.lookup(folder, b"file-%07d" % at)

    async def read() -> None:
        for name in volume.space.directories[folder].values():
            handle = await volume.open(name, writing=False, truncate=False, sync=False)
            await volume.read(handle, 0, 4096)
            await volume.release(handle)

    async def list_all() -> None:
        cookie = 0
        while part := await volume.listing(folder, cookie, 128):
            cookie = part[-1].cookie

    async def rename() -> None:
        for at in range(count):
            name = b"file-%07d" % at
            await volume.rename(folder, name, folder, b"new" + name, replace=True, exchange=False)

    async def unlink() -> None:
        for at in range(count):
            await volume.unlink(folder, b"newfile-%07d" % at)

    await rate(
        "create, write 4 KiB, close", count, "files", lambda: create_files(volume, folder, count), profile
    )
    await rate("look up", count, "names", look_up, False)
    await rate("open, read 4 KiB, close", count, "files", read, profile)
    await rate("list with attributes", count, "names", list_all, False)
    await rate("rename", count, "files", rename, profile)
    await rate("unlink", count, "files", unlink, profile)


async def large_files(volume: LocalVolume, banks: MemoryBanks, profile: bool) -> None:
    """Write and read 512 MiB, change random pages."""
    _made, handle = await volume.create(ROOT_INO, b"large", 0o644, ME)
    parts = [random.Random(at).randbytes(1 << 20) for at in range(8)]

    async def write(step: int) -> None:
        for at in range(0, 512 << 20, step):
            part = parts[(at >> 20) % 8]
            await volume.write(handle, at, part if step == 1 << 20 else part[:step])
        await volume.fsync(handle)
        banks.blobs = {name: data for name, data in banks.blobs.items() if name not in banks.freed}

    async def read() -> None:
        for at in range(0, 512 << 20, 128 << 10):
            await volume.read(handle, at, 128 << 10)

    async def scatter() -> None:
        rng = random.Random(1)
        for _turn in range(2000):
            await volume.write(handle, rng.randrange(512 << 8) * 4096, PAGE)
            await volume.fsync(handle)

    await rate("sequential write, 1 MiB", 512, "MiB", lambda: write(1 << 20), profile)
    await rate("sequential write, 128 KiB", 512, "MiB", lambda: write(128 << 10), profile)
    await rate("sequential read, 128 KiB", 512, "MiB", read, profile)
    await rate("random 4 KiB write and fsync", 2000, "writes", scatter, profile)
    await volume.release(handle)


async def memory(files: int) -> None:
    """Load a volume of small files from records and say what each costs."""
    banks = MemoryBanks()
    volume = banks.fresh()
    await volume.start()
    per_folder = 1000
    for at in range(files // per_folder):
        folder = await volume.mkdir(ROOT_INO, b"folder%d" % at, 0o755, ME)
        await create_files(volume, folder.ino, per_folder)
    await volume.close()
    rows = [(key, value) for key, (_slot, value) in sorted(banks.rows.items())]
    del volume, banks
    gc.collect()
    tracemalloc.start()
    start = time.perf_counter()
    loading = Loading(BlobNames(2))
    for key, value in rows:
        loading.add(bytes(memoryview(key)), None if key.startswith(b"b/") else bytes(memoryview(value)))
    for _ in loading.steps():
        pass
    assert not loading.problems
    took_s = time.perf_counter() - start
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0]
    print(f"load {files:,} files: {took_s:.2f} s (while counting memory), {grown / files:.0f} bytes a file")


async def run(files: int, profile: bool) -> None:
    """Run all."""
    banks = MemoryBanks()
    volume = banks.fresh()
    await volume.start()
    await small_files(volume, files, profile)
    await large_files(volume, banks, profile)
    await volume.close()


def main() -> None:
    """Read options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    uvloop.run(run(options.files, options.profile))
    if not options.profile:
        uvloop.run(memory(100_000))


if __name__ == "__main__":
    main()
