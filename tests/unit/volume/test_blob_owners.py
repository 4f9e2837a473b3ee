"""Blob owners: what the extents say, through all their changes; who watches hears of what is set free."""

from collections.abc import Iterator
from random import Random
from stat import S_IFREG

import pytest

from trivet.volume.blob_names import BlobNames
from trivet.volume.changes import ChangeSet
from trivet.volume.extents import blobs_of
from trivet.volume.interface import ROOT_INO
from trivet.volume.namespace import Namespace
from trivet.wire.blobs import BlobRef


def searched(space: Namespace) -> dict[int, tuple[int, int]]:
    """Return name -> place of every blob, found by going through all extents."""
    layout = space.layout
    return {
        blob.name: (ino, mib)
        for ino in space.inodes
        for mib, value in layout.all_extents(ino)
        for blob in blobs_of(value)
    }


def known(space: Namespace) -> dict[int, tuple[int, int] | None]:
    owners = space.layout.owners
    return {name: owners.place(name) for name in owners}


def names() -> Iterator[int]:
    yield from range(1, 1 << 30)


@pytest.mark.parametrize("seed", range(5))
def test_owners_are_what_a_search_finds(seed: int) -> None:
    rng, fresh = Random(seed), names()
    space = Namespace(BlobNames(1))
    space.make_root(0, 0, 1)
    files = [space.make(ROOT_INO, b"%d" % number, S_IFREG | 0o600, 0, 0, 1).ino for number in range(6)]
    watched = space.layout.owners.watch()
    ever: set[int] = set()
    for _step in range(300):
        inode = space.inode(rng.choice(files))
        match rng.randrange(6):
            case 0 | 1 | 2:
                blob = BlobRef(next(fresh), 4096 * 8, bytes(16))
                first = rng.randrange(248)
                space.layout.put_blob(
                    inode, rng.choice((0, 0, 1, 7)), [(first, first + 8)], blob, ChangeSet()
                )
                ever.add(blob.name)
            case 3:
                space.layout.cut(inode, rng.randrange(2 * 256), ChangeSet())
            case 4:
                space.layout.exchange(inode, space.inode(rng.choice([f for f in files if f != inode.ino])), 1)
            case 5 if rng.random() < 0.1:
                space.layout.forget(inode, ChangeSet())
        assert known(space) == searched(space)
    assert watched.owners.keys() == ever - known(space).keys()
    for name, owner in watched.owners.items():
        assert name in {blob.name for blob in blobs_of(owner.value)}
