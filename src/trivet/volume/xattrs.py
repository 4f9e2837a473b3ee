"""Extended attributes: names and small values resident, large values read from their record when asked for.

Rule: what we would not act on is refused: `system.` names (POSIX ACLs) are ENOTSUP, never stored in vain.
"""

from collections.abc import Sequence
from errno import E2BIG, EEXIST, EINVAL, ENODATA, ENOSPC, EOPNOTSUPP, ERANGE

from trivet.errors import FileSystemError
from trivet.volume.interface import NAME_MAX_BYTES

VALUE_MAX_BYTES = 64 << 10
LIST_MAX_BYTES = 64 << 10
#: What the HTTP door keeps of a file (300 bytes with its checksums) is told without asking a bank.
RESIDENT_MAX_BYTES = 384
_NAMESPACES = (b"user.", b"trusted.", b"security.")


class Xattrs:
    """The extended attributes of all inodes."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[int, dict[bytes, bytes | None]] = {}

    def names(self, ino: int) -> Sequence[bytes]:
        """Return the names an inode has, oldest first."""
        held = self._of.get(ino)
        return list(held) if held else ()

    def has(self, ino: int, name: bytes) -> bool:
        """Tell whether an inode has the attribute `name`."""
        held = self._of.get(ino)
        return held is not None and name in held

    def value(self, ino: int, name: bytes) -> bytes | None:
        """Return a value, None if only its record holds it; raise ENODATA if there is none."""
        held = self._of.get(ino)
        if held is None or name not in held:
            _check_name(name)
            raise FileSystemError(ENODATA)
        return held[name]

    def check(self, ino: int, name: bytes, value: bytes, *, create: bool, replace: bool) -> None:
        """Raise the errno of an attribute that can't be set."""
        _check_name(name)
        if len(value) > VALUE_MAX_BYTES:
            raise FileSystemError(E2BIG)
        held = self._of.get(ino, {})
        if name in held:
            if create:
                raise FileSystemError(EEXIST)
        elif replace:
            raise FileSystemError(ENODATA)
        elif sum(len(other) + 1 for other in held) + len(name) + 1 > LIST_MAX_BYTES:
            raise FileSystemError(ENOSPC)

    def put(self, ino: int, name: bytes, value: bytes) -> None:
        """Take in an attribute, from a user or from its record."""
        self._of.setdefault(ino, {})[name] = value if len(value) <= RESIDENT_MAX_BYTES else None

    def remove(self, ino: int, name: bytes) -> None:
        """Take an attribute away, or raise ENODATA."""
        held = self._of.get(ino)
        if held is None or name not in held:
            _check_name(name)
            raise FileSystemError(ENODATA)
        del held[name]
        if not held:
            del self._of[ino]

    def forget(self, ino: int) -> None:
        """Forget all of an inode."""
        self._of.pop(ino, None)


def _check_name(name: bytes) -> None:
    if len(name) > NAME_MAX_BYTES:
        raise FileSystemError(ERANGE)
    if not name.startswith(_NAMESPACES):
        raise FileSystemError(EOPNOTSUPP)
    if name in _NAMESPACES:
        raise FileSystemError(EINVAL)
