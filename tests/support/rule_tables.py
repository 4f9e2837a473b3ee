"""Every call on every kind of file, in many kinds of folder, by many callers: sequences for two trees.

Rule: a table is a sequence of operations for `side_by_side`: what is made first, as root, then what is tried.
Rule: no path leads out of the tree (`Tree.do` sees to that): what is tried is tried by root, too.
"""

import os
import stat
from collections.abc import Iterator

from file_calls import EXCHANGE, NOREPLACE, ROOT, UTIME_NOW, UTIME_OMIT, Caller
from side_by_side import Operation

OWNER = Caller(1001, 1001, (2001,))
MEMBER = Caller(1002, 1002, (2001, 1001))
STRANGER = Caller(1003, 1003)
CALLERS = (OWNER, MEMBER, STRANGER, ROOT)
#: The folder all is tried in: owner, group, mode.
FOLDERS = (
    (1001, 1001, 0o755), (0, 0, 0o1777), (1001, 2001, 0o2775), (1003, 2001, 0o1770), (1001, 1001, 0o311),
    (1001, 1001, 0o644),
)  # fmt: skip
KINDS = ("file", "shut", "dir", "full", "fifo", "sock", "char", "link", "nowhere", "loop", "todir", "none")
LONG = b"n" * 255
ODD = (
    b"", b".", b"..", b"file/x", b"none/x", b"loop/x", b"dir/", b"file/", b"none/", LONG, LONG + b"n",
    b"dir/" + LONG + b"n", b"./" * 2047 + b"z", b"./" * 2048 + b"z", b"full/.", b"full/..",
)  # fmt: skip
_FLAGS = (
    os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_CREAT,
    os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDONLY | os.O_DIRECTORY, os.O_RDONLY | os.O_NOFOLLOW,
    os.O_WRONLY | os.O_APPEND, os.O_RDONLY | os.O_CREAT | os.O_DIRECTORY, os.O_RDONLY | os.O_TRUNC,
)  # fmt: skip
_OMIT, _NOW, _SET = (0, UTIME_OMIT), (0, UTIME_NOW), (1_000_000_000, 5)
_DEVICE = os.makedev(3001, 7)


def made(kinds: tuple[str, ...] = KINDS, suffix: bytes = b"", owner: Caller = OWNER) -> Iterator[Operation]:
    """Yield what makes a file of each kind, its name followed by `suffix`, for `owner`."""
    for kind in kinds:
        name = kind.encode() + suffix
        match kind:
            case "file":
                yield "put", ROOT, name, 0o022, 7, 100
                yield "chmod", ROOT, name, 0o664
            case "shut":
                yield "put", ROOT, name, 0o077, 8, 100
            case "dir" | "full":
                yield "mkdir", ROOT, name, 0o775, 0
                if kind == "full":
                    yield "put", ROOT, name + b"/in", 0o022, 9, 10
            case "fifo" | "sock" | "char":
                types = {"fifo": stat.S_IFIFO, "sock": stat.S_IFSOCK, "char": stat.S_IFCHR}
                yield "mknod", ROOT, name, types[kind] | 0o664, 0, _DEVICE
            case "link" | "nowhere" | "loop" | "todir":
                targets = {"link": b"file", "nowhere": b"lost", "todir": b"dir", "loop": name}
                yield "symlink", ROOT, name, targets[kind]
        if kind != "none":
            yield "chown", ROOT, name, owner.uid, 2001, False


def tables() -> Iterator[tuple[str, list[Operation]]]:
    """Yield each table with what it is called."""
    for folder in FOLDERS:
        for call, tried in _CALLS.items():
            for who, caller in zip(("owner", "member", "stranger", "root"), CALLERS, strict=True):
                uid, gid, mode = folder
                shut = [("chown", ROOT, b"", uid, gid, True), ("chmod", ROOT, b"", mode)]
                shut = [(name, by, b".", *rest) for name, by, _, *rest in shut]
                operations = [*made(), *made(KINDS, b"2", MEMBER), *shut, *tried(caller)]
                yield f"{call} by {who} in a folder {uid}:{gid} {mode:o}", operations


def _paths() -> Iterator[bytes]:
    yield from (kind.encode() for kind in KINDS)
    yield from ODD


def _chmod(by: Caller) -> Iterator[Operation]:
    for path in _paths():
        for mode in (0o640, 0o7777, 0o2755, 0o4711, 0o664):
            yield "chmod", by, path, mode


def _chown(by: Caller) -> Iterator[Operation]:
    for path in _paths():
        for uid, gid, follow in ((-1, 2001, True), (1001, -1, False), (-1, 1003, False), (1002, 1002, True)):
            yield "chmod", ROOT, b"file", 0o6775
            yield "chown", by, path, uid, gid, follow


def _link(by: Caller) -> Iterator[Operation]:
    for number, path in enumerate(_paths()):
        yield "link", by, path, b"new%d" % number, False
        yield "link", by, path, b"dir/new%d" % number, True
        yield "link", by, b"file", path, False


def _make(by: Caller) -> Iterator[Operation]:
    for number, path in enumerate(_paths()):
        yield "mkdir", by, path, 0o777, 0o022
        yield "symlink", by, b"s%d" % number, path
        yield "symlink", by, path, b"file"
        for kind in (stat.S_IFIFO, stat.S_IFREG, stat.S_IFSOCK, stat.S_IFCHR):
            yield "mknod", by, path, kind | 0o666, 0o027, _DEVICE
        yield "mkdir", by, b"dir/m%d" % number, 0o1777, 0
        yield "mknod", by, b"f%d" % number, stat.S_IFIFO | 0o644, 0o077, 0
        yield "stat", by, path


def _open(by: Caller) -> Iterator[Operation]:
    for path in _paths():
        for flags in _FLAGS:
            yield "open", by, path, flags, 0o664, 0o022, 1
            yield "fstat", by, 1
            yield "ftruncate", by, 1, 5
            yield "write", by, 1, 3, 20
            yield "close", by, 1


def _rename(by: Caller) -> Iterator[Operation]:
    flags = (0, NOREPLACE, EXCHANGE)
    for number, path in enumerate(_paths()):
        for kind in KINDS:
            flag = flags[number % 3]
            yield "rename", by, path, kind.encode() + b"2", flag
            yield "rename", by, kind.encode() + b"2", path, flag
        yield "rename", by, path, b"dir2/in", 0
        yield "rename", by, b"dir2/in", path, 0
    yield "rename", by, b"full", b"full/in", 0
    yield "rename", by, b"full2/in", b"full2", 0


def _truncate(by: Caller) -> Iterator[Operation]:
    for path in _paths():
        yield "chmod", ROOT, b"file", 0o4775
        for size in (-1, 0, 50, 5000, 1 << 45):
            yield "truncate", by, path, size
        yield "access", by, path, os.R_OK
        yield "access", by, path, os.W_OK | os.X_OK


def _remove(by: Caller) -> Iterator[Operation]:
    for suffix in (b"", b"2"):
        for path in _paths():
            yield "rmdir", by, path + (b"" if path in ODD else suffix)
            yield "unlink", by, path + (b"" if path in ODD else suffix)
            yield "readlink", by, path
    yield "unlink", by, b"full2/in"


def _utimens(by: Caller) -> Iterator[Operation]:
    for path in _paths():
        for times in ((_OMIT, _OMIT), (_NOW, _NOW), (_SET, _OMIT), (_OMIT, _SET), (_NOW, _SET), (_SET, _SET)):
            for follow in (True, False):
                yield "utimens", by, path, *times, follow


_CALLS = {
    "chmod": _chmod, "chown": _chown, "link": _link, "make": _make, "open": _open, "rename": _rename,
    "truncate": _truncate, "remove": _remove, "utimens": _utimens,
}  # fmt: skip
