"""Paths in a volume: from text to inode numbers, following symbolic links as far as the volume goes.

Rule: a path never leads out of the volume: `..` of the root is the root, an absolute link begins there.
Rule: nothing is remembered: each path is looked up anew.
"""

import os
from errno import ELOOP, ENOENT
from stat import S_ISLNK
from typing import NamedTuple

from trivet.errors import FileSystemError
from trivet.volume.interface import ROOT_INO, Attributes, Volume

LINKS_MAX = 40


class Place(NamedTuple):
    """A name in a directory, and what it names now, if anything."""

    parent: int
    name: bytes
    found: Attributes | None


async def find(volume: Volume, path: str) -> Attributes:
    """Return what `path` leads to; raises ENOENT, ENOTDIR or ELOOP."""
    place = await find_place(volume, path)
    if place.found is None:
        raise FileSystemError(ENOENT)
    return place.found


async def find_place(volume: Volume, path: str) -> Place:
    """Return where `path` leads, whose last name may not exist; the root's name is empty."""
    waiting = _names(os.fsencode(path))
    trail = [await volume.getattr(ROOT_INO)]
    links = 0
    name = b""
    while waiting:
        name = waiting.pop()
        if name == b"..":
            del trail[max(len(trail) - 1, 1) :]
            continue
        try:
            found = await volume.lookup(trail[-1].ino, name)
        except FileSystemError as error:
            if error.errno == ENOENT and not waiting:
                return Place(trail[-1].ino, name, None)
            raise
        if not S_ISLNK(found.mode):
            trail.append(found)
            continue
        links += 1
        if links > LINKS_MAX:
            raise FileSystemError(ELOOP)
        target = await volume.readlink(found.ino)
        if target.startswith(b"/"):
            del trail[1:]
        waiting += _names(target)
    parent = trail[-2].ino if len(trail) > 1 else ROOT_INO
    return Place(parent, name if len(trail) > 1 else b"", trail[-1])


def _names(path: bytes) -> list[bytes]:
    """Return the names of a path, the last one first."""
    return [name for name in reversed(path.split(b"/")) if name not in (b"", b".")]
