"""The fsspec file system `trivet://path`, with the option `state`, the folder the drive keeps its state in.

Rule: a file that is written shows when it is closed, whole; one that is read stays the version it was.
"""

import asyncio
import os
from errno import EISDIR
from stat import S_ISDIR, S_ISREG
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from trivet.client.fsspec_buffer import STEP_BYTES, TrivetFile
from trivet.client.fsspec_tree import TrivetTree, os_errors
from trivet.client.paths import find, find_place
from trivet.client.remote_volume import RemoteVolume
from trivet.client.staging import Staged, stage
from trivet.errors import FileSystemError, TrivetError
from trivet.volume.interface import Attributes


class TrivetFileSystem(TrivetTree):
    """Files of the drive whose state folder is `state`; its keeper must run on this machine."""

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        path = self._strip_protocol(path)
        with os_errors(path):
            volume = await self.volume()
            held = await volume.open_snapshot((await _regular(volume, path)).ino)
            try:
                first, stop, _step = slice(start, end).indices(held.attributes.size)
                return await volume.read(held.handle, first, max(stop - first, 0))
            finally:
                await volume.release(held.handle)

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        staged = await self.begin(path)
        await self.append(staged, path, value)
        await self.finish(staged, path, replace=mode != "create")

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **options: Any,
    ) -> None:
        if await asyncio.to_thread(os.path.isdir, lpath):
            await self._makedirs(rpath, exist_ok=True)
            return
        staged = await self.begin(rpath)
        with await asyncio.to_thread(open, lpath, "rb") as file:
            callback.set_size(os.fstat(file.fileno()).st_size)
            while data := await asyncio.to_thread(file.read, STEP_BYTES):
                await self.append(staged, rpath, data)
                callback.relative_update(len(data))
        await self.finish(staged, rpath, replace=mode != "create")

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **options: Any
    ) -> None:
        rpath = self._strip_protocol(rpath)
        if await self._isdir(rpath):
            await asyncio.to_thread(os.makedirs, lpath, exist_ok=True)
            return
        with os_errors(rpath):
            volume = await self.volume()
            held = await volume.open_snapshot((await _regular(volume, rpath)).ino)
            try:
                size = held.attributes.size
                callback.set_size(size)
                with await asyncio.to_thread(open, lpath, "wb") as file:
                    for at in range(0, size, STEP_BYTES):
                        data = await volume.read(held.handle, at, STEP_BYTES)
                        await asyncio.to_thread(file.write, data)
                        callback.relative_update(len(data))
            finally:
                await volume.release(held.handle)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:

        return TrivetFile(self, path, mode, block_size or "default", **options)

    async def begin(self, path: str) -> Staged:
        """Begin to write a file that is to stand at `path`; a folder there is refused at once."""
        path = self._strip_protocol(path)
        with os_errors(path):
            volume = await self.volume()
            place = await find_place(volume, path)
            if place.found is not None and not S_ISREG(place.found.mode):
                raise FileSystemError(EISDIR)
            return await stage(volume)

    async def append(self, staged: Staged, path: str, data: bytes) -> None:
        """Write what comes next; a file that can't be written on is gone."""
        with os_errors(path):
            try:
                await staged.write(data)
            except TrivetError:
                await staged.discard()
                raise

    async def finish(self, staged: Staged, path: str, *, replace: bool) -> None:
        """Put what was written in its place."""
        path = self._strip_protocol(path)
        with os_errors(path):
            try:
                await staged.commit(await find_place(await self.volume(), path), replace=replace)
            except TrivetError:
                await staged.discard()
                raise

    async def _cp_file(self, path1: str, path2: str, **options: Any) -> None:
        if await self._isdir(path1):
            await self._makedirs(path2, exist_ok=True)
            return
        path1 = self._strip_protocol(path1)
        with os_errors(path1):
            volume = await self.volume()
            held = await volume.open_snapshot((await _regular(volume, path1)).ino)
            try:
                staged = await self.begin(path2)
                for at in range(0, held.attributes.size, STEP_BYTES):
                    await self.append(staged, path2, await volume.read(held.handle, at, STEP_BYTES))
                await self.finish(staged, path2, replace=True)
            finally:
                await volume.release(held.handle)


async def _regular(volume: RemoteVolume, path: str) -> Attributes:
    found = await find(volume, path)
    if S_ISDIR(found.mode):
        raise FileSystemError(EISDIR)
    return found
