"""The file-system workload: bounded steps that know nothing of the file system they run on.

Rule: a step returns figures by name; higher is better unless the name ends in `_s` or `_ms`.
Rule: "cold" means sync and drop_caches first; what a server keeps in its own memory is part of it.
"""

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fs_kill import Acknowledged, body_of, digest_in, digest_of, nothing_follows, unpacked

MIB = 1 << 20
PAGE_BYTES = 4096
SMALL_DIRS = 20
APPENDS = 200
RANDOM_OPS = 4000
RANDOM_LIMIT_S = 8.0
WORKERS = 4
FIO_S = 8
clock = time.perf_counter
Figures = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How much each step does, and what is done when something is `acknowledged`."""

    sequential_mib: int = 256
    files: int = 2000
    tar: Path | None = None
    acknowledged: Acknowledged = nothing_follows


def drop_caches() -> None:
    """Make the kernel forget what it has read."""
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3\n")


def stamped(block: bytes, number: int) -> bytes:
    """Return `block` with its first 8 bytes telling its `number`, so that no two MiB are alike."""
    return number.to_bytes(8, "big") + block[8:]


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_through(path: Path) -> tuple[float, bytes]:
    """Return (seconds, digest) of reading the whole file; hashing is not timed."""
    digest = hashlib.blake2b()
    spent = 0.0
    descriptor = os.open(path, os.O_RDONLY)
    buffer = bytearray(MIB)
    while True:
        start = clock()
        count = os.readv(descriptor, [buffer])
        spent += clock() - start
        if not count:
            break
        digest.update(memoryview(buffer)[:count])
    os.close(descriptor)
    return spent, digest.digest()


def sequential(folder: Path, sizes: Sizes) -> Figures:
    """Write one large file and fsync it, read it cold and warm, and check what came back."""
    block = os.urandom(MIB)
    blocks = [stamped(block, number) for number in range(sizes.sequential_mib)]
    path = folder / "seq.dat"
    megabytes = sizes.sequential_mib * MIB / 1e6
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    start = clock()
    for data in blocks:
        write_all(descriptor, data)
    os.fsync(descriptor)
    written_s = clock() - start
    os.close(descriptor)
    written = hashlib.blake2b(b"".join(blocks)).digest()
    sizes.acknowledged({path: written})
    drop_caches()
    cold_s, digest = read_through(path)
    warm_s, _ = read_through(path)
    if digest != written:
        raise OSError("sequential read returned other bytes than were written")
    return {
        "seq_write_fsync_MBps": megabytes / written_s,
        "seq_read_cold_MBps": megabytes / cold_s,
        "seq_read_warm_MBps": megabytes / warm_s,
    }


def at_random(folder: Path, sizes: Sizes) -> Figures:
    """Read and write 4 KiB at random places of the sequential step's file."""
    path = folder / "seq.dat"
    pages = path.stat().st_size // PAGE_BYTES
    choose = random.Random(7)
    drop_caches()

    def rate(operation: Callable[[int], object], descriptor: int, *, sync: bool) -> float:
        start = clock()
        count = 0
        while count < RANDOM_OPS and clock() - start < RANDOM_LIMIT_S:
            operation(choose.randrange(pages) * PAGE_BYTES)
            count += 1
        if sync:
            os.fsync(descriptor)
        return count / (clock() - start)

    descriptor = os.open(path, os.O_RDWR)
    data = os.urandom(PAGE_BYTES)
    read_ps = rate(lambda offset: os.pread(descriptor, PAGE_BYTES, offset), descriptor, sync=False)
    write_ps = rate(lambda offset: os.pwrite(descriptor, data, offset), descriptor, sync=True)
    os.close(descriptor)
    sizes.acknowledged({path: digest_in(path)})
    path.unlink()
    sizes.acknowledged({path: None})
    return {"rand_read_4k_cold_ps": read_ps, "rand_write_4k_fsync_ps": write_ps}


def small_files(folder: Path, sizes: Sizes) -> Figures:
    """Create, stat, list, read, rename and unlink many 4 KiB files in 20 folders."""
    top = folder / "small"
    folders = [top / f"d{number:02}" for number in range(SMALL_DIRS)]
    for path in (top, *folders):
        path.mkdir()
    each = sizes.files // SMALL_DIRS
    names = [str(folders[i % SMALL_DIRS] / f"f{i:04}") for i in range(SMALL_DIRS * each)]
    data = os.urandom(PAGE_BYTES)

    def rate(operation: Callable[[str], object], items: Iterable[str]) -> float:
        start = clock()
        for item in items:
            operation(item)
        return len(names) / (clock() - start)

    def create(name: str) -> None:
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.write(descriptor, data)
        os.close(descriptor)

    def read(name: str) -> None:
        descriptor = os.open(name, os.O_RDONLY)
        if os.read(descriptor, 2 * PAGE_BYTES) != data:
            raise OSError(f"wrong data in {name}")
        os.close(descriptor)

    def listing(name: str) -> None:
        with os.scandir(name) as entries:
            if sum(entry.is_file(follow_symlinks=False) for entry in entries) != each:
                raise OSError(f"wrong count of names in {name}")

    figures = {"small_create_ps": rate(create, names)}
    drop_caches()
    figures["small_stat_cold_ps"] = rate(os.stat, names)
    figures["small_stat_warm_ps"] = rate(os.stat, names)
    drop_caches()
    figures["small_readdir_ps"] = rate(listing, map(str, folders))
    drop_caches()
    figures["small_read_cold_ps"] = rate(read, names)
    figures["small_read_warm_ps"] = rate(read, names)
    figures["small_rename_ps"] = rate(lambda name: os.rename(name, name + ".r"), names)
    sizes.acknowledged({Path(name + ".r"): digest_of(data) for name in names} | {Path(names[0]): None})
    figures["small_unlink_ps"] = rate(lambda name: os.unlink(name + ".r"), names)
    sizes.acknowledged({Path(name + ".r"): None for name in names})
    shutil.rmtree(top)
    return figures


def durable_appends(folder: Path, sizes: Sizes) -> Figures:
    """Append 100 bytes and fsync, again and again."""
    path = folder / "journal"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    data = b"x" * 99 + b"\n"
    latencies = []
    for _ in range(APPENDS):
        start = clock()
        os.write(descriptor, data)
        os.fsync(descriptor)
        latencies.append(clock() - start)
    os.close(descriptor)
    sizes.acknowledged({path: digest_of(data * APPENDS)})
    path.unlink()
    return {
        "append_fsync_ps": len(latencies) / sum(latencies),
        "append_fsync_p50_ms": statistics.median(latencies) * 1e3,
    }


def real_tree(folder: Path, sizes: Sizes) -> Figures:
    """Unpack a tar, commit it with git, remove it."""
    if sizes.tar is None:
        return {}
    top = folder / "tree"
    top.mkdir()
    identity = ["-c", "gc.auto=0", "-c", "user.name=b", "-c", "user.email=b@b"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }

    def seconds(*commands: list[str]) -> float:
        start = clock()
        for command in commands:
            subprocess.run(
                command, cwd=top, check=True, stdout=subprocess.DEVNULL, timeout=300, env=environment
            )
        return clock() - start

    untar_s = seconds(["tar", "xf", str(sizes.tar)])
    sizes.acknowledged(unpacked(sizes.tar, top))
    git = ["git", *identity]
    git_s = seconds([*git, "init", "-q", "."], [*git, "add", "."], [*git, "commit", "-qm", "x"])
    sizes.acknowledged(unpacked(sizes.tar, top))
    if sizes.acknowledged is not nothing_follows:
        seconds([*git, "fsck", "--strict"], [*git, "diff", "--quiet", "HEAD"])
    start = clock()
    shutil.rmtree(top)
    sizes.acknowledged({top: None})
    return {"tree_untar_s": untar_s, "tree_git_s": git_s, "tree_remove_s": clock() - start}


def _create_many(folder: Path, count: int) -> None:
    folder.mkdir()
    data = body_of(folder)
    for number in range(count):
        (folder / f"f{number:04}").write_bytes(data)


def parallel_creators(folder: Path, sizes: Sizes) -> Figures:
    """Create 4 KiB files from four processes at once."""
    top = folder / "par"
    top.mkdir()
    each = sizes.files // WORKERS
    start = clock()
    workers = [
        multiprocessing.Process(target=_create_many, args=(top / f"w{number}", each))
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rate = WORKERS * each / (clock() - start)
    if any(worker.exitcode for worker in workers):
        raise OSError("a worker failed")
    of_each = {top / f"w{number}": digest_of(body_of(top / f"w{number}")) for number in range(WORKERS)}
    sizes.acknowledged(
        {at / f"f{number:04}": digest for at, digest in of_each.items() for number in range(each)}
    )
    shutil.rmtree(top)
    return {"par4_create_ps": rate}


def mixed_random(folder: Path, sizes: Sizes) -> Figures:
    """Let fio read (70 %) and write (30 %) 4 KiB at random, synced at the end."""
    job = [
        "fio", "--name=mixed", f"--directory={folder}", "--rw=randrw", "--rwmixread=70", "--bs=4k",
        "--ioengine=psync", f"--size={min(sizes.sequential_mib, 64)}m", f"--runtime={FIO_S}", "--time_based",
        "--end_fsync=1", "--output-format=json",
    ]  # fmt: skip
    subprocess.run([*job, "--create_only=1"], check=True, capture_output=True, timeout=300)
    start = clock()
    done = subprocess.run(job, check=True, capture_output=True, text=True, timeout=300)
    took_s = clock() - start  # with the closing fsync, which fio's own rate leaves out
    told = json.loads(done.stdout)["jobs"][0]
    sizes.acknowledged({path: digest_in(path) for path in folder.glob("mixed.*")})
    for path in folder.glob("mixed.*"):
        path.unlink()
    return {f"fio_{way}_iops": told[way]["total_ios"] / took_s for way in ("read", "write")}


STEPS: dict[str, Callable[[Path, Sizes], Figures]] = {
    "seq": sequential,
    "rand": at_random,
    "small": small_files,
    "append": durable_appends,
    "tree": real_tree,
    "par": parallel_creators,
    "fio": mixed_random,
}
