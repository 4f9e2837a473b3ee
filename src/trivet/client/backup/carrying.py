"""Whole trees carried out of a volume and into it: what `trivet export` and `trivet import` do.

Rule: what was written, and what was left out and why, is told in full, whatever way it ends.
"""

from collections.abc import AsyncIterator

import msgspec

from trivet.client.backup.incoming import incoming, place, plan_placing
from trivet.client.backup.tree_entry import TreeEntry
from trivet.client.backup.tree_writing import TreeWriter
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import FileSystemError, InputError, NotFound
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Attributes
from trivet.wire.path_text import path_bytes, path_text

TOLD_MAX = 1000


class Carried(msgspec.Struct, frozen=True):
    """How much went: `files` are all names but folders and further names of a file, which are `links`.

    `placed` names were put where people see them; `left_out` are (path, why), at most TOLD_MAX.
    """

    files: int
    folders: int
    links: int
    size_bytes: int
    placed: int = 0
    left_out: list[tuple[str, str]] = []
    left_out_more: int = 0


async def at_path(volume: RemoteVolume, path: str) -> Attributes:
    """Return what stands at `path` of the drive, links not followed; raises NotFound."""
    found = await volume.getattr(ROOT_INO)
    try:
        for name in path_bytes(path).split(b"/"):
            if name:
                found = await volume.lookup(found.ino, name)
    except FileSystemError as error:
        raise NotFound(f"there is no {path} in the drive") from error
    return found


async def bring_in(
    volume: RemoteVolume,
    folder: VolumeFolder,
    entries: AsyncIterator[TreeEntry],
    into: str,
    *,
    overwrite: bool,
) -> Carried:
    """Write `entries` below the folder `into`, all of them or, if anything is wrong before, none."""
    target = await at_path(volume, into)
    async with incoming(volume, folder) as top:
        writer = TreeWriter(volume, top)
        try:
            async for entry in entries:
                await writer.write(entry)
            await writer.finish()
        except InputError as error:
            raise InputError(f"{error}; nothing was written to the drive") from error
        finally:
            await writer.abandon()
        placed = await place(volume, await plan_placing(volume, top, target.ino), overwrite=overwrite)
    return Carried(writer.files, writer.folders, writer.links, writer.size_bytes, placed)


def told(left_out: list[tuple[bytes, str]]) -> list[tuple[str, str]]:
    """Return what was left out as text, the first TOLD_MAX."""
    return [(path_text(path), why) for path, why in left_out[:TOLD_MAX]]
