"""What the bank needs of a Linux disk and Python's os module lacks: holes, room ahead, whole writes.

Rule: an OSError leaves here as it is; whoever owns the file knows what a failed write means for it.
"""

import contextlib
import ctypes
import ctypes.util
import errno
import os
from collections.abc import Generator, Sequence
from pathlib import Path

import psutil

_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2
_BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_fallocate = _libc.fallocate
_renameat2 = _libc.renameat2
_renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
_AT_FDCWD = -100
_BLOCK_BYTES = 512
_AHEAD_BYTES = 4 << 20
_RENAME_EXCHANGE = 2
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def boot_id() -> str:
    """Return what tells one run of the kernel from the next."""
    return _BOOT_ID_PATH.read_text().strip()


def write_whole(fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
    """Write all of `buffers` at `offset`, however often the kernel stops short; return the bytes written."""
    total = sum(map(len, buffers))
    written = os.pwritev(fd, buffers, offset)
    if written == total:
        return total
    rest = memoryview(b"".join(buffers))
    while written < total:
        written += os.pwrite(fd, rest[written:], offset + written)
    return total


def reserve(fd: int, size: int) -> None:
    """Let the file have `size` bytes with blocks of their own, reading as zeros where nothing was written.

    Without enough room nothing is taken: a try that fails half way would leave others none meanwhile.
    """
    disk = os.fstatvfs(fd)
    if disk.f_bavail * disk.f_frsize < size - os.fstat(fd).st_blocks * _BLOCK_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.posix_fallocate(fd, 0, size)


def read_ahead(path: Path) -> Generator[None, None, None]:
    """Have the kernel read a file, a few MiB a step, in the order the disk has it.

    For who then reads all of it in another order: a page here and a page there takes ten times as long. A
    file that would take more than half of the memory that is free is left alone, and one that is gone or
    can't be read is left to who then reads it: this is a hint.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        if size > psutil.virtual_memory().available // 2:
            return
        for at in range(0, size, _AHEAD_BYTES):
            os.posix_fadvise(fd, at, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
            if at:  # once the step before is there: others wait for the disk, too
                os.pread(fd, 1, at - 1)
            yield


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Give the blocks of a range back; it reads as zeros afterwards.

    Where the file system can't punch holes the first block is written over, so that the range is empty
    for whoever reads its beginning.
    """
    flags = _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE
    if _fallocate(fd, flags, offset, length) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EOPNOTSUPP, errno.ENOSYS):
        raise OSError(code, os.strerror(code))
    os.pwrite(fd, bytes(min(length, 4096)), offset)


def exchange(one: Path, other: Path) -> None:
    """Let two paths swap what they lead to, in one step; where that can't be done `one` replaces `other`."""
    if _renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), str(other))
    one.rename(other)


def sync_folder(path: Path) -> None:
    """Make what was created, renamed or deleted in a folder survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def next_data(fd: int, offset: int) -> int | None:
    """Return where data goes on at or behind `offset`, past a hole; None if there is none."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
