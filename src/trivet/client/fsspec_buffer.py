"""One open file of the fsspec file system: read from a snapshot, written out of sight until it is closed.

Rule: appending writes what stood there before, and what is added, as a new version.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fsspec.asyn import sync
from fsspec.spec import AbstractBufferedFile

from trivet.client.fsspec_tree import os_errors
from trivet.client.paths import find
from trivet.client.remote_volume import RemoteVolume
from trivet.client.staging import Staged
from trivet.errors import TrivetError
from trivet.volume.interface import Snapshot

if TYPE_CHECKING:
    from trivet.client.fsspec_files import TrivetFileSystem

STEP_BYTES = 8 << 20


class TrivetFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """See fsspec's AbstractBufferedFile; modes rb, wb, xb and ab."""

    fs: "TrivetFileSystem"

    def __init__(self, fs: "TrivetFileSystem", path: str, mode: str, block_size: Any, **options: Any) -> None:
        self._held: tuple[RemoteVolume, Snapshot] | None = None
        self._staged: Staged | None = None
        if mode == "rb":
            self._held = sync(fs.loop, _hold, fs, path)
            options["size"] = self._held[1].attributes.size
        elif mode == "xb" and fs.exists(path):
            raise FileExistsError(path)
        super().__init__(fs, path, mode, block_size, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(sync(self.fs.loop, self._read, start, end - start))

    async def _read(self, start: int, size: int) -> bytes:
        assert self._held is not None
        volume, snapshot = self._held
        with os_errors(self.path):
            return await volume.read(snapshot.handle, start, size)

    def _initiate_upload(self) -> None:
        self._staged = sync(self.fs.loop, self._begin)

    async def _begin(self) -> Staged:
        staged = await self.fs.begin(self.path)
        if self.mode == "ab" and await self.fs._exists(self.path):
            held = volume, snapshot = await _hold(self.fs, self.path)
            try:
                for at in range(0, snapshot.attributes.size, STEP_BYTES):
                    data = await volume.read(snapshot.handle, at, STEP_BYTES)
                    await self.fs.append(staged, self.path, data)
            finally:
                await _release(*held)
        return staged

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self._staged is not None
        data = self.buffer.getvalue()
        if data:
            sync(self.fs.loop, self.fs.append, self._staged, self.path, data)
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        """Put what was written in its place."""
        assert self._staged is not None
        sync(self.fs.loop, self.fs.finish, self._staged, self.path, replace=self.mode != "xb")

    def discard(self) -> None:
        """Give up what was written."""
        if self._staged is not None:
            sync(self.fs.loop, self._staged.discard)

    def close(self) -> None:
        """End reading, or let what was written show."""
        if self.closed:
            return
        super().close()
        held, self._held = self._held, None
        if held is not None:  # not waited for: this may be the loop itself, collecting garbage
            asyncio.run_coroutine_threadsafe(_release(*held), self.fs.loop)


async def _hold(fs: "TrivetFileSystem", path: str) -> tuple[RemoteVolume, Snapshot]:
    with os_errors(path):
        volume = await fs.volume()
        return volume, await volume.open_snapshot((await find(volume, path)).ino)


async def _release(volume: RemoteVolume, snapshot: Snapshot) -> None:
    with suppress(TrivetError):  # the volume was closed, and everything with it
        await volume.release(snapshot.handle)
