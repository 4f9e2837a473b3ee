"""A second mount of a drive, by a process without the keeper: what is done in one is seen in the other.

Rule: times are printed, never judged; what is to be seen is waited for.
"""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drive_under_test import COMMAND_DEADLINE_S, Drive
from folders import is_ours, waited_for
from trivet.io.mount_table import find_mount

FILES_BEFORE, FILES_AFTER = 5, 5
pytestmark = [pytest.mark.mount, pytest.mark.timeout(300)]


class Mounts:
    """A drive with its keeper's folder, `first`, and a `second` one."""

    def __init__(self, place: Path) -> None:
        self.drive = Drive(place, servers=1)
        self.first = self.drive.folder
        self.second = place / "second"
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Bring up the drive, then the second mount."""
        self.drive.up()
        words = ["serve", "mount", str(self.second), "--state", str(self.drive.state)]
        self._process = subprocess.Popen([sys.executable, "-m", "trivet", *words])
        waited_for(lambda: is_ours(self.second))

    def close(self) -> None:
        """End the second mount, then the drive; assert that both end in order."""
        code = None
        if self._process is not None:
            self._process.terminate()
            code = self._process.wait(COMMAND_DEADLINE_S)
        try:
            self.drive.close()
        finally:
            assert code == 0
            assert find_mount(self.second) is None


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounts]:
    """Two mounts of one drive, for all tests of this module."""
    made = Mounts(tmp_path_factory.mktemp("mounts"))
    try:
        made.up()
        yield made
    except BaseException:
        print(made.drive.logs())
        raise
    finally:
        made.close()


@pytest.mark.parametrize("way", ["to the second", "to the first"])
def test_what_is_done_in_one_is_seen_in_the_other(mounts: Mounts, way: str) -> None:
    here, there = (mounts.first, mounts.second) if way == "to the second" else (mounts.second, mounts.first)
    here, there = here / way, there / way
    assert not there.exists()
    here.mkdir()
    waited_for(there.is_dir)

    data = os.urandom(5 << 20)
    (here / "large").write_bytes(data)
    assert (there / "large").read_bytes() == data
    (here / "large").write_bytes(data[::-1])
    assert (there / "large").read_bytes() == data[::-1], "other bytes of the same size"

    (here / "log").write_text("one\n")
    for line in ("two\n", "three\n", "four\n"):
        here, there = there, here
        with (here / "log").open("a") as log:
            log.write(line)
    here, there = there, here
    assert (here / "log").read_text() == (there / "log").read_text() == "one\ntwo\nthree\nfour\n"

    (here / "log").rename(here / "renamed")
    took_s = {"rename": waited_for(lambda: sorted(os.listdir(there)) == ["large", "renamed"])}
    assert not (there / "log").exists()
    os.truncate(here / "renamed", 3)
    took_s["truncate"] = waited_for(lambda: (there / "renamed").stat().st_size == 3)
    assert (there / "renamed").read_text() == "one"
    (here / "renamed").chmod(0o640)
    os.symlink("renamed", here / "link")
    os.link(here / "renamed", here / "twice")
    os.setxattr(here / "renamed", "user.colour", b"blue")
    took_s["chmod"] = waited_for(lambda: stat.S_IMODE((there / "renamed").stat().st_mode) == 0o640)
    assert os.readlink(there / "link") == "renamed"
    assert (there / "twice").stat().st_ino == (there / "renamed").stat().st_ino
    assert os.getxattr(there / "renamed", "user.colour") == b"blue"
    (here / "large").unlink()
    took_s["unlink"] = waited_for(lambda: not (there / "large").exists())
    print(way, "seconds until seen:", took_s)


def test_a_file_that_is_not_closed(mounts: Mounts) -> None:
    """What is written is told to whoever asks, here at once, there soon; fsync and unlink are as ever."""
    mine, theirs = mounts.second / "open", mounts.first / "open"
    with mine.open("w+b", buffering=0) as file:
        file.write(b"a" * 10)
        assert mine.stat().st_size == os.fstat(file.fileno()).st_size == 10
        assert theirs.read_bytes() == b"a" * 10
        file.write(b"b" * 9)
        took_s = waited_for(lambda: theirs.stat().st_size == 19)
        print("seconds until unclosed bytes are seen:", took_s)
        file.write(b"b")
        os.fsync(file.fileno())
        assert theirs.read_bytes() == b"a" * 10 + b"b" * 10
        theirs.unlink()
        waited_for(lambda: not mine.exists())
        file.write(b"c")
        assert os.pread(file.fileno(), 3, 19) == b"bc"
        assert os.fstat(file.fileno()).st_nlink == 0


def test_errors_are_those_of_the_first(mounts: Mounts) -> None:
    (mounts.first / "folder").mkdir()
    (mounts.first / "folder" / "file").write_text("x")
    told = [errors_in(folder) for folder in (mounts.first, mounts.second)]
    assert told[0] == told[1] == ["ENOTEMPTY", "EEXIST", "ENOTDIR", "ENOENT", "ENAMETOOLONG", "ENODATA"]


def errors_in(folder: Path) -> list[str]:
    """Return how a folder refuses what can't be done."""
    attempts: list[Callable[[], object]] = [
        (folder / "folder").rmdir,
        (folder / "folder").mkdir,
        lambda: (folder / "folder" / "file" / "below").write_text("x"),
        (folder / "nothing").unlink,
        lambda: (folder / ("x" * 256)).write_text("x"),
        lambda: os.getxattr(folder / "folder", "user.none"),
    ]
    found = []
    for attempt in attempts:
        try:
            attempt()
        except OSError as error:
            found.append(errno.errorcode[error.errno or 0])
    return found


def test_keeper_dies_while_the_second_mount_writes(mounts: Mounts) -> None:
    """What was closed is there once, and who writes notices nothing but the wait."""
    folder = mounts.second / "while it dies"
    folder.mkdir()
    closed: dict[str, bytes] = {}
    failed: list[OSError] = []
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set() and not failed:
            name, data = f"file-{len(closed)}", os.urandom(100 + 70_000 * (len(closed) % 3))
            with contextlib.ExitStack() as stack:
                try:
                    file = stack.enter_context((folder / f"new-{name}").open("xb"))
                    file.write(data)
                    file.close()
                    (folder / f"new-{name}").rename(folder / name)
                    closed[name] = data
                except OSError as error:
                    failed.append(error)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        waited_for(lambda: len(closed) >= FILES_BEFORE or bool(failed))
        mounts.drive.kill(mounts.drive.keeper_pid(), signal.SIGKILL)
        enough = len(closed) + FILES_AFTER
        print("seconds until it went on:", waited_for(lambda: len(closed) >= enough or bool(failed)))
    finally:
        is_over.set()
        writing.join()
    assert not failed
    waited_for(lambda: is_ours(mounts.first) and os.path.isdir(mounts.first / folder.name))
    for where in (mounts.second, mounts.first):
        found = {path.name: path.read_bytes() for path in (where / folder.name).iterdir()}
        assert found == closed
