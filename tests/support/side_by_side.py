"""Two trees, one on the drive and one on ext4: the same operations on both, and what is to be the same.

Rule: an operation is a plain tuple, made before anything is done: a sequence can be cut and done again.
Rule: what is compared: the result or errno, then of every path named and of its parent what stat(2) tells,
and whether mtime and ctime changed. Sizes of directories and inode numbers are each file system's own; that
a fifo is stamped when bytes go through it is not asked for (FUSE is not told).
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

from file_calls import as_caller, futimens, renameat2, utimensat

#: (name of the call, caller, arguments...)
Operation = tuple[Any, ...]
_RECENT_NS = 86_400 * 10**9


class Tree:
    """One of the two: a directory, the files open in it, and the times it showed last."""

    def __init__(self, folder: bytes, now_ns: int) -> None:
        top = os.path.join(folder, b"top")  # "..": paths that lead up lead to what is the same on both, too
        for made in (folder, top):
            os.mkdir(made)
            os.chmod(made, 0o777)
        self.root = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        self._now_ns = now_ns
        self._slots: dict[int, int] = {}
        self._times: dict[int, tuple[int, ...]] = {}
        self._numbers: dict[int, int] = {}

    def close(self) -> None:
        for fd in self._slots.values():
            os.close(fd)
        os.close(self.root)

    def fd(self, slot: int) -> int:
        if slot not in self._slots:
            raise OSError(errno.EBADF, "")
        return self._slots[slot]

    def keep(self, slot: int, fd: int) -> None:
        self.drop(slot)
        self._slots[slot] = fd

    def drop(self, slot: int) -> None:
        fd = self._slots.pop(slot, None)
        if fd is not None:
            os.close(fd)

    def do(self, operation: Operation) -> Any:
        """Do one operation as its caller; return the result, or the name of the errno."""
        name, caller, *arguments = operation
        assert not any(isinstance(word, bytes) and word.startswith(b"/") for word in arguments), operation
        os.fchdir(self.root)
        try:
            with as_caller(caller):
                return CALLS[name](self, *arguments)
        except OSError as error:
            return errno.errorcode[error.errno]

    def look(self, paths: Iterable[bytes], access_of: bytes | None) -> dict[bytes, Any]:
        """Return what is to be the same of `paths`, the time of access only of `access_of`."""
        os.fchdir(self.root)
        return {path: self._look_at(path, path == access_of) for path in paths}

    def _look_at(self, path: bytes, with_access: bool) -> Any:
        try:
            told = os.lstat(path)
        except OSError as error:
            return errno.errorcode[error.errno]
        number = self._numbers.setdefault(told.st_ino, len(self._numbers))
        times = told.st_atime_ns, told.st_mtime_ns, told.st_ctime_ns
        before = None if stat.S_ISFIFO(told.st_mode) else self._times.get(number)
        self._times[number] = times
        changed = None if before is None else [new != old for new, old in zip(times, before, strict=True)]
        is_old = [abs(time - self._now_ns) > _RECENT_NS for time in times]
        return {
            "mode": oct(told.st_mode),
            "nlink": told.st_nlink,
            "owner": (told.st_uid, told.st_gid),
            "rdev": told.st_rdev,
            "size": None if stat.S_ISDIR(told.st_mode) else told.st_size,
            "set times": [time if old else None for time, old in zip(times, is_old, strict=True)][
                0 if with_access else 1 : 2
            ],
            "is pipe": stat.S_ISFIFO(told.st_mode),
            "changed": None if changed is None or all(changed) else changed[1:],  # all: a number used anew
            "is in order": is_old[1] or told.st_ctime_ns >= told.st_mtime_ns,
        }

    def whole(self) -> dict[bytes, Any]:
        """Return path -> what it holds, of everything."""
        os.fchdir(self.root)
        found: dict[bytes, Any] = {}
        links: dict[int, bytes] = {}
        for folder, names, files in os.walk(b"."):
            names.sort()
            for name in sorted(names + files):
                path = os.path.join(folder, name)
                told = os.lstat(path)
                size = None if stat.S_ISDIR(told.st_mode) else told.st_size
                owner = told.st_mode, told.st_nlink, told.st_uid, told.st_gid, told.st_rdev, size
                found[path] = owner, links.setdefault(told.st_ino, path), _content(path, told.st_mode)
        return found


def _content(path: bytes, mode: int) -> Any:
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if not stat.S_ISREG(mode):
        return None
    with open(path, "rb") as file:
        return file.read(), [(name, os.getxattr(path, name)) for name in sorted(os.listxattr(path))]


def data(seed: int, length: int) -> bytes:
    """Return bytes that tell every write from every other."""
    unit = b"%d|" % seed
    return (unit * (length // len(unit) + 1))[:length]


@contextmanager
def _umask(mask: int) -> Any:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _opened(path: bytes, flags: int = os.O_RDONLY) -> Any:
    fd = os.open(path, flags | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def _open(tree: Tree, path: bytes, flags: int, mode: int, umask: int, slot: int) -> None:
    with _umask(umask):
        tree.keep(slot, os.open(path, flags | os.O_NONBLOCK, mode))


def _put(tree: Tree, path: bytes, umask: int, seed: int, length: int) -> None:
    with _umask(umask), _opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
        os.write(fd, data(seed, length))


def _masked(make: Callable[..., None]) -> Callable[..., None]:
    def make_masked(tree: Tree, path: bytes, mode: int, umask: int, *more: Any) -> None:
        with _umask(umask):
            make(path, mode, *more)

    return make_masked


def _cat(tree: Tree, path: bytes) -> bytes:
    with _opened(path) as fd:
        return os.pread(fd, 1 << 22, 0)


def _list(tree: Tree, path: bytes) -> list[bytes]:
    with _opened(path) as fd:
        return sorted(map(os.fsencode, os.listdir(fd)))


def _close(tree: Tree, slot: int) -> None:
    tree.fd(slot)
    tree.drop(slot)


def _fstat(tree: Tree, slot: int) -> tuple[int, ...]:
    told = os.fstat(tree.fd(slot))
    size = -1 if stat.S_ISDIR(told.st_mode) else told.st_size
    return told.st_mode, told.st_nlink, told.st_uid, told.st_gid, size


def _reopen(tree: Tree, slot: int, flags: int, new_slot: int) -> None:
    tree.keep(new_slot, os.open(f"/proc/self/fd/{tree.fd(slot)}", flags | os.O_NONBLOCK))


#: What can be done: name -> (tree, arguments...) -> result.
CALLS: dict[str, Callable[..., Any]] = {
    "mkdir": _masked(os.mkdir),
    "mknod": _masked(os.mknod),
    "open": _open,
    "put": _put,
    "close": _close,
    "rmdir": lambda tree, path: os.rmdir(path),
    "unlink": lambda tree, path: os.unlink(path),
    "symlink": lambda tree, path, target: os.symlink(target, path),
    "readlink": lambda tree, path: os.readlink(path),
    "link": lambda tree, path, new, follow: os.link(path, new, follow_symlinks=follow),
    "rename": lambda tree, path, new, flags: renameat2(path, new, flags),
    "chmod": lambda tree, path, mode: os.chmod(path, mode),
    "fchmod": lambda tree, slot, mode: os.fchmod(tree.fd(slot), mode),
    "fchown": lambda tree, slot, uid, gid: os.fchown(tree.fd(slot), uid, gid),
    "chown": lambda tree, path, uid, gid, follow: os.chown(path, uid, gid, follow_symlinks=follow),
    "utimens": lambda tree, path, atime, mtime, follow: utimensat(path, atime, mtime, follow),
    "futimens": lambda tree, slot, atime, mtime: futimens(tree.fd(slot), atime, mtime),
    "access": lambda tree, path, mode: os.access(path, mode, effective_ids=True),
    "stat": lambda tree, path: os.stat(path).st_mode,
    "cat": _cat,
    "list": _list,
    "flist": lambda tree, slot: sorted(os.listdir(tree.fd(slot))),
    "reopen": _reopen,
    "truncate": lambda tree, path, size: os.truncate(path, size),
    "pwrite": lambda tree, slot, offset, seed, length: os.pwrite(tree.fd(slot), data(seed, length), offset),
    "write": lambda tree, slot, seed, length: os.write(tree.fd(slot), data(seed, length)),
    "pread": lambda tree, slot, offset, length: os.pread(tree.fd(slot), length, offset),
    "ftruncate": lambda tree, slot, size: os.ftruncate(tree.fd(slot), size),
    "fsync": lambda tree, slot: os.fsync(tree.fd(slot)),
    "fstat": _fstat,
    "setxattr": lambda tree, path, name, value, flags: os.setxattr(path, name, value, flags),
    "fsetxattr": lambda tree, slot, name, value, flags: os.setxattr(tree.fd(slot), name, value, flags),
    "fgetxattr": lambda tree, slot, name: os.getxattr(tree.fd(slot), name),
    "flistxattr": lambda tree, slot: sorted(os.listxattr(tree.fd(slot))),
    "fremovexattr": lambda tree, slot, name: os.removexattr(tree.fd(slot), name),
    "getxattr": lambda tree, path, name: os.getxattr(path, name),
    "listxattr": lambda tree, path: sorted(os.listxattr(path)),
    "removexattr": lambda tree, path, name: os.removexattr(path, name),
}
