"""Sequences of operations that once went differently on the drive and on ext4, each cut to what matters."""

import os
import stat

from file_calls import ROOT, UTIME_NOW, UTIME_OMIT
from side_by_side import Operation

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_PATH = os.O_PATH | os.O_NOFOLLOW
_TIME = 1_000_000_000, 5


def _by_descriptor(slot: int) -> list[Operation]:
    """Return every call on what a descriptor has open that a file of any kind answers."""
    return [
        ("fstat", ROOT, slot), ("fchmod", ROOT, slot, 0o711), ("fchown", ROOT, slot, 1001, 2001),
        ("futimens", ROOT, slot, _TIME, (0, UTIME_OMIT)), ("fstat", ROOT, slot),
        ("futimens", ROOT, slot, (0, UTIME_NOW), (0, UTIME_NOW)), ("fsync", ROOT, slot),
        ("fsetxattr", ROOT, slot, b"trusted.t", b"one", 0), ("fgetxattr", ROOT, slot, b"trusted.t"),
        ("flistxattr", ROOT, slot), ("fremovexattr", ROOT, slot, b"trusted.t"), ("fstat", ROOT, slot),
        ("reopen", ROOT, slot, os.O_RDONLY, 3), ("fstat", ROOT, 3), ("close", ROOT, slot), ("close", ROOT, 3),
    ]  # fmt: skip


def _made(kind: int) -> Operation:
    return ("mknod", ROOT, b"x", kind | 0o600, 0, os.makedev(3000, 7))


def _open(flags: int) -> Operation:
    return ("open", ROOT, b"x", flags, 0, 0, 0)


#: What went differently -> what to do.
FOUND: dict[str, list[Operation]] = {
    "a folder removed while open": [
        ("mkdir", ROOT, b"x", 0o755, 0), _open(_FOLDER), ("rmdir", ROOT, b"x"), *_by_descriptor(0),
    ],
    "a folder replaced while open": [
        ("mkdir", ROOT, b"x", 0o755, 0), ("mkdir", ROOT, b"y", 0o755, 0), _open(_FOLDER),
        ("rename", ROOT, b"y", b"x", 0), *_by_descriptor(0),
    ],
    "a pipe removed while open": [
        _made(stat.S_IFIFO), _open(os.O_RDWR), ("unlink", ROOT, b"x"), *_by_descriptor(0),
    ],
    "a pipe written to after its times were set": [
        _made(stat.S_IFIFO), ("utimens", ROOT, b"x", _TIME, _TIME, False), _open(os.O_RDWR),
        ("put", ROOT, b"x", 0, 1, 100),
    ],
    "a file removed while open": [
        _made(stat.S_IFREG), _open(os.O_RDWR), ("unlink", ROOT, b"x"), *_by_descriptor(0),
    ],
    "a link removed while only its path is open": [
        ("symlink", ROOT, b"x", b"a"), _open(_PATH), ("unlink", ROOT, b"x"), ("fstat", ROOT, 0),
    ],
    "a socket removed while only its path is open": [
        _made(stat.S_IFSOCK), _open(_PATH), ("unlink", ROOT, b"x"), ("fstat", ROOT, 0),
    ],
    "a folder removed that is worked in": [
        ("mkdir", ROOT, b"x", 0o755, 0), _open(_PATH), ("rmdir", ROOT, b"x"), ("fstat", ROOT, 0),
        ("reopen", ROOT, 0, _FOLDER, 1), ("fstat", ROOT, 1), ("flist", ROOT, 1),
    ],
}  # fmt: skip
