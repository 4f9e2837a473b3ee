"""The folder of the keeper that stands by: read while the other leads, written once it leads itself.

Rule: the tests share a drive and come in any order: each begins with whoever leads, and leaves a pair.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from drive_under_test import Drive
from folders import assert_read_only, is_ours, waited_for
from keeper_pair import DEADLINE_S, Pair
from trivet.io.mount_table import find_mount
from trivet.wire.control_messages import Status

TAKEN_OVER_S = 12.0
BYTES = 1 << 20
pytestmark = [pytest.mark.mount, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A drive with a standby, for all tests of this module."""
    made = Pair(Drive(tmp_path_factory.mktemp("pair"), servers=1))
    try:
        made.drive.up("--standby")
        yield made
        made.settled()
    except BaseException:
        print(made.drive.logs())
        raise
    finally:
        made.drive.close()
    assert [find_mount(folder) for folder in made.folders.values()] == [None, None]


def both(pair: Pair) -> tuple[Status, Path, Path]:
    """Wait until both folders can be read; return the status, the one that leads, and the other."""
    told = pair.settled()
    leads, follows = pair.folder_of(told), other_of(pair, told)
    waited_for(lambda: is_readable(follows))
    return told, leads, follows


def other_of(pair: Pair, told: Status) -> Path:
    """Return the folder of the keeper that stands by."""
    return next(folder for name, folder in pair.folders.items() if name != told.keeper.name)


def is_readable(folder: Path) -> bool:
    """Tell whether a drive can be listed there."""
    try:
        return is_ours(folder) and bool(os.listdir(folder) or True)
    except OSError:
        return False


def can_write(file: Path) -> bool:
    """Try to write a file; tell whether that went well."""
    try:
        file.write_text("written")
    except OSError:
        return False
    return True


def test_it_is_read_at_once_and_never_changed(pair: Pair) -> None:
    _told, leads, follows = both(pair)
    (leads / "folder").mkdir()
    data = os.urandom(5 << 20)
    for number in range(3):
        content = data[number:]
        (leads / "folder" / "large").write_bytes(content)
        assert (follows / "folder" / "large").read_bytes() == content
    (leads / "folder" / "kept").write_text("kept")
    os.setxattr(leads / "folder" / "kept", "user.colour", b"blue")
    assert (follows / "folder" / "kept").read_text() == "kept"
    waited_for(lambda: sorted(os.listdir(follows / "folder")) == ["kept", "large"])
    assert (follows / "folder" / "large").stat().st_size == len(data) - 2
    assert os.getxattr(follows / "folder" / "kept", "user.colour") == b"blue"
    one, other = os.statvfs(leads), os.statvfs(follows)
    assert (one.f_blocks, one.f_bsize) == (other.f_blocks, other.f_bsize)
    told = subprocess.run(["df", follows], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1].startswith("trivet:")
    assert_read_only(follows / "folder")
    assert (leads / "folder" / "kept").read_text() == "kept"
    assert sorted(os.listdir(leads / "folder")) == ["kept", "large"]
    shutil.rmtree(leads / "folder")


class Reading:
    """Somebody who reads a file again and again; each of its contents is one number over and over."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.newest = self.count = self.failed = 0
        self.longest_s = 0.0
        self.wrong: list[str] = []
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def write(self, number: int) -> None:
        """Exchange the file, in the folder that leads, for one with another number."""
        folder = self.file.parent
        (folder / "next").write_bytes(content(number))
        (folder / "next").rename(folder / "contested")
        self.newest = number

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def end(self) -> None:
        """Read no more."""
        self.is_over.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "a read hangs"

    def _run(self) -> None:
        while not self.is_over.is_set():
            known, began = self.newest, time.monotonic()
            try:
                found = self.file.read_bytes()
                number = int(found[:8])
                if found != content(number) or number < known:
                    self.wrong.append(f"{len(found)} bytes, begin with {found[:8]!r}, {known} is known")
                self.count += 1
            except OSError:
                self.failed += 1
                time.sleep(0.001)
            self.longest_s = max(self.longest_s, time.monotonic() - began)


def content(number: int) -> bytes:
    """Return the content with a number."""
    return b"%08d" % number * (BYTES // 8)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_it_becomes_writable_at_the_takeover(pair: Pair, number: signal.Signals) -> None:
    """Who reads there meanwhile gets right bytes or an error, and the one that was followed is read then."""
    told, leads, follows = both(pair)
    (leads / "kept").write_text("kept")
    writing, reading = Reading(leads / "contested"), Reading(follows / "contested")
    writing.write(1)
    reading.newest = 1
    opened = os.open(follows / "contested", os.O_RDONLY)
    (leads / "gone").write_text("gone")
    reading.start()
    try:
        for version in range(2, 8):
            writing.write(version)
            reading.newest = version
        waited_for(lambda: reading.count > 3)
        pair.kill(told, number)
        took_s = waited_for(lambda: can_write(follows / "new"))
        count, now = reading.count, Reading(follows / "contested")
        now.write(8)
        reading.newest = 8
        waited_for(lambda: reading.count > count + 3)
        with contextlib.suppress(OSError):
            found = os.pread(opened, BYTES, 0)  # the kernel may have the first pages only
            assert found
            assert content(1).startswith(found)
    finally:
        with contextlib.suppress(OSError):  # of a mount that is gone
            os.close(opened)
        reading.end()
    print(
        number.name, "s until a file could be written:", took_s, "longest read", round(reading.longest_s, 2)
    )
    print("reads", reading.count, "failed", reading.failed)
    assert reading.wrong == []
    assert took_s < TAKEN_OVER_S
    assert reading.longest_s < DEADLINE_S
    assert (follows / "kept").read_text() == "kept"
    new, leads_now, follows_now = both(pair)
    assert (new.keeper.name, leads_now, follows_now) != (told.keeper.name, leads, follows)
    assert (follows_now / "contested").read_bytes() == content(8)
    assert_read_only(follows_now)
    for name in ("kept", "contested", "gone", "new"):
        (leads_now / name).unlink()


def test_killed_while_it_stands_by_it_is_back(pair: Pair) -> None:
    """What it leaves, a dead mount, is cleared by its next start; the one that leads notices nothing."""
    told, leads, follows = both(pair)
    assert told.standby is not None
    (leads / "kept").write_text("kept")
    gone = told.standby.pid
    pair.drive.kill(gone, signal.SIGKILL)
    pair.until(lambda told: told.standby is not None and told.standby.pid != gone)
    waited_for(lambda: is_readable(follows))
    assert (follows / "kept").read_text() == "kept"
    assert pair.settled().keeper.pid == told.keeper.pid
    assert mounts_on(follows) == ["trivet-guard", "trivet"]
    (leads / "kept").unlink()


def mounts_on(folder: Path) -> list[str]:
    """Return what is mounted there, one over the other, the topmost last."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return re.findall(r" - fuse\.(\S+) ", "\n".join(line for line in lines if f" {folder} " in line))


@pytest.mark.skipif(os.geteuid() != 0, reason="takes mounts away by hand")
def test_without_its_folder_it_stands_by_all_the_same(pair: Pair) -> None:
    """A folder that can't be mounted is told by `trivet status`, and mounted as soon as it can be."""
    told, leads, follows = both(pair)
    assert told.standby is not None
    while find_mount(follows) is not None:
        subprocess.run(["umount", "--lazy", follows], check=True)
    follows.rmdir()
    try:
        pair.until(lambda told: any(str(follows) in note for note in told.notes))
        assert f"{follows}, can't be read: " in pair.drive.trivet("status", expect=None).stdout
        (leads / "kept").write_text("kept")
    finally:
        follows.mkdir()
    again = both(pair)[0]
    assert again.standby is not None
    assert again.standby.pid == told.standby.pid
    assert psutil.Process(told.standby.pid).is_running()
    # Without the guard a takeover would leave the bare folder for a moment: what is written there is hidden.
    assert mounts_on(follows) == ["trivet-guard", "trivet"]
    assert (follows / "kept").read_text() == "kept"
    (leads / "kept").unlink()
