"""The trash, and removal for good.

Rule: what is trashed keeps its inode, its id and its old versions; it stands in the private folder `trash`
under its number, and knows where it was.
Rule: a folder is removed in one step for whoever looks, then emptied where nobody does.
"""

import secrets
import stat
import time
from errno import ENOENT, ENOTEMPTY

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.names import shown
from trivet.drive.resources import FileView
from trivet.drive.rights import Principal
from trivet.errors import FileSystemError, Forbidden, NotFound
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.old_versions import forget
from trivet.gateway.files.publishing import place
from trivet.volume.interface import ROOT_INO

_DOOMED = "doomed-"


async def trash(drive: Drive, view: FileView) -> None:
    """Put `view` into the trash; one that is there already stays."""
    refuse_root(view)
    if view.explicitly_trashed:
        return
    parent, name = (await drive.volume.names_of(view.ino))[0]
    data = view.metadata.changed(trashed_from=(parent, shown(name)), trashed_ns=time.time_ns())
    await nodes.store_metadata(drive, view.ino, data)
    await drive.volume.rename(
        parent, name, drive.trash_ino, str(view.ino).encode(), replace=False, exchange=False
    )


async def untrash(drive: Drive, view: FileView) -> None:
    """Put `view` back to where it was; to the root if that folder is gone."""
    if not view.trashed:
        return
    if view.metadata.trashed_from is None:
        raise InvalidParameter(f"{view.name} is in a folder that was trashed; restore the folder", "trashed")
    parent = view.metadata.trashed_from[0]
    try:
        above = await nodes.look(drive, parent, view.me)
        parent = ROOT_INO if above.trashed else parent
    except (FileSystemError, NotFound):
        parent = ROOT_INO
    data = view.metadata.changed(trashed_from=None, trashed_ns=None, name=view.name)
    await place(drive, drive.trash_ino, str(view.ino).encode(), view.ino, parent, data)


async def remove(drive: Drive, view: FileView) -> None:
    """Remove `view` for good: all its names, its old versions, and all below it."""
    refuse_root(view)
    if not view.is_folder:
        for parent, name in await drive.volume.names_of(view.ino):
            await drive.volume.unlink(parent, name)
        await forget(drive, view.ino)
        return
    parent, name = (await drive.volume.names_of(view.ino))[0]
    doomed = f"{_DOOMED}{view.ino}-{secrets.token_hex(6)}".encode()
    await drive.volume.rename(parent, name, drive.trash_ino, doomed, replace=False, exchange=False)
    await _remove_tree(drive, drive.trash_ino, doomed, view.ino)


async def _remove_tree(drive: Drive, parent: int, name: bytes, ino: int) -> None:
    """Remove a folder nobody sees any more, depth first without recursion."""
    stack = [(parent, name, ino)]
    while stack:
        above, called, folder = stack[-1]
        folders = []
        entries = await drive.volume.listing(folder, 0, nodes.LISTING_STEP)
        for entry in entries:
            if entry.name in (b".", b".."):
                continue
            if stat.S_ISDIR(entry.attributes.mode):
                folders.append((folder, entry.name, entry.attributes.ino))
                continue
            await drive.volume.unlink(folder, entry.name)
            if entry.attributes.nlink == 1:
                await forget(drive, entry.attributes.ino)
        stack += folders
        if folders:
            continue
        try:
            await drive.volume.rmdir(above, called)
        except FileSystemError as error:
            if error.errno == ENOTEMPTY:
                continue
            if error.errno != ENOENT:
                raise
        stack.pop()


async def empty_trash(drive: Drive, who: Principal) -> int:
    """Remove for good what is in the trash and `who` may change; return how much that was."""
    count = 0
    async for entry in nodes.entries_of(drive, drive.trash_ino):
        if entry.name.startswith(_DOOMED.encode()):
            continue
        view = await nodes.look(drive, entry.attributes.ino, who.user)
        try:
            await nodes.check(drive, view, who, "w")
        except (Forbidden, NotFound):
            continue
        await remove(drive, view)
        count += 1
    return count


async def finish_removals(drive: Drive) -> None:
    """Go on with removals that a worker's end broke off."""
    doomed = [
        entry
        async for entry in nodes.entries_of(drive, drive.trash_ino)
        if entry.name.startswith(_DOOMED.encode())
    ]
    for entry in doomed:
        await _remove_tree(drive, drive.trash_ino, entry.name, entry.attributes.ino)


def refuse_root(view: FileView) -> None:
    """Raise Forbidden if `view` is the drive's root."""
    if view.ino == ROOT_INO:
        raise Forbidden("the root of the drive stays where it is")
