"""Two ways to do the same file-system calls: on a LocalVolume as a kernel would, and on a real directory."""

import asyncio
import ctypes
import errno
import os
import stat
from collections.abc import Coroutine
from typing import Any

from trivet.errors import FileSystemError
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.interface import ROOT_INO, AttributeChanges, Attributes, Caller

NOREPLACE = 1
EXCHANGE = 2
_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100


class VolumeDriver:
    """Calls by path on a LocalVolume, doing the checks that a kernel does before it asks."""

    def __init__(self, volume: LocalVolume, loop: asyncio.AbstractEventLoop) -> None:
        self.volume = volume
        self.loop = loop
        self.files: dict[int, tuple[int, int]] = {}

    def run(self, operation: Coroutine[Any, Any, Any]) -> Any:
        """Wait for one operation; its errno comes as OSError."""
        try:
            return self.loop.run_until_complete(asyncio.wait_for(operation, 60))
        except FileSystemError as error:
            raise OSError(error.errno, "") from error

    def resolve(self, path: bytes) -> Attributes:
        """Return what `path` names, not following a last link; links on the way are no directories here."""
        at = self.run(self.volume.getattr(ROOT_INO))
        for name in path.split(b"/") if path else []:
            if not stat.S_ISDIR(at.mode):
                raise OSError(errno.ENOTDIR, "")
            at = self.run(self.volume.lookup(at.ino, name))
        return at

    def split(self, path: bytes) -> tuple[int, bytes]:
        """Return (parent, name)."""
        folder, _, name = path.rpartition(b"/")
        parent = self.resolve(folder)
        if not stat.S_ISDIR(parent.mode):
            raise OSError(errno.ENOTDIR, "")
        return parent.ino, name

    def exists(self, parent: int, name: bytes) -> bool:
        """Tell whether a name is taken, as a kernel that makes something looks first."""
        try:
            self.run(self.volume.lookup(parent, name))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def mkdir(self, path: bytes) -> None:
        self.run(self.volume.mkdir(*self.split(path), 0o755, Caller(os.getuid(), os.getgid())))

    def rmdir(self, path: bytes) -> None:
        self.run(self.volume.rmdir(*self.split(path)))

    def open(self, path: bytes, slot: int, truncate: bool) -> None:
        if slot in self.files:
            self.close(slot)
        parent, name = self.split(path)
        if self.exists(parent, name):
            found = self.resolve(path)
            handle = self.run(self.volume.open(found.ino, writing=True, truncate=truncate, sync=False))
            self.files[slot] = handle, found.ino
        else:
            caller = Caller(os.getuid(), os.getgid())
            made, handle = self.run(self.volume.create(parent, name, 0o644, caller))
            self.files[slot] = handle, made.ino

    def file(self, slot: int) -> tuple[int, int]:
        if slot not in self.files:
            raise OSError(errno.EBADF, "")
        return self.files[slot]

    def close(self, slot: int) -> None:
        handle, _ino = self.file(slot)
        del self.files[slot]
        self.run(self.volume.flush(handle))
        self.run(self.volume.release(handle))

    def put(self, path: bytes, data: bytes) -> None:
        self.open(path, 99, True)
        self.write(99, 0, data)
        self.close(99)

    def write(self, slot: int, offset: int, data: bytes) -> int:
        return self.run(self.volume.write(self.file(slot)[0], offset, data))

    def read(self, slot: int, offset: int, size: int) -> bytes:
        return self.run(self.volume.read(self.file(slot)[0], offset, size))

    def truncate(self, slot: int, size: int) -> None:
        handle, ino = self.file(slot)
        self.run(self.volume.setattr(ino, AttributeChanges(size=size), handle))

    def fsync(self, slot: int) -> None:
        self.run(self.volume.fsync(self.file(slot)[0]))

    def unlink(self, path: bytes) -> None:
        self.run(self.volume.unlink(*self.split(path)))

    def rename(self, path: bytes, new_path: bytes, flags: int) -> None:
        parent, name = self.split(path)
        new_parent, new_name = self.split(new_path)
        self.run(
            self.volume.rename(
                parent, name, new_parent, new_name, replace=flags != NOREPLACE, exchange=flags == EXCHANGE
            )
        )

    def link(self, path: bytes, new_path: bytes) -> None:
        found = self.resolve(path)
        parent, name = self.split(new_path)
        if self.exists(parent, name):
            raise OSError(errno.EEXIST, "")
        self.run(self.volume.link(found.ino, parent, name))

    def symlink(self, path: bytes, target: bytes) -> None:
        self.run(self.volume.symlink(*self.split(path), target, Caller(os.getuid(), os.getgid())))

    def chmod(self, path: bytes, mode: int) -> None:
        found = self.resolve(path)
        if stat.S_ISLNK(found.mode):
            raise OSError(errno.EOPNOTSUPP, "")
        self.run(self.volume.setattr(found.ino, AttributeChanges(mode=mode)))

    def utime(self, path: bytes, seconds: int) -> None:
        ino = self.resolve(path).ino
        self.run(self.volume.setattr(ino, AttributeChanges(atime_ns=seconds, mtime_ns=seconds * 10**9 + 7)))

    def stat(self, path: bytes) -> tuple[int, ...]:
        found = self.resolve(path)
        size = -1 if stat.S_ISDIR(found.mode) else found.size
        return found.mode, found.nlink, size, found.uid, found.gid

    def names(self, path: bytes) -> list[bytes]:
        return [name for name, _ino in self.entries(self.resolve(path).ino)]

    def entries(self, ino: int, step: int = 3) -> list[tuple[bytes, Attributes]]:
        found: list[tuple[bytes, Attributes]] = []
        cookie = 0
        while part := self.run(self.volume.listing(ino, cookie, step)):
            found += [(entry.name, entry.attributes) for entry in part]
            cookie = part[-1].cookie
        return sorted(found, key=lambda entry: entry[0])

    def tree(self, path: bytes = b"") -> dict[bytes, Any]:
        """Return path -> (stat, mtime, bytes or target) of everything."""
        found: dict[bytes, Any] = {}
        for name, attributes in self.entries(self.resolve(path).ino):
            at = path + b"/" + name if path else name
            if stat.S_ISDIR(attributes.mode):
                found[at] = self.stat(at)
                found |= self.tree(at)
            elif stat.S_ISLNK(attributes.mode):
                found[at] = self.stat(at), self.run(self.volume.readlink(attributes.ino))
            else:
                handle = self.run(self.volume.open(attributes.ino, writing=False, truncate=False, sync=False))
                found[at] = self.stat(at), self.run(self.volume.read(handle, 0, 1 << 23))
                self.run(self.volume.release(handle))
        return found


class DiskDriver:
    """The same calls on a real directory."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.files: dict[int, int] = {}
        os.umask(0o022)

    def at(self, path: bytes) -> bytes:
        *folders, _name = path.split(b"/")
        where = self.folder
        for name in folders:
            where = os.path.join(where, name)
            if not stat.S_ISDIR(os.lstat(where).st_mode):
                raise OSError(errno.ENOTDIR, "")
        return os.path.join(self.folder, path)

    def mkdir(self, path: bytes) -> None:
        os.mkdir(self.at(path), 0o755)

    def rmdir(self, path: bytes) -> None:
        os.rmdir(self.at(path))

    def open(self, path: bytes, slot: int, truncate: bool) -> None:
        if slot in self.files:
            self.close(slot)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if truncate else 0)
        self.files[slot] = os.open(self.at(path), flags, 0o644)

    def file(self, slot: int) -> int:
        if slot not in self.files:
            raise OSError(errno.EBADF, "")
        return self.files[slot]

    def close(self, slot: int) -> None:
        os.close(self.file(slot))
        del self.files[slot]

    def put(self, path: bytes, data: bytes) -> None:
        self.open(path, 99, True)
        self.write(99, 0, data)
        self.close(99)

    def write(self, slot: int, offset: int, data: bytes) -> int:
        return os.pwrite(self.file(slot), data, offset)

    def read(self, slot: int, offset: int, size: int) -> bytes:
        return os.pread(self.file(slot), size, offset)

    def truncate(self, slot: int, size: int) -> None:
        os.ftruncate(self.file(slot), size)

    def fsync(self, slot: int) -> None:
        self.file(slot)

    def unlink(self, path: bytes) -> None:
        os.unlink(self.at(path))

    def rename(self, path: bytes, new_path: bytes, flags: int) -> None:
        old, new = self.at(path), self.at(new_path)
        if _LIBC.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, flags):
            raise OSError(ctypes.get_errno(), "")

    def link(self, path: bytes, new_path: bytes) -> None:
        old = self.at(path)
        os.lstat(old)
        os.link(old, self.at(new_path), follow_symlinks=False)

    def symlink(self, path: bytes, target: bytes) -> None:
        os.symlink(target, self.at(path))

    def chmod(self, path: bytes, mode: int) -> None:
        where = self.at(path)
        if os.path.islink(where):
            raise OSError(errno.EOPNOTSUPP, "")
        os.chmod(where, mode)

    def utime(self, path: bytes, seconds: int) -> None:
        os.utime(self.at(path), ns=(seconds, seconds * 10**9 + 7), follow_symlinks=False)

    def stat(self, path: bytes) -> tuple[int, ...]:
        found = os.lstat(self.at(path))
        size = -1 if stat.S_ISDIR(found.st_mode) else found.st_size
        return found.st_mode, found.st_nlink, size, found.st_uid, found.st_gid

    def names(self, path: bytes) -> list[bytes]:
        where = self.at(path)
        if os.path.islink(where):
            raise OSError(errno.ENOTDIR, "")
        return sorted(os.listdir(where))

    def tree(self, path: bytes = b"") -> dict[bytes, Any]:
        """Return path -> (stat, bytes or target) of everything."""
        found: dict[bytes, Any] = {}
        for name in self.names(path):
            at = path + b"/" + name if path else name
            where = self.at(at)
            if os.path.islink(where):
                found[at] = self.stat(at), os.readlink(where)
            elif os.path.isdir(where):
                found[at] = self.stat(at)
                found |= self.tree(at)
            else:
                with open(where, "rb") as file:
                    found[at] = self.stat(at), file.read()
        return found
