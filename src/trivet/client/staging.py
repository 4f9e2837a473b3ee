"""Staging: a file is written out of sight and put in its place when it is whole, over what stood there.

Rule: what is replaced keeps its inode, its names and its extended attributes; readers see whole versions.
Rule: what a dead program left staged is deleted by the next one that stages, when it is a day old.
"""

import os
import time
from errno import EEXIST, ENOENT
from stat import S_ISREG

from trivet.client.paths import Place
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import FileSystemError
from trivet.volume.interface import PRIVATE_INO, UPLOADS, Caller

PREFIX = b"staged-"
OLD_NS = 86_400 * 10**9
_LISTED_AT_ONCE = 1000


class Staged:
    """A file that is being written; `commit` or `discard` it."""

    def __init__(self, volume: RemoteVolume, uploads: int, name: bytes, ino: int, handle: int) -> None:
        self.size = 0
        self._volume = volume
        self._uploads = uploads
        self._name = name
        self._ino = ino
        self._handle: int | None = handle

    async def write(self, data: bytes) -> None:
        """Take in what comes next."""
        assert self._handle is not None
        await self._volume.write(self._handle, self.size, data)
        self.size += len(data)

    async def close(self) -> None:
        """End writing: all of it is acknowledged."""
        handle, self._handle = self._handle, None
        if handle is not None:
            try:
                await self._volume.flush(handle)
            finally:
                await self._volume.release(handle)

    async def commit(self, place: Place, *, replace: bool) -> None:
        """Put the file where `place` says; raises EEXIST if something is there that must not be replaced."""
        await self.close()
        volume = self._volume
        if place.found is None:
            try:
                await volume.rename(
                    self._uploads, self._name, place.parent, place.name, replace=False, exchange=False
                )
                return
            except FileSystemError as error:
                if error.errno != EEXIST or not replace:
                    raise
            place = place._replace(found=await volume.lookup(place.parent, place.name))
        assert place.found is not None
        if not replace or not S_ISREG(place.found.mode):
            raise FileSystemError(EEXIST)
        await volume.publish(self._ino, place.found.ino, None)
        await volume.unlink(self._uploads, self._name)

    async def discard(self) -> None:
        """Delete the file."""
        handle, self._handle = self._handle, None
        if handle is not None:
            await self._volume.release(handle)
        try:
            await self._volume.unlink(self._uploads, self._name)
        except FileSystemError as error:
            if error.errno != ENOENT:
                raise


async def stage(volume: RemoteVolume, mode: int = 0o644) -> Staged:
    """Begin a file out of sight."""
    uploads = (await volume.lookup(PRIVATE_INO, UPLOADS)).ino
    name = PREFIX + os.urandom(12).hex().encode()
    made, handle = await volume.create(uploads, name, mode, Caller(os.getuid(), os.getgid()))
    return Staged(volume, uploads, name, made.ino, handle)


async def delete_left_behind(volume: RemoteVolume) -> None:
    """Delete what programs that died long ago left staged."""
    uploads = (await volume.lookup(PRIVATE_INO, UPLOADS)).ino
    cookie = 0
    before_ns = time.time_ns() - OLD_NS
    while entries := await volume.listing(uploads, cookie, _LISTED_AT_ONCE):
        cookie = entries[-1].cookie
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.attributes.mtime_ns < before_ns:
                await volume.unlink(uploads, entry.name)
