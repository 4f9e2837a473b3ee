"""Renaming: moving a name over another, never over another, or exchanging the two.

Rule: both names change in one change set, so nobody ever sees neither or both of what rename(2) promises.
"""

from errno import EEXIST, EINVAL, EISDIR, ENOTDIR, ENOTEMPTY

from trivet.errors import FileSystemError
from trivet.volume.attributes import Inode
from trivet.volume.entry_names import check_name
from trivet.volume.namespace import Namespace


def rename(
    space: Namespace,
    parent: int,
    name: bytes,
    new_parent: int,
    new_name: bytes,
    now_ns: int,
    *,
    replace: bool,
) -> None:
    """Move `name` of `parent` to `new_name` of `new_parent`, over what stands there if `replace`."""
    inode = space.lookup(parent, name)
    new_names = space.directory(new_parent)
    check_name(new_name)
    old_ino = new_names.get(new_name)
    if old_ino is not None and not replace:
        raise FileSystemError(EEXIST)
    if inode.is_directory:
        _refuse_cycle(space, inode.ino, new_parent)
    if old_ino == inode.ino:
        return
    if old_ino in space.directories and _is_within(space, parent, old_ino):
        raise FileSystemError(ENOTEMPTY)
    old = None if old_ino is None else space.inode(old_ino)
    if old is not None:
        _check_replaceable(space, inode, old)
    holder = space.inode(parent)
    new_holder = space.inode(new_parent)
    space.quotas.begin_move(inode, parent, new_parent, old)
    space.take_name(holder, space.directories[parent], name, now_ns)
    space.put_name(new_holder, new_names, new_name, inode.ino, now_ns)
    if old is not None and old.is_directory:
        space.drop_directory(new_holder, old, now_ns)
    elif old is not None:
        space.drop_link(old, now_ns)
    _settle(space, inode, holder, new_holder, now_ns)
    space.quotas.end_move()


def exchange(
    space: Namespace, parent: int, name: bytes, new_parent: int, new_name: bytes, now_ns: int
) -> None:
    """Let two names change what they name; both must exist."""
    inode = space.lookup(parent, name)
    other = space.lookup(new_parent, new_name)
    if inode.is_directory:
        _refuse_cycle(space, inode.ino, new_parent)
    if other.is_directory:
        _refuse_cycle(space, other.ino, parent)
    if inode.ino == other.ino:
        return
    holder = space.inode(parent)
    new_holder = space.inode(new_parent)
    space.quotas.begin_move(inode, parent, new_parent, other)
    space.quotas.begin_move(other, new_parent, parent, inode)
    space.put_name(holder, space.directories[parent], name, other.ino, now_ns)
    space.put_name(new_holder, space.directories[new_parent], new_name, inode.ino, now_ns)
    _settle(space, inode, holder, new_holder, now_ns)
    _settle(space, other, new_holder, holder, now_ns)
    space.quotas.end_move()
    if inode.is_directory != other.is_directory and max(inode.nlink, other.nlink) > 1:
        space.quotas.recount()  # the file's other names may lie below the directory


def _settle(space: Namespace, inode: Inode, holder: Inode, new_holder: Inode, now_ns: int) -> None:
    inode.ctime_ns = now_ns
    space.touch(inode.ino)
    if inode.is_directory and holder is not new_holder:
        holder.nlink -= 1
        new_holder.nlink += 1
        space.parents[inode.ino] = new_holder.ino


def _refuse_cycle(space: Namespace, ino: int, new_parent: int) -> None:
    if _is_within(space, new_parent, ino):
        raise FileSystemError(EINVAL)


def _is_within(space: Namespace, directory: int, ino: int) -> bool:
    """Tell whether `directory` is `ino` or lies below it."""
    while directory != ino and (parent := space.parents[directory]) != directory:
        directory = parent
    return directory == ino


def _check_replaceable(space: Namespace, inode: Inode, old: Inode) -> None:
    if not old.is_directory:
        if inode.is_directory:
            raise FileSystemError(ENOTDIR)
    elif not inode.is_directory:
        raise FileSystemError(EISDIR)
    elif space.directories[old.ino]:
        raise FileSystemError(ENOTEMPTY)
