"""System calls on files that Python does not offer whole, and doing them as somebody else."""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_LIBC = ctypes.CDLL(None, use_errno=True)


class Caller(NamedTuple):
    """Who does an operation: effective user and group, and the other groups of that user."""

    uid: int
    gid: int
    groups: Sequence[int] = ()


ROOT = Caller(0, 0)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_long))


@contextmanager
def as_caller(caller: Caller) -> Iterator[None]:
    """Be `caller` for the time of the block; only root can."""
    if caller == ROOT:
        yield
        return
    groups = os.getgroups()
    os.setgroups(caller.groups)
    os.setegid(caller.gid)
    os.seteuid(caller.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def renameat2(path: bytes, new: bytes, flags: int) -> None:
    """Rename, with flags."""
    _check(_LIBC.renameat2(_AT_FDCWD, path, _AT_FDCWD, new, flags))


def utimensat(path: bytes, atime: tuple[int, int], mtime: tuple[int, int], follow: bool) -> None:
    """Set times, each (seconds, nanoseconds or UTIME_NOW or UTIME_OMIT)."""
    times = (_Timespec * 2)(atime, mtime)
    _check(_LIBC.utimensat(_AT_FDCWD, path, times, 0 if follow else _AT_SYMLINK_NOFOLLOW))


def futimens(fd: int, atime: tuple[int, int], mtime: tuple[int, int]) -> None:
    """Set times of what is open."""
    _check(_LIBC.futimens(fd, (_Timespec * 2)(atime, mtime)))


def _check(answer: int) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), "")
