"""The keys of records, as the volume in memory knows them: what must be stored even if no bank lists it.

Rule: what goes through many inodes lets others of the loop work after some of them each; inodes that come
or go meanwhile may be left out.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from itertools import islice

from trivet.quorum.membership import CONFIG_KEY
from trivet.volume.namespace import Namespace
from trivet.wire.records import (
    ASKED,
    bucket_of,
    entry_key,
    extents_key,
    ino_of,
    inode_key,
    orphan_key,
    page_key,
    xattr_key,
)

KEYS_A_TURN = 2000


def own_keys(space: Namespace, ino: int) -> Iterator[bytes]:
    """Yield the keys of the records of `ino` itself, in a directory but those of its names."""
    inode = space.inodes.get(ino)
    if inode is None:
        return
    yield inode_key(ino)
    yield from (page_key(ino, page) for page in space.layout.pages(inode))
    yield from (extents_key(ino, mib) for mib, _ in space.layout.all_extents(ino))
    yield from (xattr_key(ino, name) for name in space.xattrs.names(ino))


def keys_of(space: Namespace, inodes: Iterable[int], names_at_most: int) -> Iterator[bytes]:
    """Yield the keys of every record of `inodes`, of large directories the first `names_at_most` names."""
    for ino in inodes:
        yield from own_keys(space, ino)
        for name, number in islice(space.directories.get(ino, {}).items(), names_at_most):
            yield entry_key(ino, name)
            yield inode_key(number)


async def all_keys_of(space: Namespace, inodes: Sequence[int]) -> AsyncIterator[list[bytes]]:
    """Yield the keys of every record of `inodes`, every name among them, about KEYS_A_TURN at a time."""
    keys: list[bytes] = []
    for ino in inodes:
        keys += own_keys(space, ino)
        names = space.directories.get(ino, ())
        for name in list(names):
            keys.append(entry_key(ino, name))
            if len(keys) >= KEYS_A_TURN:
                yield keys
                await asyncio.sleep(0)
                keys = []
        if len(keys) >= KEYS_A_TURN:
            yield keys
            await asyncio.sleep(0)
            space.inodes.cool()
            keys = []
    if keys:
        yield keys


async def keys_in(space: Namespace, buckets: Collection[int]) -> set[bytes]:
    """Return every key of the volume whose record belongs to one of `buckets`."""
    inodes = list(space.inodes)
    others = (CONFIG_KEY, *(ASKED + client for client in space.asked))
    wanted = {key for key in others if bucket_of(key) in buckets}
    async for keys in all_keys_of(space, inodes):
        wanted.update(key for key in keys if bucket_of(key) in buckets)
        orphans = (orphan_key(ino_of(key)) for key in keys if key.startswith(b"i/"))
        wanted.update(key for key in orphans if bucket_of(key) in buckets)
    return wanted
