"""Comparing a volume in use with one loaded from what it stored."""

from typing import Any

from memory_ports import MemoryBanks
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.namespace import Namespace


async def contents(volume: LocalVolume) -> dict[int, Any]:
    """Return everything a volume holds of each inode that has a name."""
    space = volume.space
    found: dict[int, Any] = {}
    for ino in space.inodes:
        inode = space.inode(ino)
        if inode.nlink == 0:
            continue
        body = b""
        if inode.is_regular:
            handle = await volume.open(ino, writing=False, truncate=False, sync=False)
            body = await volume.read(handle, 0, 1 << 23)
            await volume.release(handle)
            inode = space.inode(ino)
        found[ino] = (
            inode.pack(inode.size),
            space.directories.get(ino),
            space.parents.get(ino),
            space.layout.pages(inode),
            space.layout.all_extents(ino),
            {name: await volume.getxattr(ino, name) for name in space.xattrs.names(ino)},
            body,
        )
    return found


async def assert_same_volume(volume: LocalVolume, banks: MemoryBanks, loaded: Namespace) -> None:
    """Assert that `loaded`, built from the records, holds byte for byte what `volume` shows."""
    assert await contents(volume) == await contents(banks.copied().volume(loaded))
