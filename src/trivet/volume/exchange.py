"""Exchanging the content of two files: bytes, size and mtime change places, names and the rest stay.

Rule: all of it is one change set; page records move by being written anew, extents by being named anew.
Rule: nothing of either file may be dirty, and no blob is freed or new.
Rule: who has one of the files open goes on with the content it opened.
Rule: the mark of a body that is away goes where the body goes; `other` is what people see, `ino` staged.
"""

from collections.abc import Mapping
from errno import EFBIG, EINVAL, EISDIR, ENOENT

from trivet.errors import ContentAway, FileSystemError
from trivet.volume.interface import AWAY
from trivet.volume.namespace import Namespace
from trivet.wire.records import extents_key, page_key, xattr_key

#: So many records of both files fit into one entry of the log; a file of 16 GiB has about half of them.
RECORDS_MAX = 32_768
Bodies = Mapping[int, bytes]


def check_exchangeable(space: Namespace, ino: int, other: int) -> None:
    """Raise the errno of two inodes whose content can't be exchanged."""
    one, two = space.inode(ino), space.inode(other)
    for inode in (one, two):
        if inode.is_directory:
            raise FileSystemError(EISDIR)
        if not inode.is_regular:
            raise FileSystemError(EINVAL)
        if inode.nlink == 0:
            raise FileSystemError(ENOENT)
    if ino == other:
        raise FileSystemError(EINVAL)
    for inode, more in ((one, two.size - one.size), (two, one.size - two.size)):
        space.quotas.check_growth(inode.ino, more)
    if len(space.layout.all_extents(ino)) + len(space.layout.all_extents(other)) > RECORDS_MAX:
        raise FileSystemError(EFBIG, "files this large can't be exchanged in one step")


def exchange_content(
    space: Namespace, ino: int, other: int, bodies: Bodies, other_bodies: Bodies, now_ns: int
) -> None:
    """Exchange what `ino` and `other` hold; the bodies are those of all their page records, by page."""
    one, two = space.inode(ino), space.inode(other)
    layout, records = space.layout, space.changes.records
    for inode, held in ((one, bodies), (two, other_bodies)):
        assert space.dirty.get(inode.ino) is None, "dirty data would be lost"
        assert layout.pages(inode) == sorted(held), "page records would be lost"
    extents, other_extents = dict(layout.all_extents(ino)), dict(layout.all_extents(other))
    for mib in extents.keys() | other_extents.keys():
        records[extents_key(ino, mib)] = other_extents.get(mib)
        records[extents_key(other, mib)] = extents.get(mib)
    for page in bodies.keys() | other_bodies.keys():
        records[page_key(ino, page)] = other_bodies.get(page)
        records[page_key(other, page)] = bodies.get(page)
    # What was away nobody has opened, so its number stays: `cp` looks whether that is the same after opening.
    layout.exchange(one, two, now_ns, renumber=not is_away(space, other))
    space.open_files.exchange(ino, other)
    _exchange_marks(space, ino, other)
    if space.quotas:
        space.quotas.grown(ino, two.size - one.size)
        space.quotas.grown(other, one.size - two.size)
    one.size, two.size = two.size, one.size
    one.mtime_ns, two.mtime_ns = two.mtime_ns, one.mtime_ns
    for inode in (one, two):
        inode.ctime_ns = now_ns
        space.touch(inode.ino)


def is_away(space: Namespace, ino: int) -> bool:
    """Tell whether the body of `ino` is not in the banks."""
    return space.xattrs.has(ino, AWAY)


def check_here(space: Namespace, ino: int) -> None:
    """Raise ContentAway if the body of `ino` is not in the banks."""
    if is_away(space, ino):
        raise ContentAway("the content of this file is at its vendor and has not been fetched yet")


def drop_mark(space: Namespace, ino: int) -> None:
    """Note that the body of `ino` is what is here, whatever it was."""
    if is_away(space, ino):
        space.xattrs.remove(ino, AWAY)
        space.changes.records[xattr_key(ino, AWAY)] = None


def _exchange_marks(space: Namespace, ino: int, other: int) -> None:
    marks = [space.xattrs.value(one, AWAY) if is_away(space, one) else None for one in (ino, other)]
    for one, mark in ((ino, marks[1]), (other, marks[0])):
        drop_mark(space, one)
        if mark is not None:
            space.xattrs.put(one, AWAY, mark)
            space.changes.records[xattr_key(one, AWAY)] = mark
