"""Public exercisers on the mount, on a healthy drive and on one whose bank is killed, back and corrupted.

TRIVET_EXERCISERS=faults has each work once under those faults, too, and =full makes them work long.
"""

import contextlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drive_under_test import Drive
from exercisers import EXERCISERS, FULL, WITH_FAULTS, command
from file_damage import speckle

pytestmark = [pytest.mark.mount, pytest.mark.timeout(900 if FULL else 120)]


def run(name: str, folder: Path) -> str:
    """Run an exerciser; it must find nothing wrong."""
    done = subprocess.run(command(name, folder), cwd=folder, capture_output=True, text=True, timeout=800)
    told = done.stdout + done.stderr
    assert done.returncode == 0, f"{name}: {told[-3000:]}"
    return told


@pytest.mark.parametrize("name", EXERCISERS)
def test_exerciser_finds_nothing_wrong(folder: Path, name: str) -> None:
    told = run(name, folder)
    if FULL:
        print(told[-2000:])


@pytest.mark.parametrize("name", EXERCISERS if WITH_FAULTS else ["fio"])
def test_exerciser_while_a_bank_is_killed_comes_back_and_is_corrupted(
    lone_drive: Drive, folder: Path, name: str
) -> None:
    command(name, folder)
    port = lone_drive.bases[1]
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        damage = pool.submit(_damage, lone_drive, port, ended)
        try:
            run(name, folder)
        finally:
            ended.set()
        damage.result()
    lone_drive.trivet("repair", "--apply", expect=None)
    lone_drive.wait_healthy(120)
    lone_drive.trivet("verify", "--deep")


def _damage(drive: Drive, port: int, ended: threading.Event) -> None:
    """Kill a server, let it come back, flip bytes of what it stores, and again until `ended`."""
    while not ended.is_set():
        drive.kill(drive.server_pid(port))
        drive.wait_status(lambda told: drive.server(port)["state"] == "up", 60)
        for path in (drive.state / f"bank-{port}" / f"server-{port}" / "segments").iterdir():
            with contextlib.suppress(FileNotFoundError):  # its last blob was deleted meanwhile
                speckle(path)
        ended.wait(3)
