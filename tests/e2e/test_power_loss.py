"""Power is lost, really: of one bank's disk, of two, of the whole machine; what fsync acknowledged is there.

Rule: how often says `TRIVET_POWER_LOSSES` (5); the rounds take turns at what loses power, `TRIVET_SEED` says
when.
"""

import contextlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from drive_under_test import Drive
from loop_disk import LoopDisk

pytestmark = [
    pytest.mark.mount,
    pytest.mark.timeout(60 + 40 * int(os.environ.get("TRIVET_POWER_LOSSES", "5"))),
]
LOSSES = int(os.environ.get("TRIVET_POWER_LOSSES", "5"))
SEED = int(os.environ.get("TRIVET_SEED", "1"))
pytestmark = [pytest.mark.mount, pytest.mark.timeout(60 + 40 * LOSSES)]
BANK_MIB = 1024
Machine = tuple[Drive, LoopDisk, dict[int, LoopDisk]]


class Writer(threading.Thread):
    """Writes one file after the other, every third synced; knows what was acknowledged as durable."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.rng = rng
        self.written: list[tuple[str, bytes]] = []
        self.acknowledged = self.durable = 0
        self.failure: OSError | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        self.folder.mkdir()
        try:
            while not self.ended.is_set():
                self._write_one()
        except OSError as error:
            self.failure = error

    def _write_one(self) -> None:
        name = f"{len(self.written):05d}"
        body = self.rng.randbytes(self.rng.choice([10, 4000, 70_000, 400_000]))
        self.written.append((name, body))
        with (self.folder / f"{name}.part").open("wb") as file:
            file.write(body)
            if len(self.written) % 3 == 0:
                file.flush()
                os.fsync(file.fileno())
        os.rename(self.folder / f"{name}.part", self.folder / name)
        self.acknowledged = len(self.written)
        if len(self.written) % 3 == 0:
            folder = os.open(self.folder, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
            self.durable = len(self.written)

    def wait_durable(self, count: int) -> None:
        """Return once `count` files were acknowledged as durable."""
        until = time.monotonic() + 60
        while self.durable < count:
            assert self.failure is None, self.failure
            assert time.monotonic() < until, "the drive stands still"
            time.sleep(0.005)

    def end(self) -> None:
        self.ended.set()
        self.join(60)
        assert not self.is_alive()

    def assert_kept(self) -> None:
        """What was durable is there; of what came after it a prefix, the last one maybe half done."""
        found = sorted(os.listdir(self.folder))
        whole = [name for name in found if not name.endswith(".part")]
        assert whole == [name for name, _ in self.written[: len(whole)]], "not a prefix"
        assert len(found) - len(whole) <= 1
        assert len(whole) >= self.durable, f"{len(whole)} of {self.durable} durable files"
        for name, body in self.written[: self.durable]:
            assert (self.folder / name).read_bytes() == body, f"wrong bytes in {name}"


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    """A drive whose state lies on a disk of its own, and each bank on a further one."""
    place = tmp_path_factory.mktemp("machine")
    drive = Drive(place, servers=1)
    disks: list[LoopDisk] = []
    try:
        try:
            disks.append(LoopDisk(place / "state.img", drive.state, 64))
            drive.trivet("volume", "init", "--servers", "1", "--ports", ",".join(map(str, drive.bases)))
            disks.extend(
                LoopDisk(place / f"{b}.img", drive.state / f"bank-{b}", BANK_MIB) for b in drive.bases
            )
        except subprocess.CalledProcessError as error:
            pytest.skip(f"an ext4 in a file can't be mounted here: {error.stderr}")
        drive.up()
        yield drive, disks[0], dict(zip(drive.bases, disks[1:], strict=True))
        drive.trivet("down")
    except BaseException:
        print(drive.logs())
        raise
    finally:
        drive.trivet("down", expect=None)
        for disk in reversed(disks):
            disk.unmount()


def lose(drive: Drive, disks: dict[int, LoopDisk], bases: list[int]) -> None:
    """Cut the power of banks: their disks at once, their servers right after; then bring them back."""
    servers = [psutil.Process(drive.server_pid(base)) for base in bases]
    for base in bases:
        disks[base].cut_power()
    end_all(servers)
    for base in bases:
        drive.trivet("stop", str(base))
        disks[base].unmount()
        disks[base].mount()
        drive.trivet("start", str(base))


def end_all(victims: list[psutil.Process]) -> None:
    """Kill processes; some have ended by themselves: they met a dead disk, or followed their supervisor."""
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()


def lose_all(drive: Drive, state: LoopDisk, disks: dict[int, LoopDisk]) -> None:
    """Cut the power of the machine, and switch it on again."""
    victims = drive.processes()
    for disk in [*disks.values(), state]:
        disk.cut_power()
    end_all(victims)
    subprocess.run(["umount", "-l", drive.folder], check=True)
    for disk in [*disks.values(), state]:
        disk.unmount()
    for disk in [state, *disks.values()]:
        disk.mount()
    drive.up()


def test_power_is_lost(machine: Machine) -> None:
    drive, state, disks = machine
    rng = random.Random(SEED)
    for number in range(LOSSES):
        what = ["machine", "bank", "machine", "two banks", "machine"][number % 5]
        writer = Writer(drive.folder / f"{number}-{what}", random.Random(rng.random()))
        writer.start()
        writer.wait_durable(rng.randrange(3, 60))
        time.sleep(rng.random() * 0.05)  # any moment of a write: nothing is waited for
        if what == "machine":
            lose_all(drive, state, disks)
            writer.end()
        else:
            lose(drive, disks, rng.sample(drive.bases, 1 if what == "bank" else 2))
            writer.end()
            # One bank less is no error, two less may be; the keeper lives: all that it acknowledged is there.
            assert writer.failure is None or what == "two banks", f"{what}: {writer.failure}"
            writer.durable = writer.acknowledged
        drive.wait_healthy(60)
        writer.assert_kept()
    drive.trivet("verify", "--deep")
