"""A small volume in memory, only to drive the mount's door with; it knows the plainest rules of names."""

import errno
import itertools
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trivet.errors import FileSystemError
from trivet.volume.interface import (
    NAME_MAX_BYTES,
    ROOT_INO,
    AttributeChanges,
    Attributes,
    Caller,
    DirectoryEntry,
    VolumeSpace,
)


@dataclass
class Node:
    """One inode: attributes, and what its type needs."""

    attributes: Attributes
    body: bytearray = field(default_factory=bytearray)
    target: bytes = b""
    names: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    opened: int = 0


class MemoryVolume:
    """Implements the volume's interface; `calls` tells what the door asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._inos = itertools.count(ROOT_INO)
        self._handles = itertools.count(1)
        self._cookies = itertools.count(1)
        self.nodes: dict[int, Node] = {}
        self._open: dict[int, int] = {}
        self._new(stat.S_IFDIR | 0o755, Caller(0, 0))

    def _new(self, mode: int, caller: Caller, rdev: int = 0) -> Node:
        now = time.time_ns()
        nlink = 2 if stat.S_ISDIR(mode) else 1
        ino = next(self._inos)
        attributes = Attributes(ino, mode, nlink, caller.uid, caller.gid, rdev, 0, now, now, now)
        self.nodes[ino] = Node(attributes)
        return self.nodes[ino]

    def _add(self, parent: int, name: bytes, mode: int, caller: Caller, rdev: int = 0) -> Node:
        if len(name) > NAME_MAX_BYTES:
            raise FileSystemError(errno.ENAMETOOLONG)
        if name in self.nodes[parent].names:
            raise FileSystemError(errno.EEXIST)
        node = self._new(mode, caller, rdev)
        self.nodes[parent].names[name] = (node.attributes.ino, next(self._cookies))
        return node

    def _at(self, parent: int, name: bytes) -> Node:
        if len(name) > NAME_MAX_BYTES:
            raise FileSystemError(errno.ENAMETOOLONG)
        try:
            return self.nodes[self.nodes[parent].names[name][0]]
        except KeyError:
            raise FileSystemError(errno.ENOENT) from None

    def _change(self, node: Node, **values: int) -> Attributes:
        node.attributes = replace(node.attributes, ctime_ns=time.time_ns(), **values)
        return node.attributes

    def _drop(self, node: Node) -> None:
        self._change(node, nlink=node.attributes.nlink - 1)
        if node.attributes.nlink == 0 and not node.opened:
            del self.nodes[node.attributes.ino]

    async def lookup(self, parent: int, name: bytes) -> Attributes:
        return self._at(parent, name).attributes

    async def getattr(self, ino: int) -> Attributes:
        if ino not in self.nodes:
            raise FileSystemError(errno.ESTALE)
        return self.nodes[ino].attributes

    async def setattr(self, ino: int, changes: AttributeChanges, handle: int | None = None) -> Attributes:
        self.calls.append(("setattr", ino, changes, handle))
        node = self.nodes[ino]
        if changes.size is not None:
            del node.body[changes.size :]
            node.body.extend(bytes(changes.size - len(node.body)))
        names = ("uid", "gid", "size", "atime_ns", "mtime_ns")
        values = {n: getattr(changes, n) for n in names if getattr(changes, n) is not None}
        if changes.mode is not None:
            values["mode"] = stat.S_IFMT(node.attributes.mode) | stat.S_IMODE(changes.mode)
        return self._change(node, **values)

    async def readlink(self, ino: int) -> bytes:
        return self.nodes[ino].target

    async def opendir(self, ino: int) -> None:
        self.calls.append(("opendir", ino))

    async def listing(self, ino: int, after_cookie: int, limit: int) -> Sequence[DirectoryEntry]:
        found = [
            DirectoryEntry(name, cookie, self.nodes[child].attributes)
            for name, (child, cookie) in self.nodes[ino].names.items()
            if cookie > after_cookie
        ]
        return sorted(found, key=lambda entry: entry.cookie)[:limit]

    async def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> Attributes:
        return self._add(parent, name, stat.S_IFDIR | mode, caller).attributes

    async def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> Attributes:
        return self._add(parent, name, mode, caller, rdev).attributes

    async def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Attributes:
        node = self._add(parent, name, stat.S_IFLNK | 0o777, caller)
        node.target = target
        return self._change(node, size=len(target))

    async def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        if name in self.nodes[parent].names:
            raise FileSystemError(errno.EEXIST)
        self.nodes[parent].names[name] = (ino, next(self._cookies))
        return self._change(self.nodes[ino], nlink=self.nodes[ino].attributes.nlink + 1)

    async def unlink(self, parent: int, name: bytes) -> None:
        node = self._at(parent, name)
        del self.nodes[parent].names[name]
        self._drop(node)

    async def rmdir(self, parent: int, name: bytes) -> None:
        if self._at(parent, name).names:
            raise FileSystemError(errno.ENOTEMPTY)
        del self.nodes[self.nodes[parent].names.pop(name)[0]]

    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool, exchange: bool
    ) -> None:
        self.calls.append(("rename", name, new_name, replace, exchange))
        here, there = self.nodes[parent].names, self.nodes[new_parent].names
        if exchange:
            here[name], there[new_name] = there[new_name], here[name]
            return
        if new_name in there:
            if not replace:
                raise FileSystemError(errno.EEXIST)
            await self.unlink(new_parent, new_name)
        there[new_name] = (here.pop(name)[0], next(self._cookies))

    async def create(self, parent: int, name: bytes, mode: int, caller: Caller) -> tuple[Attributes, int]:
        node = self._add(parent, name, stat.S_IFREG | mode, caller)
        return node.attributes, self._opened(node)

    def _opened(self, node: Node) -> int:
        handle = next(self._handles)
        self._open[handle] = node.attributes.ino
        node.opened += 1
        return handle

    async def open(self, ino: int, *, writing: bool, truncate: bool, sync: bool) -> int:
        self.calls.append(("open", ino, writing, truncate, sync))
        if truncate:
            await self.setattr(ino, AttributeChanges(size=0))
        return self._opened(self.nodes[ino])

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        self.calls.append(("read", offset, size))
        return bytes(self.nodes[self._open[handle]].body[offset : offset + size])

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        self.calls.append(("write", offset, len(data)))
        node = self.nodes[self._open[handle]]
        node.body.extend(bytes(max(offset - len(node.body), 0)))
        node.body[offset : offset + len(data)] = data
        self._change(node, size=len(node.body), mtime_ns=time.time_ns())
        return len(data)

    async def flush(self, handle: int) -> None:
        self.calls.append(("flush", self._open[handle]))

    async def fsync(self, handle: int) -> None:
        self.calls.append(("fsync", self._open[handle]))

    async def fsyncdir(self, ino: int) -> None:
        self.calls.append(("fsyncdir", ino))

    async def release(self, handle: int) -> None:
        node = self.nodes[self._open.pop(handle)]
        node.opened -= 1
        if node.attributes.nlink == 0 and not node.opened:
            del self.nodes[node.attributes.ino]

    async def getxattr(self, ino: int, name: bytes) -> bytes:
        try:
            return self.nodes[ino].xattrs[name]
        except KeyError:
            raise FileSystemError(errno.ENODATA) from None

    async def setxattr(self, ino: int, name: bytes, value: bytes, *, create: bool, replace: bool) -> None:
        self.nodes[ino].xattrs[name] = value

    async def listxattr(self, ino: int) -> Sequence[bytes]:
        return list(self.nodes[ino].xattrs)

    async def removexattr(self, ino: int, name: bytes) -> None:
        await self.getxattr(ino, name)
        del self.nodes[ino].xattrs[name]

    async def statfs(self) -> VolumeSpace:
        return VolumeSpace(1 << 40, 1 << 39, len(self.nodes))
