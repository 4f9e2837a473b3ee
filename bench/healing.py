"""How a drive heals, and what people notice: a wiped or replaced server, a bank down, a scrub beside work.

Rule: real processes, a real mount; what is measured is what `trivet status --json` tells and what calls take.
Usage: python bench/healing.py [--mib 256] [--files 3000] [--seconds 10]
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil

from fs_contestants import trivet_mount
from fs_steps import MIB, PAGE_BYTES
from trivet.cli.status import drive_status
from trivet.io.volume_folder import VolumeFolder

POLL_S = 0.05
WITHIN_S = 110.0


def status(state: Path) -> dict[str, Any]:
    """Return what `trivet status --json` tells."""
    told: dict[str, Any] = msgspec.to_builtins(asyncio.run(drive_status(VolumeFolder(state))))
    return told


def wait(state: Path, good: Callable[[dict[str, Any]], bool]) -> float:
    """Wait until status is `good`; return when that was."""
    until = time.monotonic() + WITHIN_S
    while not good(told := status(state)):
        if time.monotonic() > until:
            raise TimeoutError(f"status never came right: {told}")
        time.sleep(POLL_S)
    return time.monotonic()


def server_process(state: Path, port: int) -> psutil.Process:
    """Return the process of the server on `port`."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(state) in words and str(port) in words and "bank" in words:
            return process
    raise LookupError(f"no server runs on port {port}")


def fill(mount: Path, mib: int, files: int) -> None:
    """Write small files and large ones."""
    block = random.Random(1).randbytes(MIB)
    (mount / "small").mkdir()
    for number in range(files):
        (mount / "small" / str(number)).write_bytes(block[: 500 + number % 3000])
    for number in range(mib // 64):
        with (mount / f"large{number}").open("wb") as file:
            for piece in range(64):
                file.write(bytes([number, piece]) + block[2:])
            os.fsync(file.fileno())


def wiped(state: Path) -> None:
    """Empty a server's folder and kill it; print when it counts again, and has all data."""
    told = status(state)
    first, server = (told["banks"][bank]["servers"][0] for bank in (0, 1))
    process = server_process(state, server["port"])
    process.send_signal(signal.SIGSTOP)
    shutil.rmtree(state / f"bank-{told['banks'][1]['base']}" / f"server-{server['port']}")
    process.kill()
    began = time.monotonic()

    def now(told: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = told["banks"][1]["servers"][0]
        return found

    def is_back(told: dict[str, Any]) -> bool:
        return now(told)["state"] == "up" and now(told)["pid"] != process.pid

    back_s = wait(state, is_back) - began
    etas: list[float] = []

    def has_all(told: dict[str, Any]) -> bool:
        if told["refill"] is not None and told["refill"]["left_s"] is not None:
            etas.append(told["refill"]["left_s"])
        return bool((now(told)["blobs"] or 0) >= first["blobs"] and told["refill"] is None)

    data_s = wait(state, has_all) - began
    size_mb = first["bytes"] / 1e6
    healthy_s = wait(state, lambda told: told["healthy"]) - began
    rate = size_mb / (data_s - back_s)
    print(f"wiped server: it has all records and counts again after {back_s:.1f} s,")
    print(f"  all {size_mb:.0f} MB {data_s:.1f} s ({rate:.0f} MB/s), healthy {healthy_s:.1f} s")
    print(f"  told to be left, at first and at last: {etas[:1]} {etas[-1:]} s", flush=True)


class Calls:
    """Times calls of one kind for some seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.took_s: list[float] = []
        self.failed = 0
        self._number = 0

    def work(self, seconds: float) -> None:
        """Write, rename, read and delete small files."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._number += 1
            name = self.folder / f"w{self._number}"
            for call in (
                lambda name=name: name.write_bytes(bytes(PAGE_BYTES)),
                lambda name=name: name.rename(f"{name}.r"),
                lambda name=name: Path(f"{name}.r").read_bytes(),
                lambda name=name: Path(f"{name}.r").unlink(),
            ):
                began = time.monotonic()
                try:
                    call()
                except OSError:
                    self.failed += 1
                self.took_s.append(time.monotonic() - began)

    def told(self) -> str:
        """Return the figures of what was timed."""
        ordered = sorted(self.took_s)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.99))
        longest = ordered[-1] * 1e3
        return (f"{len(ordered):,} calls, {self.failed} failed, "
                f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, longest {longest:.0f} ms")  # fmt: skip


def refilled(mount: Path, state: Path, seconds: float, verb: str) -> None:
    """Time calls beside a bank that is replaced, or given a server, and before and after; print how fast."""
    bank = status(state)["banks"][2]["base"]
    quiet, beside = Calls(mount), Calls(mount)
    quiet.work(seconds / 2)
    words = [sys.executable, "-m", "trivet", "bank", verb, str(bank), "--state", str(state)]
    subprocess.run(words, check=True, capture_output=True)
    rates: list[float] = []
    until = time.monotonic() + WITHIN_S
    while not (told := status(state))["healthy"] and time.monotonic() < until:
        beside.work(POLL_S * 4)
        if told["refill"] is not None:
            rates.append(told["refill"]["bytes_s"] / 1e6)
    quiet.work(seconds / 2)
    print(f"bank {verb}: filled at {', '.join(f'{rate:.0f}' for rate in rates[-1:])} MB/s")
    print(f"  before, after: {quiet.told()}")
    print(f"  beside it:     {beside.told()}", flush=True)


def bank_down(mount: Path, state: Path, seconds: float) -> None:
    """Time calls while a bank is killed, hung, and stopped."""
    port = status(state)["banks"][2]["servers"][0]["port"]
    words = [sys.executable, "-m", "trivet"]
    for what in ("killed", "hung", "stopped"):
        calls = Calls(mount)
        calls.work(0.5)
        process = server_process(state, port)
        if what == "stopped":
            subprocess.run(
                [*words, "stop", str(port), "--state", str(state)], check=True, capture_output=True
            )
        else:
            process.send_signal(signal.SIGKILL if what == "killed" else signal.SIGSTOP)
        calls.work(seconds / 2)
        if what == "hung":
            process.send_signal(signal.SIGCONT)
        if what == "stopped":
            subprocess.run(
                [*words, "start", str(port), "--state", str(state)], check=True, capture_output=True
            )
        calls.work(seconds / 2)
        print(f"bank {what}: {calls.told()}", flush=True)
        wait(state, lambda told: told["healthy"])


def scrub(mount: Path, state: Path, seconds: float) -> None:
    """Time calls with and without a scrub beside them, in turns."""
    words = [sys.executable, "-m", "trivet", "scrub"]
    quiet, beside = Calls(mount), Calls(mount)
    shares = []
    for _ in range(2):
        subprocess.run([*words, "pause", "--state", str(state)], check=True, capture_output=True)
        quiet.work(seconds / 2)
        for verb in ("resume", "now"):
            subprocess.run([*words, verb, "--state", str(state)], check=True, capture_output=True)
        before = status(state)["checks"]["scrubbed_bytes"]
        beside.work(seconds / 2)
        shares.append((status(state)["checks"]["scrubbed_bytes"] - before) / 1e6 / (seconds / 2))
    print(f"no scrub:     {quiet.told()}")
    print(f"deep scrub:   {beside.told()}; it read {', '.join(f'{share:.0f}' for share in shares)} MB/s")


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="trivet-bench-"))
    try:
        with trivet_mount(work, gateway=False) as mount:
            fill(mount, options.mib, options.files)
            wait(work / "state", lambda told: told["healthy"])
            wiped(work / "state")
            for verb in ("replace", "add"):
                refilled(mount, work / "state", options.seconds, verb)
            bank_down(mount, work / "state", options.seconds)
            scrub(mount, work / "state", options.seconds)
    finally:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
