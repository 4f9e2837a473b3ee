"""What several programs share on the mount: locks, maps, appended lines, and a directory that changes."""

import ctypes
import errno
import fcntl
import mmap
import multiprocessing
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.mount
BIG_DIRECTORY = int(os.environ.get("TRIVET_BIG_DIRECTORY", "500"))


def in_child(work: Callable[[], object]) -> int:
    """Do `work` in another process; return the errno it failed with, 0 for none."""
    pid = os.fork()
    if pid == 0:
        number = 99
        try:
            work()
            number = 0
        except OSError as error:
            number = error.errno or 99
        finally:
            os._exit(number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("how", ["fcntl", "OFD", "flock"])
def test_locks_hold_among_processes(folder: Path, how: str) -> None:
    path = folder / "f"
    path.write_bytes(b"0123456789")

    def lock(file: int, kind: int = fcntl.F_WRLCK) -> None:
        if how == "flock":
            fcntl.flock(file, (fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            command = fcntl.F_SETLK if how == "fcntl" else getattr(fcntl, "F_OFD_SETLK", 37)
            fcntl.fcntl(file, command, struct.pack("hhqqi4x", kind, 0, 2, 3, 0))

    def other() -> None:
        with path.open("r+b") as mine:
            lock(mine.fileno())

    with path.open("r+b") as file:
        lock(file.fileno())
        assert in_child(other) in (errno.EAGAIN, errno.EACCES)
        lock(file.fileno(), fcntl.F_UNLCK)
        assert in_child(other) == 0


def test_maps_are_shared_or_private(folder: Path) -> None:
    path = folder / "f"
    path.write_bytes(b"a" * 10_000)
    with path.open("r+b") as file:
        with (
            mmap.mmap(file.fileno(), 0) as shared,
            mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as own,
        ):
            shared[5000:5003] = b"new"
            own[0:3] = b"own"
            assert in_child(lambda: shared.__setitem__(slice(0, 2), b"zz")) == 0
            assert shared[0:3] == b"zza"
            assert own[0:3] == b"own"
            shared.flush()
        assert os.pread(file.fileno(), 3, 5000) == b"new"
    assert path.read_bytes() == b"zz" + b"a" * 4998 + b"new" + b"a" * 4997


def _append(path: Path, who: int) -> None:
    with path.open("ab", buffering=0) as file:
        for turn in range(100):
            file.write(b"%d %d\n" % (who, turn))


def test_several_processes_append(folder: Path) -> None:
    path = folder / "log"
    workers = [
        multiprocessing.get_context("fork").Process(target=_append, args=(path, who)) for who in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    lines = path.read_bytes().splitlines()
    assert sorted(lines) == sorted(b"%d %d" % (who, turn) for who in range(4) for turn in range(100))


class _Dirent(ctypes.Structure):
    _fields_ = (
        ("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("length", ctypes.c_uint16),
        ("kind", ctypes.c_ubyte), ("name", ctypes.c_char * 256),
    )  # fmt: skip


def test_listing_goes_on_where_it_was_while_names_come_and_go(folder: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.restype = ctypes.POINTER(_Dirent)
    libc.telldir.restype = ctypes.c_long
    stay = {b"stay%d" % n for n in range(BIG_DIRECTORY)}
    for name in stay | {b"go%d" % n for n in range(200)}:
        os.mknod(os.fsencode(folder) + b"/" + name)
    handle = ctypes.c_void_p(libc.opendir(os.fsencode(folder)))

    def names(limit: int = -1) -> list[bytes]:
        found = []
        while len(found) != limit and (entry := libc.readdir(handle)):
            found.append(bytes(entry.contents.name))
        return found

    first = names(200)
    place = libc.telldir(handle)
    for n in range(200):
        os.unlink(folder / f"go{n}")
        os.mknod(folder / f"come{n}")
    rest = names()
    told = [name for name in first + rest if name in stay]
    assert sorted(told) == sorted(stay), "what is there all the time is told exactly once"
    libc.seekdir(handle, ctypes.c_long(place))
    again = names()
    assert [name for name in again if name in stay] == [name for name in rest if name in stay]
    libc.rewinddir(handle)
    fresh = set(names())
    libc.closedir(handle)
    assert fresh == stay | {b".", b".."} | {b"come%d" % n for n in range(200)}
