"""The files below a folder as the cache sees them: how large, and whether their bodies are in the banks."""

import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from errno import ENOENT

from trivet.drive.names import check_path, shown
from trivet.errors import FileSystemError, NotFound
from trivet.volume.interface import AWAY, ROOT_INO, VersionedVolume

_STEP = 500


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file; `away` is the mark of its body (see `Upstream.mark`), None if that is here."""

    path: str
    ino: int
    size: int
    away: bytes | None


async def file_at(volume: VersionedVolume, path: str) -> tuple[str, int, bool]:
    """Return (path, inode, whether it is a folder) of what is at `path` of the drive, or raise NotFound."""
    names, ino, is_folder = check_path(path), ROOT_INO, True
    for name in names:
        try:
            found = await volume.lookup(ino, name.encode())
        except FileSystemError as error:
            raise NotFound(f"there is no {path} on this drive") from error
        ino, is_folder = found.ino, stat.S_ISDIR(found.mode)
    return "/" + "/".join(names), ino, is_folder


async def files_below(volume: VersionedVolume, path: str, ino: int) -> AsyncIterator[Found]:
    """Yield every file with bytes below the folder `ino` at `path`, a folder at a time."""
    folders = [(path.rstrip("/"), ino)]
    while folders:
        path, ino = folders.pop()
        cookie = 0
        while True:
            try:
                step = await volume.described_listing(ino, cookie, _STEP, AWAY, with_versions=False)
            except FileSystemError as error:
                if error.errno != ENOENT:
                    raise
                break  # it was removed meanwhile
            for entry in step:
                attributes, inside = entry.attributes, f"{path}/{shown(entry.name)}"
                if entry.name in (b".", b".."):
                    continue
                if stat.S_ISDIR(attributes.mode):
                    folders.append((inside, attributes.ino))
                elif stat.S_ISREG(attributes.mode) and attributes.size:
                    yield Found(inside, attributes.ino, attributes.size, entry.value)
            if len(step) < _STEP:
                break
            cookie = step[-1].cookie


async def files_at(volume: VersionedVolume, path: str) -> AsyncIterator[Found]:
    """Yield the file at `path`, or every file below it; NotFound if there is nothing."""
    whole, ino, is_folder = await file_at(volume, path)
    if is_folder:
        async for found in files_below(volume, whole, ino):
            yield found
        return
    told = await volume.describe(ino, AWAY)
    if stat.S_ISREG(told.attributes.mode) and told.attributes.size:
        yield Found(whole, ino, told.attributes.size, told.value)


async def path_of(volume: VersionedVolume, ino: int) -> str | None:
    """Return where `ino` is, by its oldest names; None if it is nowhere (any more)."""
    try:
        told = await volume.describe(ino, AWAY)
    except FileSystemError:
        return None
    if not told.way or told.way[-1].parent != ROOT_INO:
        return None
    return "/" + "/".join(shown(step.name) for step in reversed(told.way))
