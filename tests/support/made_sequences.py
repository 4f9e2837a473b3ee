"""Random sequences of file operations: few names, so that operations meet, and the values that hurt."""

import os
import stat
from random import Random

from file_calls import EXCHANGE, NOREPLACE, ROOT, UTIME_NOW, UTIME_OMIT, WHITEOUT, Caller
from side_by_side import Operation

CALLERS = (Caller(1001, 1001, (2001,)), Caller(1002, 1002, (1001,)), Caller(1003, 2001))
_SLOTS = 4
_FOLDERS = (b"", b"", b"", b"d/", b"d/", b"d/e/", b"g/", b"t/", b"g/e/")
_NAMES = (b"a", b"b", b"c", b"a", b"b", b"d", b"e", b"l", b"\xff\n", b"n" * 255)
_ODD = (
    b"n" * 256,
    b"./" * 2046 + b"a",
    b"./" * 2047 + b"a",
    b"./" * 2048 + b"a",
    b"",
    b".",
    b"..",
    b"d/.",
    b"d/..",
)
_TARGETS = (b"a", b"b", b"d", b"../a", b"l", b"d/l", b"nowhere", b"d/e/../b", b"x" * 4095, b"n" * 256)
_MODES = (0o777, 0o755, 0o644, 0o600, 0o400, 0o000, 0o2775, 0o1777, 0o4755, 0o6711, 0o2755)
_EDGES = (0, 1, 100, 4095, 4096, 4097, 8192, 65_535, 65_536, 65_537, 300_000, 1_048_575, 1_048_576, 1_100_000)
_LENGTHS = (0, 1, 10, 4096, 5000, 65_536, 70_000)
_TIMES = (
    (0, UTIME_NOW), (0, UTIME_OMIT), (0, 0), (1, 999_999_999), (-1, 1), (1_000_000_000, 123_456_789),
    (-(1 << 31), 0), (-(1 << 31) - 5, 7), (-(1 << 31) + 1, 5), (1 << 31, 9), (4_102_444_800, 1),
    (9_300_000_000, 3),
    (15_032_385_534, 999_999_999), (15_032_385_535, 0), (15_032_385_536, 1), (0, 1_000_000_000), (0, -1),
)  # fmt: skip
_FLAGS = (
    os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT,
    os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    os.O_WRONLY | os.O_APPEND | os.O_CREAT,
    os.O_RDONLY | os.O_DIRECTORY, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, os.O_RDWR | os.O_SYNC | os.O_CREAT,
    os.O_RDONLY | os.O_TRUNC, os.O_RDONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_DSYNC,
)  # fmt: skip
_XATTRS = (
    b"user.a", b"user.b", b"user." + b"n" * 250, b"user." + b"n" * 251, b"trusted.t", b"security.s", b"odd.x",
    b"user.",
)  # fmt: skip
_VALUES = (b"", b"one", b"two" * 100)
_MASKS = (0o022, 0o022, 0, 0o077, 0o777)
_SIZES = (*_EDGES, -1, 2_000_000)
_TYPES = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, 0, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR)

_OF_OPEN = ("fchmod", "fchown", "futimens", "fsetxattr", "fgetxattr", "fremovexattr", "reopen")


class Maker:
    """Makes operations; the same seed makes the same ones."""

    def __init__(self, seed: int, with_callers: bool) -> None:
        self.rng = Random(seed)
        self.with_callers = with_callers
        self.seed = 0

    def sequence(self, length: int) -> list[Operation]:
        """Return `length` operations, the first of which make the folders they meet in."""
        first: list[Operation] = [
            ("mkdir", ROOT, b"d", 0o777, 0), ("mkdir", ROOT, b"d/e", 0o755, 0),
            ("mkdir", ROOT, b"g", 0o777, 0), ("chmod", ROOT, b"g", 0o2777),
            ("mkdir", ROOT, b"t", 0o777, 0), ("chmod", ROOT, b"t", 0o1777),
            ("chown", ROOT, b"g", 0, 2001, True),
        ]  # fmt: skip
        return first + [self.operation() for _ in range(length - len(first))]

    def path(self) -> bytes:
        rng = self.rng
        if rng.random() < 0.03:
            return rng.choice(_ODD)
        return rng.choice(_FOLDERS) + rng.choice(_NAMES) + (b"/" if rng.random() < 0.03 else b"")

    def mode(self, mask: int) -> int:
        """Return a mode for a new file, without the mark that FUSE does not take from writers."""
        mode = self.rng.choice(_MODES)
        return mode if mode & ~mask & stat.S_IXGRP else mode & ~stat.S_ISGID

    def operation(self) -> Operation:
        rng = self.rng
        caller = rng.choice(CALLERS) if self.with_callers and rng.random() < 0.5 else ROOT
        name = rng.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))[0]
        return name, caller, *self.arguments(name)

    def arguments(self, name: str) -> tuple[object, ...]:
        rng, pick = self.rng, self.rng.choice
        self.seed += 1
        slot = rng.randrange(_SLOTS)
        mask = pick(_MASKS)
        offset = pick(_EDGES) if rng.random() < 0.7 else rng.randrange(1_200_000)
        match name:
            case "mkdir":
                return self.path(), pick(_MODES) & 0o1777, pick(_MASKS)
            case "mknod":
                return (
                    self.path(),
                    pick(_TYPES) | self.mode(mask),
                    mask,
                    os.makedev(3000 + rng.randrange(9), 7),
                )  # nobody has these
            case "open":
                return self.path(), pick(_FLAGS), self.mode(mask), mask, slot
            case "put":
                return self.path(), pick(_MASKS), self.seed, pick(_LENGTHS)
            case "link":
                return self.path(), self.path(), rng.random() < 0.3
            case "rename":
                return self.path(), self.path(), pick((0, 0, 0, NOREPLACE, EXCHANGE, 8 | WHITEOUT))
            case "symlink":
                return self.path(), pick(_TARGETS)
            case "chmod":
                return self.path(), pick(_MODES)
            case "chown":
                return self.path(), pick((-1, 0, 1001, 1002)), pick((-1, 0, 1001, 2001)), rng.random() < 0.5
            case "utimens":
                return self.path(), pick(_TIMES), pick(_TIMES), rng.random() < 0.5
            case "access":
                return self.path(), rng.randrange(8)
            case "truncate":
                return self.path(), pick(_SIZES)
            case "pwrite":
                return slot, offset, self.seed, pick(_LENGTHS)
            case "write":
                return slot, self.seed, pick(_LENGTHS)
            case "pread":
                return slot, offset, pick(_LENGTHS)
            case "ftruncate":
                return slot, pick(_SIZES)
            case "setxattr":
                return (
                    self.path(),
                    pick(_XATTRS),
                    pick(_VALUES),
                    pick((0, 0, os.XATTR_CREATE, os.XATTR_REPLACE)),
                )
            case "getxattr" | "removexattr":
                return self.path(), pick(_XATTRS)
            case "close" | "fsync" | "fstat" | "flistxattr" | "flist":
                return (slot,)
        return self.more_of_open(name, slot) if name in _OF_OPEN else (self.path(),)

    def more_of_open(self, name: str, slot: int) -> tuple[object, ...]:
        """Return arguments of a call on attributes of what is open."""
        pick = self.rng.choice
        match name:
            case "fchmod":
                return slot, pick(_MODES)
            case "fchown":
                return slot, pick((-1, 0, 1001, 1002)), pick((-1, 0, 1001, 2001))
            case "futimens":
                return slot, pick(_TIMES), pick(_TIMES)
            case "fsetxattr":
                return slot, pick(_XATTRS), pick(_VALUES), pick((0, 0, os.XATTR_CREATE, os.XATTR_REPLACE))
            case "reopen":
                flags = pick(_FLAGS) & ~os.O_NOFOLLOW  # or it is the link in /proc that is opened
                return slot, flags, self.rng.randrange(_SLOTS)
        return slot, pick(_XATTRS)


_WEIGHTS = {
    "mkdir": 5, "mknod": 4, "open": 14, "put": 10, "close": 4, "rmdir": 4, "unlink": 8, "symlink": 4,
    "readlink": 2, "link": 6, "rename": 14, "chmod": 6, "fchmod": 2, "chown": 5, "utimens": 6, "access": 3,
    "stat": 2, "cat": 6, "list": 3, "truncate": 5, "pwrite": 7, "write": 5, "pread": 5, "ftruncate": 4,
    "fsync": 2, "fstat": 2, "setxattr": 4, "getxattr": 2, "listxattr": 2, "removexattr": 2,
    "fchown": 2, "futimens": 2, "fsetxattr": 2, "fgetxattr": 1, "flistxattr": 1, "fremovexattr": 1,
    "flist": 1, "reopen": 2,
}  # fmt: skip
