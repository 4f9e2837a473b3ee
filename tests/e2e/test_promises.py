"""What is promised holds: two banks sync before an fsync returns, what was acknowledged survives kill -9.

TRIVET_PROMISES=full does more of each, and kills after each kind of work by itself.
"""

import os
import random
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from drive_under_test import Drive, drop_caches
from sync_trace import traced

pytestmark = pytest.mark.mount
FULL = os.environ.get("TRIVET_PROMISES") == "full"
ROUNDS = 200 if FULL else 8
MIB = 1 << 20


def test_two_banks_sync_between_each_fsync_and_its_return(
    lone_drive: Drive, folder: Path, tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        assert "CI" not in os.environ, "CI installs strace"
        pytest.skip("strace is not installed")
    calls: list[tuple[str, float, float]] = []
    log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    large = os.open(folder / "large", os.O_CREAT | os.O_RDWR)
    above = os.open(folder, os.O_RDONLY)
    strict = os.open(folder / "strict", os.O_CREAT | os.O_WRONLY | os.O_SYNC)

    def timed(what: str, *steps: Callable[[], object]) -> None:
        began = time.time()
        for step in steps:
            step()
        calls.append((what, began, time.time()))

    def swapped(number: int) -> tuple[Path, Path]:
        names = folder / "one", folder / "other"
        return names if number % 2 == 0 else names[::-1]

    (folder / "one").touch()
    with traced([lone_drive.server_pid(base) for base in lone_drive.bases], tmp_path) as trace:
        for number in range(ROUNDS):
            os.write(log, b"x" * 100)
            timed("fsync after an append", lambda: os.fsync(log))
            os.pwrite(large, os.urandom(300_000), number * 200_001)
            timed("fdatasync after 300 KB", lambda: os.fdatasync(large))
            # A name is with the banks when rename returns, so they may sync it before anybody asks.
            timed("fsync of the folder", partial(os.rename, *swapped(number)), lambda: os.fsync(above))
            timed("a write with O_SYNC", lambda: os.write(strict, b"y" * 1000))
    for fd in (log, large, above, strict):
        os.close(fd)
    syncs = trace.syncs()
    for what, began, returned in calls:
        banks = {sync.base for sync in syncs if began <= sync.began and sync.ended <= returned}
        assert len(banks) >= 2, f"{what}: only {banks} synced before it returned"
    if FULL:
        print(f"{len(calls)} calls, each with two banks synced before it returned, {len(syncs)} syncs")


class Work:
    """Steps that work below `top` as the benchmarks do; `held` is what was acknowledged: path -> bytes."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.held: dict[Path, bytes] = {}
        self.gone: set[Path] = set()

    def sequential(self) -> None:
        """One large file, synced."""
        body = os.urandom(MIB) * (64 if FULL else 8)
        self.hold(self.top / "large", body, sync=True)

    def at_random(self) -> None:
        """Pages written over at random places, synced at the end."""
        path = self.top / "pages"
        body = bytearray(os.urandom(4 * MIB))
        self.hold(path, bytes(body), sync=True)
        choose = random.Random(7)
        with path.open("r+b", buffering=0) as file:
            for _ in range(ROUNDS * 10):
                at, page = choose.randrange(1024) * 4096, os.urandom(4096)
                os.pwrite(file.fileno(), page, at)
                body[at : at + 4096] = page
            os.fsync(file.fileno())
        self.held[path] = bytes(body)

    def small(self) -> None:
        """Files made and closed, then some renamed, some removed."""
        (self.top / "small").mkdir()
        for number in range(ROUNDS * 10):
            path = self.top / "small" / f"f{number}"
            self.hold(path, os.urandom(4096))
            if number % 3 == 1:
                path.rename(path.with_suffix(".r"))
                self.held[path.with_suffix(".r")] = self.held.pop(path)
                self.gone.add(path)
            elif number % 3 == 2:
                path.unlink()
                del self.held[path]
                self.gone.add(path)

    def appends(self) -> None:
        """A log, synced after each line."""
        path, body = self.top / "log", b""
        with path.open("ab", buffering=0) as file:
            for number in range(ROUNDS * 5):
                line = b"%06d %s\n" % (number, b"x" * 92)
                file.write(line)
                os.fsync(file.fileno())
                body += line
                self.held[path] = body

    def tree(self) -> None:
        """A tree copied in, as tar does it."""
        source = Path(os.__file__).parent / "json"
        shutil.copytree(source, self.top / "tree")
        for path in source.rglob("*.py"):
            self.held[self.top / "tree" / path.relative_to(source)] = path.read_bytes()

    def hold(self, path: Path, body: bytes, *, sync: bool = False) -> None:
        """Write a file and note that it is acknowledged."""
        with path.open("wb") as file:
            file.write(body)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        self.held[path] = body

    def check(self) -> None:
        """Assert that all that was acknowledged is there, and nothing that was taken away."""
        for path, body in self.held.items():
            assert path.read_bytes() == body, f"{path} is not what was acknowledged"
        assert [path for path in self.gone if path.exists()] == []


STEPS = ("sequential", "at_random", "small", "appends", "tree")


@pytest.mark.parametrize("steps", [(step,) for step in STEPS] if FULL else [STEPS], ids="-".join)
def test_what_was_acknowledged_survives_keeper_and_bank_killed(
    lone_drive: Drive, folder: Path, steps: tuple[str, ...]
) -> None:
    work = Work(folder)
    for step in steps:
        getattr(work, step)()
    victims = [
        psutil.Process(pid) for pid in (lone_drive.keeper_pid(), lone_drive.server_pid(lone_drive.bases[0]))
    ]
    for victim in victims:
        lone_drive.kill(victim.pid)
    psutil.wait_procs(victims, timeout=10)
    lone_drive.wait_status(lambda told: told["keeper"]["pid"] not in (0, victims[0].pid))
    lone_drive.wait_healthy()
    drop_caches()
    work.check()
    lone_drive.trivet("verify", "--deep")
