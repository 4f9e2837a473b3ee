"""What a kernel that caches the volume must forget when a client elsewhere changes something.

Rule: told from the call alone, as the namespace is before it is done; a little too much is harmless.
Rule: names of exchanged content are told as they are afterwards, too: it may have been renamed meanwhile.
"""

from typing import NamedTuple

from trivet.volume import body_calls as body
from trivet.volume import name_calls as name
from trivet.volume.calls import AnyCall
from trivet.volume.namespace import Namespace


class Effects(NamedTuple):
    """Inodes whose attributes or bytes change, and (parent, name)s that name something else."""

    inodes: set[int]
    names: set[tuple[int, bytes]]


def effects_of(call: AnyCall, space: Namespace) -> Effects:
    """Return what `call` will have changed when it is done."""
    match call:
        case name.SetAttr() | name.SetXattr() | name.RemoveXattr() | body.Open(truncate=True):
            return Effects({call.ino}, set())
        case body.Write() | body.PutBlobs():
            return Effects({space.open_files.get(call.handle).ino}, set())
        case body.Publish():
            return Effects({call.staged, call.target}, _names(space, call.staged, call.target))
        case name.Link():
            return Effects({call.ino, call.parent}, {(call.parent, call.name)})
        case name.MkDir() | name.MkNod() | name.SymLink() | body.Create() | name.Unlink() | name.RmDir():
            return _named(space, (call.parent, call.name))
        case name.Rename():
            return _named(space, (call.parent, call.name), (call.new_parent, call.new_name))
        case _:
            return Effects(set(), set())


def effects_afterwards(call: AnyCall, space: Namespace, before: Effects) -> Effects:
    """Return what `call` has changed, now that it is done, with what was known `before`."""
    if isinstance(call, body.Publish):
        return Effects(before.inodes, before.names | _names(space, call.staged, call.target))
    return before


def _names(space: Namespace, *inos: int) -> set[tuple[int, bytes]]:
    """Return all names of inodes that exchange content: each leads to another number then."""
    return {name for ino in inos for name in space.holders.names(ino, space.directories)}


def _named(space: Namespace, *names: tuple[int, bytes]) -> Effects:
    inodes = {parent for parent, _name in names}
    for parent, one in names:
        ino = space.directories.get(parent, {}).get(one)
        if ino is not None:
            inodes.add(ino)
    return Effects(inodes, set(names))
