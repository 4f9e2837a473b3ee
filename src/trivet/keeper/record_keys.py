"""The keys of records, as the volume in memory knows them: what must be stored even if no bank lists it."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from trivet.quorum.membership import CONFIG_KEY
from trivet.volume.namespace import Namespace
from trivet.wire.records import (
    ASKED,
    bucket_of,
    entry_key,
    extents_key,
    inode_key,
    orphan_key,
    page_key,
    xattr_key,
)


def keys_of(space: Namespace, inodes: Iterable[int], names_at_most: int | None = None) -> Iterator[bytes]:
    """Yield the keys of every record of `inodes`, of large directories the first `names_at_most` names."""
    for ino in inodes:
        inode = space.inodes.get(ino)
        if inode is None:
            continue
        yield inode_key(ino)
        yield from (page_key(ino, page) for page in space.layout.pages(inode))
        yield from (extents_key(ino, mib) for mib, _ in space.layout.all_extents(ino))
        yield from (xattr_key(ino, name) for name in space.xattrs.names(ino))
        for name, number in islice(space.directories.get(ino, {}).items(), names_at_most):
            yield entry_key(ino, name)
            yield inode_key(number)


def keys_in(space: Namespace, buckets: Collection[int]) -> set[bytes]:
    """Return every key of the volume whose record belongs to one of `buckets`."""
    wanted = {key for key in keys_of(space, space.inodes) if bucket_of(key) in buckets}
    others = (CONFIG_KEY, *map(orphan_key, space.inodes), *(ASKED + client for client in space.asked))
    return wanted.union(key for key in others if bucket_of(key) in buckets)
