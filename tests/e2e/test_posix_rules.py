"""Rules of file systems that random sequences don't reach: time of access, locks, maps, listings."""

import ctypes
import errno
import mmap
import os
import shutil
import stat
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from file_calls import Caller, as_caller

pytestmark = pytest.mark.mount
DAY_NS = 86_400 * 10**9
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def after_a_tick() -> None:
    """Let the clock go on, so that what happens next has a later time."""
    began = time.time_ns()
    while time.time_ns() < began + 20_000_000:
        time.sleep(0.005)


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_reading_renews_the_time_of_access_as_relatime_says(folder: Path, kind: str) -> None:
    path = folder / "it"
    read: dict[str, Callable[[], object]] = {
        "file": lambda: path.read_bytes(),
        "directory": lambda: os.listdir(path),
        "link": lambda: os.readlink(path),
    }
    {"file": lambda: path.write_text("a"), "directory": path.mkdir, "link": lambda: path.symlink_to("b")}[
        kind
    ]()

    def atime() -> int:
        return os.lstat(path).st_atime_ns

    made = atime()
    after_a_tick()
    read[kind]()
    first = atime()
    assert first > made, "not read since the last change"
    after_a_tick()
    read[kind]()
    assert atime() == first, "read a moment ago, and unchanged since"
    old = time.time_ns() - 2 * DAY_NS
    os.utime(path, ns=(old, old - DAY_NS), follow_symlinks=False)
    after_a_tick()
    read[kind]()
    assert atime() > old, "changed since (ctime)"


def test_time_of_access_after_a_write_through_the_kernels_pages(folder: Path) -> None:
    path = folder / "f"
    path.write_bytes(b"one")
    after_a_tick()
    path.read_bytes()
    after_a_tick()
    with path.open("ab") as file:
        file.write(b"two")
    after_a_tick()
    before = path.stat().st_atime_ns
    assert path.read_bytes() == b"onetwo"
    assert path.stat().st_atime_ns > before


def test_blocks_tell_holes(folder: Path) -> None:
    path = folder / "f"
    path.touch()
    os.truncate(path, 1 << 44)
    assert path.stat().st_blocks == 0
    with path.open("r+b") as file:
        file.seek(5 << 30)
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())
    assert 8 <= path.stat().st_blocks <= 2048
    dense = folder / "dense"
    dense.write_bytes(b"x" * 3_000_001)
    assert dense.stat().st_blocks == -(-3_000_001 // 4096) * 8


def test_files_end_at_16_tib(folder: Path) -> None:
    with (folder / "f").open("w+b") as file:
        os.pwrite(file.fileno(), b"end", (1 << 44) - 3)
        assert os.pread(file.fileno(), 10, (1 << 44) - 5) == b"\0\0end"
        with pytest.raises(OSError, match="too large") as refused:
            os.pwrite(file.fileno(), b"x", 1 << 44)
        assert refused.value.errno == errno.EFBIG
        assert os.lseek(file.fileno(), 0, os.SEEK_END) == 1 << 44


def test_links_count_right_at_once(folder: Path) -> None:
    path = folder / "f"
    path.touch()
    other = folder / "d"
    other.mkdir()
    for turn in range(20):
        name = other / f"l{turn}"
        os.link(path, name)
        assert (path.stat().st_nlink, name.stat().st_nlink) == (turn + 2, turn + 2)
        (other / f"d{turn}").mkdir()
        assert other.stat().st_nlink == turn + 3
    with path.open("rb") as file:
        for turn in range(20):
            os.rename(other / f"l{turn}", other / "last")
            assert os.fstat(file.fileno()).st_nlink == path.stat().st_nlink
            (other / f"d{turn}").rmdir()
            assert other.stat().st_nlink == 21 - turn
        assert path.stat().st_nlink == 21, "renaming one name of a file over another does nothing"
        path.unlink()
        assert os.fstat(file.fileno()).st_nlink == 20


def test_holes_are_not_told_and_space_is_not_set_aside(folder: Path) -> None:
    with (folder / "f").open("w+b") as file:
        fd = file.fileno()
        os.ftruncate(fd, 1 << 20)
        assert os.lseek(fd, 4096, os.SEEK_DATA) == 4096, "no holes are told: all of it counts as data"
        assert os.lseek(fd, 4096, os.SEEK_HOLE) == 1 << 20
        libc = ctypes.CDLL(None, use_errno=True)
        for mode in (0, 1, 3):
            assert libc.fallocate(fd, mode, ctypes.c_longlong(0), ctypes.c_longlong(4096)) == -1
            assert ctypes.get_errno() == errno.EOPNOTSUPP
        os.posix_fallocate(fd, 1 << 20, 4096)  # the C library writes zeros instead
        assert os.fstat(fd).st_size == (1 << 20) + 4096


def test_direct_and_synchronous_writes(folder: Path) -> None:
    path = folder / "f"
    block = mmap.mmap(-1, 8192)
    block.write(b"d" * 8192)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_SYNC)
    try:
        assert os.pwrite(fd, block, 4096) == 8192
        into = mmap.mmap(-1, 4096)
        assert os.preadv(fd, [into], 8192) == 4096
        assert into[:] == b"d" * 4096
    finally:
        os.close(fd)
    assert path.read_bytes() == bytes(4096) + b"d" * 8192


def test_what_is_refused_says_so(folder: Path) -> None:
    with pytest.raises(OSError, match="not supported") as refused:
        os.open(folder, os.O_TMPFILE | os.O_RDWR)
    assert refused.value.errno == errno.EOPNOTSUPP
    path = folder / "f"
    path.touch()
    acl = struct.pack("<IHHIHHIHHI", 2, 1, 6, 0xFFFFFFFF, 4, 4, 0xFFFFFFFF, 32, 4, 0xFFFFFFFF)
    with pytest.raises(OSError, match="not supported"):
        os.setxattr(path, "system.posix_acl_access", acl)


@needs_root
def test_device_nodes_and_set_user_id_programs_work(folder: Path) -> None:
    os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (folder / "null").write_text("away")
    program = folder / "id"
    shutil.copyfile("/usr/bin/id", program)
    program.chmod(0o4755)
    folder.chmod(0o755)
    fd = os.open(program, os.O_PATH)
    try:
        done = subprocess.run(
            [f"/proc/self/fd/{fd}", "-u"],
            user=1001,
            pass_fds=[fd],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        os.close(fd)
    assert done.stdout.strip() == "0"


@needs_root
def test_attributes_of_the_system_are_hidden_from_others(folder: Path) -> None:
    path = folder / "f"
    path.touch()
    os.setxattr(path, "trusted.t", b"1")
    os.setxattr(path, "user.u", b"2")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert sorted(os.listxattr(fd)) == ["trusted.t", "user.u"]
        with as_caller(Caller(1001, 1001)):
            assert os.listxattr(fd) == ["user.u"]
    finally:
        os.close(fd)
