"""Restoring: what a snapshot has, or one path of it, in place of what is there now.

Rule: it is written out of sight first; then names at the top are exchanged, one step each.
Rule: what was there goes with the folder it was exchanged into; the snapshot of the present has it.
"""

from collections.abc import Mapping
from stat import S_ISDIR

from trivet.client.backup.carrying import Carried, at_path, told
from trivet.client.backup.incoming import Move, Placing, found_at, incoming, place
from trivet.client.backup.snapshot_tree import SnapshotTree
from trivet.client.backup.tree_writing import TreeWriter, attribute_changes
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import InputError
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import Caller
from trivet.wire.path_text import path_bytes, path_text

LISTED_AT_ONCE = 1000
TOP = b".top"


async def restore(volume: RemoteVolume, folder: VolumeFolder, tree: SnapshotTree, path: str) -> Carried:
    """Let `path` of the drive ("/" is everything) be what it was in `tree`; return what was written."""
    parts = [part for part in path_bytes(path).split(b"/") if part]
    top = tree.find(path)
    parent = await at_path(volume, path_text(b"/" + b"/".join(parts[:-1])))
    if not S_ISDIR(parent.mode):
        raise InputError(f"what holds {path} is no folder now; restore that first")
    async with incoming(volume, folder) as stage:
        # A folder is written as itself, below the stage: it is exchanged whole, attributes and all.
        written = (await volume.mkdir(stage, TOP, 0o700, Caller(0, 0))).ino
        writer = TreeWriter(volume, written)
        try:
            async for entry in tree.walk(path):
                await writer.write(entry)
            await writer.finish()
        finally:
            await writer.abandon()
        if not parts:
            plan = await _whole(volume, written, parent.ino)
        elif tree.inode(top).is_directory:
            await volume.rename(stage, TOP, stage, parts[-1], replace=False, exchange=False)
            plan = Placing([await _move(volume, stage, parent.ino, parts[-1])])
        else:
            plan = Placing([await _move(volume, written, parent.ino, parts[-1])])
        placed = await place(volume, plan, overwrite=True)
        if not parts:
            await _restore_xattrs(volume, parent.ino, tree.xattrs.get(top, {}))
            await volume.setattr(parent.ino, attribute_changes(tree.inode(top).attributes()))
            await volume.fsyncdir(parent.ino)
    left_out = told(tree.left_out)
    more = len(tree.left_out) - len(left_out)
    return Carried(writer.files, writer.folders, writer.links, writer.size_bytes, placed, left_out, more)


async def _move(volume: RemoteVolume, source: int, target: int, name: bytes) -> Move:
    over = await found_at(volume, target, name) is not None
    return Move(source, target, name, b"/" + name, over)


async def _whole(volume: RemoteVolume, written: int, root: int) -> Placing:
    """Return the moves that put every name of `written` into `root`, and take all others out of it."""
    plan = Placing()
    back = await _names(volume, written)
    now = set(await _names(volume, root))
    plan.moves = [Move(written, root, name, b"/" + name, name in now) for name in back]
    plan.moves += [
        Move(root, written, name, b"/" + name, over=False) for name in sorted(now.difference(back))
    ]
    return plan


async def _restore_xattrs(volume: RemoteVolume, ino: int, xattrs: Mapping[bytes, bytes]) -> None:
    for name in await volume.listxattr(ino):
        if name not in xattrs:
            await volume.removexattr(ino, name)
    for name, value in xattrs.items():
        await volume.setxattr(ino, name, value, create=False, replace=False)


async def _names(volume: RemoteVolume, ino: int) -> list[bytes]:
    names: list[bytes] = []
    cookie = 0
    while listed := await volume.listing(ino, cookie, LISTED_AT_ONCE):
        cookie = listed[-1].cookie
        names += [one.name for one in listed]
    return names
