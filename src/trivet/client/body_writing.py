"""Writing through a RemoteVolume: what comes in order is gathered into MiBs that go to the banks as blobs.

Rule: what was written becomes part of the file in the order it was written; a client that dies leaves a
prefix of it, and blobs nobody names, which the keeper deletes.
Rule: what is too little for a blob goes through the keeper, as does what a blob can't hold.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from errno import EINVAL

from trivet.client.blob_names import LentNames
from trivet.client.blob_transfer import BlobTransfer, StoredBlob
from trivet.client.remote_file import RemoteFile
from trivet.errors import Conflict, FileSystemError, TrivetError
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES, SMALL_FILE_BYTES
from trivet.volume.body_calls import BlobPart, PutBlobs, Write

CHUNKS_AHEAD = 3
PARTS_AT_ONCE = 64


@dataclass(slots=True)
class _Chunk:
    """Bytes of one MiB on their way: as a blob if `putting`, else through the keeper.

    It may have to go through the keeper after all: if it ends within a page, or a new keeper leads.
    """

    offset: int
    data: memoryview
    putting: asyncio.Task[StoredBlob] | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it ends within a page."""
        return len(self.data) % PAGE_BYTES != 0


class BodyWriter:
    """Takes what is written to one file; the caller holds the file's lock."""

    def __init__(self, file: RemoteFile, names: LentNames, transfer: BlobTransfer) -> None:
        self._file = file
        self._names = names
        self._transfer = transfer
        self._start = 0
        self._gathered = bytearray()
        self._chunks: deque[_Chunk] = deque()

    @property
    def is_clean(self) -> bool:
        """Whether the keeper has everything."""
        return not self._gathered and not self._chunks

    async def write(self, offset: int, data: bytes) -> None:
        """Take `data` in; wait while too much is on its way."""
        view = memoryview(data)
        while view:
            if self._gathered and offset != self._start + len(self._gathered):
                self._seal()
            room = MIB_BYTES - offset % MIB_BYTES
            part = view[:room]
            if not self._gathered and len(part) == MIB_BYTES:
                self._send(offset, part)
            else:
                if not self._gathered:
                    self._start = offset
                self._gathered += part
                if len(part) == room:
                    self._seal()
            offset += len(part)
            view = view[len(part) :]
        while len(self._chunks) > (0 if self._file.unflushed.held.is_much else CHUNKS_AHEAD):
            await self._store_first()

    async def store(self) -> None:
        """Hand everything over to the keeper."""
        self._seal()
        while self._chunks:
            await self._store_first()

    def drop(self) -> None:
        """Give up what is not handed over."""
        self._gathered = bytearray()
        for chunk in self._chunks:
            self._file.unflushed.held.size_bytes -= len(chunk.data)
            if chunk.putting is not None:
                chunk.putting.cancel()
        self._chunks.clear()

    def _seal(self) -> None:
        if self._gathered:
            data, self._gathered = self._gathered, bytearray()
            self._send(self._start, memoryview(data))

    def _send(self, offset: int, data: memoryview) -> None:
        chunk = _Chunk(offset, data)
        if len(data) > SMALL_FILE_BYTES and offset % PAGE_BYTES == 0:
            chunk.putting = asyncio.create_task(self._put(data))
            chunk.putting.add_done_callback(_seen)
        self._chunks.append(chunk)
        self._file.unflushed.held.size_bytes += len(data)

    async def _put(self, data: memoryview) -> StoredBlob:
        return await self._transfer.put(await self._names.take(), data)

    async def _store_first(self) -> None:
        """Hand the oldest chunk over to the keeper, with those behind it that are ready."""
        try:
            if self._chunks[0].putting is None:
                await self._write_through(self._chunks[0])
                return
            await self._chunks[0].putting
            ready: list[_Chunk] = []
            for chunk in self._chunks:
                if chunk.putting is None or not chunk.putting.done() or len(ready) == PARTS_AT_ONCE:
                    break
                if ready and chunk.is_cut:
                    break  # it may be refused, and is then refused alone
                ready.append(chunk)
                if chunk.is_cut:
                    break
            await self._name(ready)
        except TrivetError as error:
            self._file.failure = error
            self.drop()
            raise

    async def _name(self, chunks: list[_Chunk]) -> None:
        blobs = [chunk.putting.result() for chunk in chunks if chunk.putting is not None]
        parts = []
        for chunk, stored in zip(chunks, blobs, strict=True):
            mib, start = divmod(chunk.offset, MIB_BYTES)
            parts.append(BlobPart(mib, start // PAGE_BYTES, stored.ref, list(stored.bases)))
        try:
            await self._file.ask(PutBlobs(self._file.handle, parts), type(None))
        except Conflict:  # another keeper leads, which lent none of these names
            for chunk in chunks:
                await self._write_through(chunk)
            return
        except FileSystemError as error:
            if error.errno != EINVAL:
                raise
            await self._write_through(chunks[0])  # it ends within a page of the file
            return
        for chunk, part, stored in zip(chunks, parts, blobs, strict=True):
            stored.named(len(part.bases))
            await self._handed_over(chunk)

    async def _write_through(self, chunk: _Chunk) -> None:
        await self._file.move(Write(self._file.handle, chunk.offset), chunk.data)
        await self._handed_over(chunk)

    async def _handed_over(self, chunk: _Chunk) -> None:
        """Count the oldest chunk, `chunk`, among what the keeper was told."""
        first = self._chunks.popleft()
        assert first is chunk
        self._file.unflushed.note(chunk.offset, chunk.data)
        if self._file.unflushed.is_much:
            await self._file.flush()


def _seen(task: asyncio.Task[StoredBlob]) -> None:
    """A put that failed is told when its turn comes, or never if the file was given up."""
    if not task.cancelled():
        task.exception()
