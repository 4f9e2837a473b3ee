"""Old versions of files: listed, read, kept, restored, removed when the retention rule says so.

Rule: an old version is an inode of its own below the private folder `revisions/<ino>`, named by when it
became old.
"""

import stat
import time
from errno import ENOENT, ESTALE

import msgspec

from trivet.drive.file_metadata import FileMetadata
from trivet.drive.resources import FileView
from trivet.drive.revisions import OldVersion, expired
from trivet.errors import FileSystemError, NotFound
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.nodes import decoded, entries_of
from trivet.volume.interface import Attributes, DescribedEntry


class Revision(msgspec.Struct, frozen=True):
    """One version of a file; `name` is the entry of an old one, None for the head."""

    id: str
    ino: int
    size: int
    modified_ns: int
    metadata: FileMetadata
    name: bytes | None


async def revisions_of(drive: Drive, view: FileView) -> list[Revision]:
    """Return every version of the file `view`, oldest first; the head comes last."""
    found = [
        _revision(entry.attributes, decoded(entry.value), entry.name)
        for entry in await _entries(drive, view.ino)
    ]
    found.sort(key=lambda one: one.name or b"")
    head = Revision(view.head_revision, view.ino, view.size, view.modified_ns, view.metadata, None)
    return [*found, head]


async def find_revision(drive: Drive, view: FileView, revision_id: str) -> Revision:
    """Return one version of `view`; "head" is the newest. Raises NotFound."""
    for one in await revisions_of(drive, view):
        if one.id == revision_id or (revision_id == "head" and one.name is None):
            return one
    raise NotFound(f"Revision not found: {revision_id[:80]}.")


def _revision(attributes: Attributes, data: FileMetadata, name: bytes) -> Revision:
    size, mtime_ns = attributes.size, attributes.mtime_ns
    return Revision(data.revision_of(size, mtime_ns), attributes.ino, size, mtime_ns, data, name)


async def _entries(drive: Drive, ino: int) -> list[DescribedEntry]:
    try:
        folder = (await drive.volume.lookup(drive.revisions_ino, str(ino).encode())).ino
    except FileSystemError as error:
        if error.errno == ENOENT:
            return []
        raise
    return [entry async for entry in entries_of(drive, folder) if stat.S_ISREG(entry.attributes.mode)]


async def prune(drive: Drive, ino: int) -> None:
    """Remove the old versions of `ino` that the retention rule does not keep."""
    entries = {entry.attributes.ino: entry for entry in await _entries(drive, ino)}
    versions = [
        OldVersion(
            str(number),
            number,
            int(entry.name) / 10**9 if entry.name.isdigit() else 0.0,
            decoded(entry.value).keep_forever,
        )
        for number, entry in entries.items()
    ]
    for one in expired(versions, time.time()):
        await remove_old(drive, ino, entries[one.ino].name)


async def remove_old(drive: Drive, ino: int, name: bytes) -> None:
    """Remove the old version of `ino` with this entry."""
    folder = await drive.volume.lookup(drive.revisions_ino, str(ino).encode())
    await drive.volume.unlink(folder.ino, name)


async def forget_gone(drive: Drive) -> None:
    """Remove the old versions of files that were removed, or renamed over, in the folder."""
    inos = [int(entry.name) async for entry in entries_of(drive, drive.revisions_ino) if entry.name.isdigit()]
    for ino in inos:
        try:
            await drive.volume.getattr(ino)
        except FileSystemError as error:
            if error.errno not in {ENOENT, ESTALE}:
                raise
            await forget(drive, ino)


async def forget(drive: Drive, ino: int) -> None:
    """Remove all old versions of a file that is gone."""
    for entry in await _entries(drive, ino):
        await remove_old(drive, ino, entry.name)
    try:
        await drive.volume.rmdir(drive.revisions_ino, str(ino).encode())
    except FileSystemError as error:
        if error.errno != ENOENT:
            raise
