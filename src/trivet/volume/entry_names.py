"""Names as they stand in directories: which ones can, and what their records hold."""

from errno import EINVAL, ENAMETOOLONG, ENOENT

from trivet.errors import FileSystemError
from trivet.volume.interface import NAME_MAX_BYTES


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
