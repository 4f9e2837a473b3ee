"""The tree of the fsspec file system: the connection to the drive, folders, names and what they tell.

Rule: the one translating `except` of this door: what the volume refuses comes as OSError with its errno.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import ENOTDIR
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from fsspec.asyn import AsyncFileSystem, _run_coros_in_chunks, sync

from trivet.client.paths import find, find_place
from trivet.client.remote_volume import RemoteVolume
from trivet.client.staging import delete_left_behind
from trivet.errors import FileSystemError, TrivetError
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import Attributes, Caller

_LISTED_AT_ONCE = 1000
Info = dict[str, Any]


@contextmanager
def os_errors(path: str) -> Iterator[None]:
    """Let what a volume raises come out as OSError about `path`."""
    try:
        yield
    except TrivetError as error:
        raise OSError(error.errno, str(error) or os.strerror(error.errno), path) from error


class TrivetTree(AsyncFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Names of the drive whose state folder is `state`; its keeper must run on this machine."""

    protocol = "trivet"
    root_marker = ""

    def __init__(self, state: str | os.PathLike[str] = "trivet-state", **options: Any) -> None:
        super().__init__(state=os.fspath(state), **options)
        self._folder = VolumeFolder(Path(state))
        self._connecting: asyncio.Future[RemoteVolume] | None = None
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None

    async def volume(self) -> RemoteVolume:
        """Return the client of the drive, connected when first asked for on a loop."""
        owner = os.getpid(), asyncio.get_running_loop()
        if self._connecting is None or self._owner != owner:
            self._connecting = asyncio.ensure_future(self._connect())
            self._owner = owner
        try:
            return await asyncio.shield(self._connecting)
        except TrivetError:
            self._connecting = None
            raise

    async def _connect(self) -> RemoteVolume:
        volume = await RemoteVolume.connect(self._folder)
        await delete_left_behind(volume)
        return volume

    async def _close(self) -> None:
        connecting, self._connecting = self._connecting, None
        if connecting is not None and self._owner == (os.getpid(), asyncio.get_running_loop()):
            await (await connecting).close()

    def close(self) -> None:
        """End the connection to the drive; it is made again when something is asked."""
        sync(self.loop, self._close)

    # -- looking

    async def _info(self, path: str, **options: Any) -> Info:
        path = self._strip_protocol(path)
        with os_errors(path):
            return _info_of(path, await find(await self.volume(), path))

    async def _ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        with os_errors(path):
            volume = await self.volume()
            top = await find(volume, path)
            infos = [_info_of(path, top)] if not S_ISDIR(top.mode) else await self._entries(volume, path, top)
        return infos if detail else [info["name"] for info in infos]

    async def _entries(self, volume: RemoteVolume, path: str, top: Attributes) -> list[Info]:
        infos = []
        cookie = 0
        await volume.opendir(top.ino)
        while entries := await volume.listing(top.ino, cookie, _LISTED_AT_ONCE):
            cookie = entries[-1].cookie
            for entry in entries:
                name = os.fsdecode(entry.name)
                infos.append(_info_of(f"{path}/{name}" if path else name, entry.attributes))
        return sorted(infos, key=lambda info: str(info["name"]))

    def created(self, path: str) -> datetime:
        """Return when a file was last changed: the volume keeps no other time of its making."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """Return when a file's bytes were last changed."""
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    # -- names

    async def _mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        path = self._strip_protocol(path)
        if create_parents and "/" in path:
            await self._makedirs(path.rpartition("/")[0], exist_ok=True)
        with os_errors(path):
            volume = await self.volume()
            place = await find_place(volume, path)
            await volume.mkdir(place.parent, place.name or b".", 0o755, Caller(os.getuid(), os.getgid()))

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        names = path.split("/") if path else []
        for count in range(1, len(names) + 1):
            part = "/".join(names[:count])
            try:
                await self._mkdir(part, create_parents=False)
            except FileExistsError:
                is_last = count == len(names)
                if (is_last and not exist_ok) or not await self._isdir(part):
                    raise

    async def _rm_file(self, path: str, **options: Any) -> None:
        path = self._strip_protocol(path)
        with os_errors(path):
            volume = await self.volume()
            await volume.unlink(*await _entry(volume, path))

    async def _rmdir(self, path: str) -> None:
        path = self._strip_protocol(path)
        with os_errors(path):
            volume = await self.volume()
            await volume.rmdir(*await _entry(volume, path))

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        sync(self.loop, self._rmdir, path)

    async def _rm(
        self, path: Any, recursive: bool = False, batch_size: int | None = None, maxdepth: int | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        paths = await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)
        kinds = {one: (await self._info(one))["type"] for one in paths}
        files = [self._rm_file(one) for one in paths if not (recursive and kinds[one] == "directory")]
        await _run_coros_in_chunks(files, batch_size=batch_size or self.batch_size, nofiles=True)
        if recursive:
            for one in sorted((one for one in paths if kinds[one] == "directory"), reverse=True):
                await self._rmdir(one)

    async def _mv_file(self, path1: str, path2: str) -> None:
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        with os_errors(path1):
            volume = await self.volume()
            place = await find_place(volume, path2)
            await volume.rename(
                *await _entry(volume, path1), place.parent, place.name, replace=True, exchange=False
            )

    def mv(
        self, path1: str, path2: str, recursive: bool = False, maxdepth: int | None = None, **options: Any
    ) -> None:
        """Move a file or a folder, in one step, over what stands at `path2`."""
        sync(self.loop, self._mv_file, path1, path2)


async def _entry(volume: RemoteVolume, path: str) -> tuple[int, bytes]:
    """Return (parent, name) of the entry at `path`, a last link itself."""
    folder, _slash, name = path.rpartition("/")
    parent = await find(volume, folder)
    if not S_ISDIR(parent.mode):
        raise FileSystemError(ENOTDIR)
    return parent.ino, os.fsencode(name)


def _info_of(path: str, attributes: Attributes) -> Info:
    kind = "directory" if S_ISDIR(attributes.mode) else "file" if S_ISREG(attributes.mode) else "other"
    return {
        "name": path,
        "size": 0 if kind == "directory" else attributes.size,
        "type": kind,
        "mtime": attributes.mtime_ns / 1e9,
        "mode": attributes.mode,
        "ino": attributes.ino,
        "nlink": attributes.nlink,
        "uid": attributes.uid,
        "gid": attributes.gid,
    }
