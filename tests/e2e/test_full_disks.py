"""Disks without room: one bank full costs nobody anything, two are ENOSPC; what was stored stays."""

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drive_under_test import Drive, drop_caches

pytestmark = pytest.mark.mount
#: Two journal files of 64 MiB, and little more.
ROOM_MIB = 152
FILE_BYTES = 2 << 20
FILES_MAX = 60
FILLINGS_MAX, TOLD_WITHIN_S = 5, 10.0


@pytest.fixture
def small_disks(new_drive: Drive) -> Iterator[Drive]:
    """A drive whose second and third bank live on small disks of their own."""
    new_drive.up()
    new_drive.trivet("down")
    mounted: list[Path] = []
    try:
        for base in new_drive.bases[1:]:
            place = new_drive.state / f"bank-{base}"
            aside = new_drive.state / "aside"
            place.rename(aside)
            place.mkdir()
            options = ["-t", "tmpfs", "-o", f"size={ROOM_MIB}m"]
            if subprocess.run(["mount", *options, "none", place], capture_output=True).returncode:
                pytest.skip("mounting a small disk needs root")
            mounted.append(place)
            shutil.copytree(aside, place, dirs_exist_ok=True)
            shutil.rmtree(aside)
        new_drive.up()
        yield new_drive
        new_drive.trivet("down")
    except BaseException:
        print(new_drive.logs())
        raise
    finally:
        new_drive.trivet("down", expect=None)
        for place in mounted:
            subprocess.run(["umount", "-l", place], check=True)


def write(path: Path) -> bytes:
    """Write a file and have it synced; raises OSError when that can't be."""
    body = os.urandom(FILE_BYTES)
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    return body


def hog_of(drive: Drive, base: int) -> Path:
    """The file that takes the room of a bank."""
    return drive.state / f"bank-{base}" / "hog"


def hog(drive: Drive, base: int) -> None:
    """Take all the room that is left on the disk of a bank."""
    path = hog_of(drive, base)
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while os.statvfs(path).f_bavail:
            file.write(bytes(1 << 16))


def fill_up(drive: Drive, base: int, stored: dict[str, bytes]) -> None:
    """Take the room of a bank until a write finds none: what is trimmed meanwhile gives some of it back."""
    for _ in range(FILLINGS_MAX):
        hog(drive, base)
        stored["one-full"] = write(drive.folder / "one-full")
        until = time.monotonic() + TOLD_WITHIN_S
        while time.monotonic() < until:
            states = {bank["base"]: bank["servers"][0]["state"] for bank in drive.status()["banks"]}
            if states[base] == "full":
                return
            time.sleep(0.1)
    pytest.fail(f"bank {base} went on taking what there was no room for")


def write_until_refused(drive: Drive, stored: dict[str, bytes]) -> OSError:
    """Take the room of the second and third bank until a write fails; what succeeded meanwhile has to stay.

    A bank that trims its journal or removes what a file held before gets room back: a write may find it.
    """
    for attempt in range(FILLINGS_MAX):
        for base in drive.bases[1:]:
            hog(drive, base)
        name = f"two-full{attempt}"
        began = time.monotonic()
        try:
            stored[name] = write(drive.folder / name)
        except OSError as error:
            assert time.monotonic() - began < TOLD_WITHIN_S
            return error
    pytest.fail("two banks went on taking what there was no room for")


def test_full_disks_on_one_bank_and_on_two(small_disks: Drive) -> None:
    drive = small_disks
    stored = {f"before{n}": write(drive.folder / f"before{n}") for n in range(2)}

    # One bank without room: it degrades, the drive goes on.
    fill_up(drive, drive.bases[2], stored)
    assert drive.status()["healthy"] is False
    stored["small"] = b"small"
    (drive.folder / "small").write_bytes(stored["small"])
    os.mkdir(drive.folder / "folder")

    # Two banks without room: loud, and nothing that was stored goes.
    assert write_until_refused(drive, stored).errno == errno.ENOSPC
    drop_caches()
    check(drive, stored)
    (drive.folder / "before0").unlink()
    del stored["before0"]
    os.rename(drive.folder / "small", drive.folder / "renamed")
    stored["renamed"] = stored.pop("small")
    drive.kill(drive.keeper_pid())
    drive.wait_status(lambda told: told["keeper"]["slot"] is not None and "mounted" not in str(told["notes"]))
    check(drive, stored)
    assert not (drive.folder / "before0").exists()

    # Room again: everything heals, and can be written again.
    for base in drive.bases[1:]:
        hog_of(drive, base).unlink()
    drive.wait_healthy(60)
    stored["after"] = write(drive.folder / "after")
    drive.wait_healthy(60)
    drop_caches()
    check(drive, stored)
    drive.trivet("verify", "--deep")


def check(drive: Drive, stored: dict[str, bytes]) -> None:
    """Read everything; any wrong byte fails the test."""
    for name, body in stored.items():
        assert (drive.folder / name).read_bytes() == body, f"wrong bytes in {name}"
