"""Quotas beside a count of the whole tree: whatever is done, both must say the same."""

from errno import EDQUOT
from random import Random

from trivet.errors import FileSystemError
from trivet.volume.blob_names import BlobNames
from trivet.volume.interface import ROOT_INO
from trivet.volume.namespace import Namespace
from trivet.volume.quotas import Amount
from trivet.volume.rename import exchange, rename

FILE, FOLDER = 0o100644, 0o040755


def counted(space: Namespace, top: int) -> Amount:
    """Count what is below `top` from nothing but the names."""
    homes: dict[int, set[int]] = {}
    for directory, names in space.directories.items():
        for ino in names.values():
            homes.setdefault(ino, set()).add(directory)
    size = files = 0
    for ino, directories in homes.items():
        at = min(directories)
        while at != top and at != space.parents[at]:
            at = space.parents[at]
        if at == top:
            inode = space.inode(ino)
            size += inode.size if inode.is_regular else 0
            files += 1
    return Amount(size, files)


def test_counts_are_those_of_the_tree() -> None:
    refused = [refusals(seed) for seed in range(12)]
    assert any(EDQUOT in seen for seen in refused)


def refusals(seed: int) -> set[int | None]:
    """Do a random sequence, counting anew after every step; return what was refused with which errno."""
    rng = Random(seed)
    space = Namespace(BlobNames(1))
    space.make_root(0, 0, 0)
    refused: set[int | None] = set()
    for step in range(400):
        try:
            one_step(space, rng)
        except FileSystemError as error:
            refused.add(error.errno)
        space.take_changes()
        for ino in space.quotas.limits:
            assert space.quotas.used[ino] == counted(space, ino), (seed, step)
    return refused


def one_step(space: Namespace, rng: Random) -> None:
    """Do something anywhere; it may be refused."""
    folders = list(space.directories)
    folder, other = rng.choice(folders), rng.choice(folders)
    name, new = (b"%d" % rng.randrange(6) for _ in range(2))
    match rng.randrange(10):
        case 0:
            space.make(folder, name, FOLDER, 0, 0, 0)
        case 1 | 2:
            space.make(folder, name, FILE, 0, 0, 0)
        case 3:
            inode = space.lookup(folder, name)
            if inode.is_regular:
                more = rng.randrange(-inode.size, 100)
                space.quotas.grow(inode.ino, more)
                inode.size += more
                space.touch(inode.ino)
        case 4:
            space.link(space.lookup(folder, name).ino, other, new, 0)
        case 5:
            space.unlink(folder, name, 0)
        case 6:
            space.rmdir(folder, name, 0)
        case 7:
            rename(space, folder, name, other, new, 0, replace=True)
        case 8:
            exchange(space, folder, name, other, new, 0)
        case 9:
            limits = rng.choice((b"- 12", b"300 -", b"1000 20", None))
            space.quotas.set(rng.choice([ino for ino in folders if ino != ROOT_INO] or [ROOT_INO]), limits)
