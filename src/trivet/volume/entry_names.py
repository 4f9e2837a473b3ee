"""Names as they stand in directories: which ones can, what their records hold, where a path of them leads."""

from collections.abc import Mapping
from errno import EINVAL, ENAMETOOLONG, ENOENT

from trivet.errors import FileSystemError, NotFound
from trivet.volume.interface import NAME_MAX_BYTES, ROOT_INO
from trivet.wire.path_text import path_bytes


def entry_value(ino: int) -> bytes:
    """Return the value of a `d/` record: the inode's number, 8 bytes big endian."""
    return ino.to_bytes(8, "big")


def check_name(name: bytes) -> None:
    """Raise the errno of a name that can't stand in a directory."""
    if len(name) > NAME_MAX_BYTES:
        raise FileSystemError(ENAMETOOLONG)
    if not name:
        raise FileSystemError(ENOENT)
    if name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise FileSystemError(EINVAL)


def find_path(directories: Mapping[int, Mapping[bytes, int]], path: str, where: str = "the drive") -> int:
    """Return the inode that `path` leads to from the root, links not followed; raises NotFound in `where`.

    `directories` has the names of each directory, and the inode of each name.
    """
    ino = ROOT_INO
    for name in path_bytes(path).split(b"/"):
        if name:
            ino = directories.get(ino, {}).get(name, 0)
            if not ino:
                raise NotFound(f"there is no {path} in {where}")
    return ino
