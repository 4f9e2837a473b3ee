"""A bank that hangs in the middle of a write: nobody waits for it, and it is filled when it comes back.

When all hang, as on a machine that has no time for them, they are waited for.
"""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drive_under_test import Drive

pytestmark = pytest.mark.mount
MIB = 1 << 20
LONGEST_S = 2.0  # 1 s on a machine of its own (bench/stalls.py)
FILLED_WITHIN_S = 20.0
ALL_HANG_S = 3.0


def test_nobody_waits_for_a_bank_that_hangs(lone_drive: Drive, folder: Path) -> None:
    hung = lone_drive.bases[1]
    pid = lone_drive.server_pid(hung)
    bodies = [os.urandom(MIB) for _ in range(24)]
    longest_s = 0.0
    path = folder / "large"
    try:
        with path.open("wb", buffering=0) as file:
            for number, body in enumerate(bodies):
                if number == 8:
                    lone_drive.kill(pid, signal.SIGSTOP)
                began = time.monotonic()
                file.write(body)
                longest_s = max(longest_s, time.monotonic() - began)
            os.fsync(file.fileno())
        lone_drive.wait_status(lambda told: told["banks"][1]["servers"][0]["state"] == "hung")
        began = time.monotonic()
        (folder / "small").write_bytes(b"small")
        longest_s = max(longest_s, time.monotonic() - began)
        assert lone_drive.status()["healthy"] is False
    finally:
        lone_drive.kill(pid, signal.SIGCONT)
    assert longest_s < LONGEST_S
    lone_drive.wait_healthy(FILLED_WITHIN_S)
    lone_drive.trivet("verify")
    assert path.read_bytes() == b"".join(bodies)


def test_banks_that_all_hang_are_waited_for(lone_drive: Drive, folder: Path) -> None:
    pids = [lone_drive.server_pid(base) for base in lone_drive.bases]
    body = os.urandom(MIB)

    def write() -> None:
        with (folder / "large").open("wb", buffering=0) as file:
            file.write(body)
            os.fsync(file.fileno())

    with ThreadPoolExecutor(2) as people:
        try:
            for pid in pids:
                lone_drive.kill(pid, signal.SIGSTOP)
            changes = [people.submit(write), people.submit((folder / "made").mkdir)]
            time.sleep(ALL_HANG_S)  # longer than writers wait for banks that are gone
            assert not any(change.done() for change in changes)
        finally:
            for pid in pids:
                lone_drive.kill(pid, signal.SIGCONT)
        for change in changes:
            change.result(FILLED_WITHIN_S)
    assert (folder / "large").read_bytes() == body
    assert (folder / "made").is_dir()
    lone_drive.wait_healthy(FILLED_WITHIN_S)
    lone_drive.trivet("verify")
