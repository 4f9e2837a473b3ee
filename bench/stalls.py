"""What faults cost people at work: a bank killed or hung in a 256 MiB write, refilled, two dead, two wrong.

Rule: a real drive with three banks of one server; a stall is the longest that one write(2) of 1 MiB took
from the fault on, beside the longest before it.
Usage: python bench/stalls.py [--mib 256] [--only killed,hung,dead,wrong]
"""

import argparse
import asyncio
import errno
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from xmlrpc.client import Binary, ServerProxy

import msgspec
import psutil

from fs_contestants import trivet_mount
from trivet.cli.status import drive_status
from trivet.io.volume_folder import VolumeFolder

MIB = 1 << 20
DEADLINE_S = 60.0
#: The limits of each figure, seconds.
LIMITS = {
    "killed bank: stall": 0.1,
    "hung bank: stall": 1.0,
    "hung bank: stall of the next write": 0.1,
    "bank back: refilled": 5.4,
    "two banks dead: a write is refused": 2.0,
}


class Drive:
    """The drive under `work`, driven from outside: status and signals."""

    def __init__(self, work: Path, mount: Path) -> None:
        self.state = work / "state"
        self.mount = mount
        self.bases = [bank["base"] for bank in self.status()["banks"]]

    def trivet(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a verb of the command line on this drive."""
        command = [sys.executable, "-m", "trivet", *words, "--state", str(self.state)]
        return subprocess.run(command, capture_output=True, text=True)

    def status(self) -> dict[str, Any]:
        """Return what `trivet status --json` tells, asked without a process of its own."""
        told: dict[str, Any] = msgspec.to_builtins(asyncio.run(drive_status(VolumeFolder(self.state))))
        return told

    def server(self, base: int) -> psutil.Process:
        """Return the process of the one server of the bank at `base`."""
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "bank" in words and str(base) in words and str(self.state) in words:
                return process
        raise OSError(f"the bank at {base} has no process")

    def wait(self, good: Callable[[dict[str, Any]], bool]) -> float:
        """Wait until status is `good`; return how long that took."""
        began = time.monotonic()
        while not good(told := self.status()):
            if time.monotonic() - began > DEADLINE_S:
                raise TimeoutError(f"status never came right: {told}")
            time.sleep(0.05)
        return time.monotonic() - began


def is_whole(told: dict[str, Any]) -> bool:
    """Tell whether every bank is up and has everything."""
    return bool(told["healthy"])


def has_repaired(total: int, told: dict[str, Any]) -> bool:
    """Tell whether `total` copies were mended so far."""
    return bool(told["repaired_total"] >= total)


def write(path: Path, mib: int, fault: Callable[[], None] | None = None) -> tuple[float, float, str]:
    """Write a file and sync it, with `fault` after a third; return the longest before, after, and more."""
    text = os.urandom(MIB)
    longest = [0.0, 0.0]
    began = time.monotonic()
    with path.open("wb", buffering=0) as file:
        for number in range(mib):
            if number == mib // 3 and fault is not None:
                fault()
            at = time.monotonic()
            file.write(number.to_bytes(8) + text[8:])
            after = int(number >= mib // 3)
            longest[after] = max(longest[after], time.monotonic() - at)
        at = time.monotonic()
        os.fsync(file.fileno())
        now = time.monotonic()
    rate = mib * MIB / 1e6 / (now - began)
    return *longest, f"longest before {longest[0]:.3f} s, fsync {now - at:.3f} s, {rate:.0f} MB/s"


def check_body(path: Path, mib: int) -> None:
    """Read a file back, past the kernel's cache; wrong bytes are an error."""
    drop_caches()
    tail = None
    with path.open("rb") as file:
        for number in range(mib):
            chunk = file.read(MIB)
            tail = tail or chunk[8:]
            if chunk != number.to_bytes(8) + tail:
                raise OSError(f"MiB {number} of {path} holds wrong bytes")


def drop_caches() -> None:
    """Let the kernel forget what it cached."""
    os.sync()
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")


def tell(figure: str, seconds: float, more: str = "") -> None:
    """Print a figure beside its limit."""
    limit = LIMITS.get(figure)
    verdict = "" if limit is None else f"{limit:8.1f} s  {'' if seconds <= limit else 'MISSED'}"
    print(f"{figure:44}{seconds:8.3f} s {verdict:20}{more}", flush=True)


def killed(drive: Drive, mib: int) -> None:
    """A bank's process dies in the middle of a write; its supervisor starts it again."""
    path = drive.mount / "killed"
    victim = drive.server(drive.bases[1])
    _, after, more = write(path, mib, lambda: victim.send_signal(signal.SIGKILL))
    tell("killed bank: stall", after, more)
    tell("killed bank: whole again", drive.wait(is_whole))
    check_body(path, mib)


def hung(drive: Drive, mib: int) -> None:
    """A bank hangs in the middle of a write, stays hung for another, and comes back."""
    path, next_path = drive.mount / "hung", drive.mount / "hung-next"
    victim = drive.server(drive.bases[1])
    try:
        _, after, more = write(path, mib, lambda: victim.send_signal(signal.SIGSTOP))
        tell("hung bank: stall", after, more)
        before, after, more = write(next_path, mib - mib * 2 // 3)
        tell("hung bank: stall of the next write", max(before, after), more)
    finally:
        victim.send_signal(signal.SIGCONT)
    tell("bank back: refilled", drive.wait(is_whole), f"{mib} MiB")
    for base in (drive.bases[0], drive.bases[2]):
        drive.trivet("stop", str(base))
    check_body(path, mib)
    for base in (drive.bases[0], drive.bases[2]):
        drive.trivet("start", str(base))
    drive.wait(is_whole)


def dead(drive: Drive, mib: int) -> None:
    """Two banks die for good: what is known is read on, a change is refused in time and never appears."""
    path = drive.mount / "known"
    write(path, mib)
    for base in drive.bases[1:]:
        drive.trivet("stop", str(base))
    refused, longest = [], 0.0
    for number in range(6):
        name = drive.mount / f"refused{number}"
        began = time.monotonic()
        try:
            with name.open("wb") as file:
                file.write(b"never acknowledged" * 10_000 * (number % 2 + 1))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            refused.append(name)
        else:
            raise OSError(f"{name} was acknowledged with one bank left")
        longest = max(longest, time.monotonic() - began)
    tell("two banks dead: a write is refused", longest)
    began = time.monotonic()
    check_body(path, mib)
    tell(f"two banks dead: {mib} MiB read, verified", time.monotonic() - began)
    for base in drive.bases[1:]:
        drive.trivet("start", str(base))
    drive.wait(is_whole)
    print(f"{'refused files that stand there after all':44}{sum(name.exists() for name in refused):8}")


def wrong(drive: Drive, mib: int) -> None:
    """Two of three copies of a body are replaced by the same wrong bytes; what is read must be right."""
    for name, body in (("page", os.urandom(3000)), ("blob", os.urandom(MIB // 2))):
        path = drive.mount / name
        path.write_bytes(body)
        drive.wait(is_whole)
        repaired = drive.status()["repaired_total"]
        for base in drive.bases[:2]:
            with ServerProxy(f"http://127.0.0.1:{base}/RPC2") as server:
                server.put(Binary(b"/" + name.encode()), Binary(b"WRONG" * 600), 1000)
        drop_caches()
        mended = functools.partial(has_repaired, repaired + 2)
        began = time.monotonic()
        if path.read_bytes() != body:
            raise OSError(f"{path} reads wrong")
        tell(f"two copies wrong, {name}: right bytes after", time.monotonic() - began)
        tell(f"two copies wrong, {name}: mended after", drive.wait(mended))


SCENES = {"killed": killed, "hung": hung, "dead": dead, "wrong": wrong}


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--only", default=",".join(SCENES))
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="trivet-bench-"))
    try:
        with trivet_mount(work, gateway=False) as mount:
            drive = Drive(work, mount)
            for name in options.only.split(","):
                SCENES[name](drive, options.mib)
    finally:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
