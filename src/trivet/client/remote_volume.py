"""RemoteVolume: the volume as a process of its own sees it, names from the keeper, bytes from the banks.

Rule: the same operations, results and errors as in the keeper; nothing is cached here but what can't change.
Rule: what is written reaches the keeper with each MiB, and all of it with flush, fsync, read and release.
"""

import getpass
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from errno import EBADF
from typing import Self

from trivet.client.bank_pool import BankPool
from trivet.client.blob_names import BlobReports, LentNames
from trivet.client.blob_transfer import BlobTransfer
from trivet.client.body_reading import BodyReader
from trivet.client.body_writing import BodyWriter
from trivet.client.keeper_link import CALL_TIMEOUT_S, KeeperLink
from trivet.client.remote_file import RemoteFile
from trivet.client.remote_names import RemoteNames
from trivet.errors import ContentAway, FileSystemError, TrivetError
from trivet.io.away_files import AwayFiles
from trivet.io.volume_folder import VolumeFolder
from trivet.volume import body_calls as body
from trivet.volume.interface import ROOT_INO, Attributes, Caller, Snapshot
from trivet.volume.name_calls import GetAttr
from trivet.volume.stored_body import StoredBody


class RemoteVolume(RemoteNames):
    """A client of the drive in `folder`: `connect` and `close` it, or use `connected`."""

    def __init__(self, folder: VolumeFolder) -> None:
        keeper = KeeperLink(folder)
        super().__init__(keeper)
        self._pool = BankPool(folder)
        self._reports = BlobReports(keeper)
        self._transfer = BlobTransfer(self._pool, self._reports.late, self._reports.bad)
        self._names = LentNames(keeper)
        self._reader = BodyReader(self._transfer)
        self._away = AwayFiles(folder)
        self._files: dict[int, RemoteFile] = {}
        self._writers: dict[int, BodyWriter] = {}
        self._next_handle = itertools.count(1)

    @classmethod
    async def connect(cls, folder: VolumeFolder, *, timeout_s: float = CALL_TIMEOUT_S) -> Self:
        """Return a client of the drive in `folder`; NoMajority if no keeper serves in time."""
        volume = cls(folder)
        try:
            await volume._keeper.ask(GetAttr(ROOT_INO), Attributes, timeout_s=timeout_s)
        except TrivetError:
            await volume.close()
            raise
        return volume

    async def close(self) -> None:
        """Let go of all handles and connections; what was not flushed is given up."""
        for writer in self._writers.values():
            writer.drop()
        self._writers.clear()
        for file in self._files.values():
            await file.drop_ahead()
        self._files.clear()
        await self._transfer.close()
        await self._reports.close()
        await self._keeper.close()
        await self._pool.close()

    async def create(self, parent: int, name: bytes, mode: int, caller: Caller) -> tuple[Attributes, int]:
        """Make and open a file."""
        call = body.Create(parent, name, mode, caller)
        made, handle = await self._keeper.ask(call, tuple[Attributes, int])
        return made, self._opened(RemoteFile(self._keeper, made.ino, handle, writing=True))

    async def open(self, ino: int, *, writing: bool, truncate: bool, sync: bool) -> int:
        """Return a handle on a regular file; `sync` makes every write durable."""
        if truncate:
            await self._flush_all(ino)
        call = body.Open(ino, writing, truncate, sync)
        try:
            handle = await self._keeper.ask(call, int)
        except ContentAway:
            await self._away.bring(ino, user=getpass.getuser())
            handle = await self._keeper.ask(call, int)
        return self._opened(RemoteFile(self._keeper, ino, handle, writing=writing, sync=sync))

    async def open_snapshot(self, ino: int) -> Snapshot:
        """Hold the bytes of a regular file as they are now."""
        held = await self._keeper.ask(body.OpenSnapshot(ino), body.HeldBody)
        snapshot = held.snapshot
        handle = self._opened(RemoteFile(self._keeper, ino, snapshot.handle, plan=held.plan))
        return Snapshot(handle, snapshot.version, snapshot.attributes)

    def stored(self, handle: int) -> AsyncIterator[StoredBody]:
        """Yield what is stored of the snapshot `handle`, part by part: where its bytes are and its holes."""
        return self._reader.stored(self._file(handle))

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end of the file."""
        file = self._file(handle)
        await self._store(handle, file)
        return await self._reader.read(file, offset, size)

    async def read_stored(self, body: StoredBody, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset` of a body whose blobs are known to be kept, within its size."""
        return await self._reader.read_stored(body, offset, size)

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        """Take in `data` whole; return its length."""
        file = self._file(handle)
        if file.is_snapshot:
            raise FileSystemError(EBADF)
        async with file.lock:
            _check(file)
            writer = self._writers.get(handle)
            if writer is None:
                writer = self._writers[handle] = BodyWriter(file, self._names, self._transfer)
            await writer.write(offset, data)
            if file.sync:
                await writer.store()
                file.unflushed.forget()
        return len(data)

    async def flush(self, handle: int) -> None:
        """What was written and the file's name are acked."""
        file = self._file(handle)
        await self._store(handle, file)
        await file.flush()

    async def fsync(self, handle: int) -> None:
        """What was written and everything that happened before is durable."""
        file = self._file(handle)
        await self._store(handle, file)
        count = len(file.unflushed.writes)
        await file.ask(body.FSync(file.handle), type(None))
        file.unflushed.forget(count)

    async def release(self, handle: int) -> None:
        """Let go of a handle; what was written is handed over first."""
        file = self._file(handle)
        try:
            if file.failure is None:
                await self._store(handle, file)
        finally:
            self._files.pop(handle, None)
            self._writers.pop(handle, None)
            await file.drop_ahead()
            await file.release()

    async def publish(
        self, staged: int, target: int, expected_version: int | None, *, unwritten: bool = False
    ) -> int:
        """Exchange content if `target` is at `expected_version`; return its new version."""
        await self._flush_all(staged, target)
        return await self._keeper.ask(body.Publish(staged, target, expected_version, unwritten), int)

    async def exchange_content(self, ino: int, other: int) -> None:
        """Let two regular files change their bytes, sizes and mtimes."""
        await self.publish(ino, other, None)

    def _opened(self, file: RemoteFile) -> int:
        handle = next(self._next_handle)
        self._files[handle] = file
        return handle

    def _file(self, handle: int) -> RemoteFile:
        file = self._files.get(handle)
        if file is None:
            raise FileSystemError(EBADF)
        return file

    async def _store(self, handle: int, file: RemoteFile) -> None:
        writer = self._writers.get(handle)
        if writer is not None:
            async with file.lock:
                _check(file)
                if not writer.is_clean:
                    await writer.store()

    async def _store_all(self, *inos: int) -> None:
        """Hand over what this client wrote to some files."""
        for handle, file in list(self._files.items()):
            if file.ino in inos and handle in self._files:
                await self._store(handle, file)

    async def _flush_all(self, *inos: int) -> None:
        """Have what this client wrote to some files acked: then it is never written again."""
        await self._store_all(*inos)
        for file in list(self._files.values()):
            if file.ino in inos and file.unflushed.writes:
                await file.flush()


def _check(file: RemoteFile) -> None:
    if file.failure is not None:
        raise file.failure.with_traceback(None)


@asynccontextmanager
async def connected(folder: VolumeFolder) -> AsyncIterator[RemoteVolume]:
    """Give a RemoteVolume of the drive in `folder` while the block runs."""
    volume = await RemoteVolume.connect(folder)
    try:
        yield volume
    finally:
        await volume.close()
