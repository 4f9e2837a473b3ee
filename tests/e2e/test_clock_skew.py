"""Clocks at another rate than the rest, a bank's and the keeper's: nothing is lost, and status says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drive_under_test import Drive

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif("TRIVET_CLOCK_SKEWS" not in os.environ, reason="takes long: in `make faults` only"),
]


def skewed(rate: str) -> dict[str, str]:
    """Return an environment whose processes see every clock run at `rate`."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("shifting the clock needs the Debian package libfaketime")
    return {**os.environ, "LD_PRELOAD": str(libraries[0]), "FAKETIME": f"+0 x{rate}"}


def start(drive: Drive, *words: str, rate: str) -> "subprocess.Popen[bytes]":
    """Start one process of the drive by hand, with a clock of its own."""
    command = [sys.executable, "-m", "trivet", "serve", *words, "--state", str(drive.state)]
    return subprocess.Popen(command, env=skewed(rate))


def write_and_read(drive: Drive, name: str) -> None:
    body = os.urandom(300_000)
    with (drive.folder / name).open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    assert (drive.folder / name).read_bytes() == body


def test_clocks_of_a_bank_and_of_the_keeper_run_wrong(new_drive: Drive) -> None:
    skewed("1")
    new_drive.up("--no-supervise")
    fast = new_drive.bases[2]
    new_drive.trivet("stop", str(fast))
    with start(new_drive, "bank", "--port", str(fast), rate="1.5") as bank:
        try:
            wait_note(new_drive, f"the clock of server {fast} runs 1.")
            assert new_drive.status()["healthy"] is False
            write_and_read(new_drive, "one")
        finally:
            bank.terminate()
    new_drive.trivet("start", str(fast))
    new_drive.wait_healthy()
    new_drive.kill(new_drive.keeper_pid())
    with start(new_drive, "keeper", "--mount", str(new_drive.folder), rate="2") as keeper:
        try:
            wait_note(new_drive, "the keeper's clock runs")
            write_and_read(new_drive, "two")
        finally:
            keeper.terminate()
            keeper.wait(30)


def wait_note(drive: Drive, words: str) -> None:
    """Wait until status says it."""
    drive.wait_status(lambda told: any(words in note for note in told["notes"]))
