"""The disks of a whole drive: real files, of which a power cut takes back what was not synced.

Rule: while a run lasts, `os` passes through here: every call may be the last one of its process, a sync may
fail, a write may be lost or go astray, there may be no room.
Rule: nothing of the machine shows through: how much room it has, when it collects garbage.
Rule: names (create, rename, unlink) are taken as safe at once; SQLite's own files lose the end of their log.
"""

import contextlib
import errno
import gc
import os
import random
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whole_loop import Killed, current

SECTOR_BYTES = 512
BLOCK_BYTES = 4096
ROOM_BYTES = 64 << 30


class Disk:
    """What is between one server and its files in `folder`."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.rng = rng
        self.crash_in: int | None = None
        self.fails_sync = self.is_full = False
        self.goes_wrong = ""
        self.fds: set[int] = set()
        self.databases: list[sqlite3.Connection] = []
        self._unsynced: dict[int, list[tuple[int, bytes, int]]] = {}

    def next_process(self) -> "Disk":
        """Return this disk for the process that is started next: what was not synced still is not."""
        disk = Disk(self.folder, self.rng)
        disk._unsynced, disk.is_full = self._unsynced, self.is_full
        return disk

    def forget(self, path: Any) -> None:
        """The file at `path` is removed; another one may get its number."""
        with contextlib.suppress(OSError):
            self._unsynced.pop(_real.lstat(path).st_ino, None)

    def wipe(self) -> None:
        """All files are gone."""
        self._unsynced.clear()

    def call(self) -> bool:
        """Count one call; tell whether the process dies in it."""
        if self.crash_in is None:
            return False
        self.crash_in -= 1
        return self.crash_in <= 0

    def before_write(self, fd: int, size: int, offset: int) -> None:
        """Remember what a write replaces, until a sync makes it safe."""
        status = _real.fstat(fd)
        old = _real.pread(fd, size, offset)
        self._unsynced.setdefault(status.st_ino, []).append((offset, old, status.st_size))

    def synced(self, fd: int) -> None:
        """Everything written to `fd` is safe."""
        self._unsynced.pop(_real.fstat(fd).st_ino, None)

    def cut_power(self, *, everything: bool = False) -> int:
        """Take back what was not synced (`everything`), or the later part of it; return how many writes."""
        taken = 0
        for path in sorted(self.folder.rglob("*")):
            writes = self._unsynced.get(path.lstat().st_ino) if path.is_file() else None
            if writes:
                keep = 0 if everything else self.rng.randrange(len(writes) + 1)
                fd = _real.open(path, os.O_RDWR)
                for offset, old, size in reversed(writes[keep:]):
                    torn = self.rng.randrange(0, len(old) + 1, SECTOR_BYTES) if old else 0
                    _real.pwrite(fd, old[torn:], offset + torn)
                    if _real.fstat(fd).st_size > size:
                        _real.ftruncate(fd, size)
                    taken += 1
                _real.close(fd)
        self._unsynced.clear()
        return taken

    def close_all(self) -> None:
        """Close what a dead process had open."""
        for database in self.databases:
            with contextlib.suppress(sqlite3.Error):
                database.close()
        self.databases.clear()
        for fd in self.fds:
            with contextlib.suppress(OSError):
                _real.close(fd)
        self.fds.clear()


class _Real:
    """The calls as they are without us."""

    names = (
        "open", "dup", "close", "pwrite", "pwritev", "pread", "fstat", "fsync", "fdatasync", "ftruncate",
        "rename", "unlink", "lstat", "statvfs", "fstatvfs",
    )  # fmt: skip

    def __init__(self) -> None:
        for name in self.names:
            setattr(self, name, getattr(os, name))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


_real: Any = _Real()


class _Stage:
    """Whether the run is over: then the remains of processes are cleared away, and do nothing any more."""

    is_over = False


def _disk() -> Disk | None:
    process = current.get()
    if _Stage.is_over:
        raise Killed
    if process is None:
        return None
    if not process.is_alive:
        raise Killed
    disk: Disk | None = getattr(process, "disk", None)
    return disk


def _die() -> None:
    process: Any = current.get()
    process.on_crash()
    raise Killed


def _open(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
    disk = _disk()
    if flags & os.O_ACCMODE == os.O_WRONLY:
        flags = flags & ~os.O_WRONLY | os.O_RDWR  # what a write replaces must be readable
    fd: int = _real.open(path, flags, mode, **options)
    if disk is not None:
        disk.fds.add(fd)
    return fd


def _dup(fd: int) -> int:
    disk = _disk()
    copy: int = _real.dup(fd)
    if disk is not None:
        disk.fds.add(copy)
    return copy


def _close(fd: int) -> None:
    if _Stage.is_over:
        return
    process: Any = current.get()
    disk: Disk | None = getattr(process, "disk", None)
    if disk is not None:
        if not process.is_alive or fd not in disk.fds:
            return  # closed when the process died, or not ours
        disk.fds.discard(fd)
    _real.close(fd)


def _pwrite(fd: int, data: Any, offset: int) -> int:
    return _pwritev(fd, [data], offset)


def _pwritev(fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
    disk = _disk()
    if disk is None:
        written: int = _real.pwritev(fd, buffers, offset)
        return written
    data = b"".join(bytes(buffer) for buffer in buffers)
    if disk.is_full and offset + len(data) > _real.fstat(fd).st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    disk.before_write(fd, len(data), offset)
    if disk.call():
        _real.pwrite(fd, data[: _cut(len(data), offset, disk.rng.randrange(len(data) + 1))], offset)
        _die()
    wrong, disk.goes_wrong = disk.goes_wrong, ""
    if wrong == "lost":
        return len(data)
    if wrong == "astray":
        offset += disk.rng.choice((-8, -1, 1, 4)) * 4096
    done: int = _real.pwrite(fd, data, max(offset, 0))
    return done


def _cut(size: int, offset: int, at: int) -> int:
    """Return how much of a write of `size` bytes a kill leaves behind that comes at byte `at` of it.

    A kernel looks for signals between two pages: within one it copies all.
    """
    return size if at == size else max(0, at - (offset + at) % BLOCK_BYTES)


def _sync(fd: int) -> None:
    disk = _disk()
    if disk is None:
        return
    if disk.fails_sync:
        disk.fails_sync = False
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    if disk.call():
        _die()
    disk.synced(fd)


def _rename(one: Any, other: Any, **options: Any) -> None:
    disk = _disk()
    if disk is not None and disk.call():
        _die()
    if disk is not None:
        disk.forget(other)
    _real.rename(one, other, **options)


def _unlink(path: Any, **options: Any) -> None:
    disk = _disk()
    if disk is not None and disk.call():
        _die()
    if disk is not None:
        disk.forget(path)
    _real.unlink(path, **options)


def _room(_place: Any) -> os.statvfs_result:
    """Return the same room on every machine, none on a full disk."""
    disk = _disk()
    free = 0 if disk is not None and disk.is_full else ROOM_BYTES // BLOCK_BYTES
    return os.statvfs_result((BLOCK_BYTES, BLOCK_BYTES, free, free, free, free, free, free, 0, 255))


def _connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
    disk = _disk()
    database = sqlite3.Connection(*arguments, **options)
    if disk is not None:
        disk.databases.append(database)
    return database


@contextlib.contextmanager
def simulated_disks() -> Iterator[None]:
    """Let `os` pass through the disk of whichever process runs, for the time of the block."""
    ours = {
        "open": _open, "dup": _dup, "close": _close, "pwrite": _pwrite, "pwritev": _pwritev, "fsync": _sync,
        "fdatasync": _sync, "rename": _rename, "unlink": _unlink, "statvfs": _room, "fstatvfs": _room,
    }  # fmt: skip
    for name, call in ours.items():
        setattr(os, name, call)
    real_connect, sqlite3.connect = sqlite3.connect, _connect
    gc.disable()  # what it finds runs where it is found, and when depends on what else this process did
    try:
        yield
    finally:
        gc.enable()
        sqlite3.connect = real_connect
        for name in ours:
            setattr(os, name, getattr(_real, name))


@contextlib.contextmanager
def nothing_counts() -> Iterator[None]:
    """While what is left of processes is cleared away, nothing it still tries to do happens."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    _Stage.is_over = True
    try:
        yield
        gc.collect()
    finally:
        _Stage.is_over = False
        sys.unraisablehook = before
