"""Reading through a RemoteVolume: the keeper says where bytes are, the banks give them, verified.

Rule: little is read through the keeper at once; so is what the banks can't give, for the keeper knows best
what is true and says so loudly when nobody has it.
"""

import asyncio
from collections.abc import AsyncIterator

from trivet.client.blob_transfer import BlobTransfer
from trivet.client.remote_file import RemoteFile
from trivet.errors import NoMajority, TrivetError
from trivet.volume.attributes import MIB_BYTES, SMALL_FILE_BYTES
from trivet.volume.body_calls import PLAN_MAX_BYTES, READ_MAX_BYTES, PlanRead, Read, ReadPlan
from trivet.volume.stored_body import StoredBody

BLOBS_AT_ONCE = 8
MIBS_AHEAD = 2


class BodyReader:
    """Reads the files of one client."""

    def __init__(self, transfer: BlobTransfer) -> None:
        self._transfer = transfer
        self._places = asyncio.Semaphore(BLOBS_AT_ONCE)

    async def read(self, file: RemoteFile, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`, fewer only at the end of the file."""
        parts: list[bytes | bytearray | memoryview] = []
        while size > 0:
            if size <= SMALL_FILE_BYTES and not file.is_snapshot:
                parts.append(await self._through_keeper(file, offset, size))
                break
            plan = await self._plan(file, offset, min(size, PLAN_MAX_BYTES))
            end = min(offset + size, plan.body.size, plan.end_mib * MIB_BYTES)
            if end <= offset:
                break
            parts += await self._read_planned(file, plan.body, offset, end)
            size -= end - offset
            offset = end
        if len(parts) == 1:
            return parts[0] if isinstance(parts[0], bytes) else bytes(parts[0])
        return b"".join(parts)

    async def stored(self, file: RemoteFile) -> AsyncIterator[StoredBody]:
        """Yield what is stored of a snapshot, a plan at a time."""
        offset = 0
        while True:
            plan = await self._plan(file, offset, PLAN_MAX_BYTES)
            yield plan.body
            offset = plan.end_mib * MIB_BYTES
            if offset >= plan.body.size:
                return

    async def read_stored(self, body: StoredBody, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset` of a body from the banks alone; may raise NoMajority."""
        end = min(offset + size, body.size)
        found = bytearray()
        while offset < end:
            mib, start = divmod(offset, MIB_BYTES)
            stop = min(MIB_BYTES, start + end - offset)
            found += await self._read_ranges(body, mib, start, stop)
            offset += stop - start
        return bytes(found)

    async def _plan(self, file: RemoteFile, offset: int, size: int) -> ReadPlan:
        """Return a plan that begins at `offset` or before; that of a snapshot stays true."""
        mib = offset // MIB_BYTES
        plan = file.plan
        if plan is not None and (file.plan_from_mib <= mib < plan.end_mib or offset >= plan.body.size):
            return plan
        wanted = PLAN_MAX_BYTES if file.is_snapshot else size
        plan = await file.ask(
            PlanRead(file.handle, mib * MIB_BYTES if file.is_snapshot else offset, wanted), ReadPlan
        )
        if file.is_snapshot:
            file.plan, file.plan_from_mib = plan, mib
        return plan

    async def _read_planned(
        self, file: RemoteFile, body: StoredBody, offset: int, end: int
    ) -> list[bytes | bytearray | memoryview]:
        is_read_on = file.is_snapshot and offset == file.next_offset and end - offset > SMALL_FILE_BYTES
        file.next_offset = end
        spans = []
        while offset < end:
            mib, start = divmod(offset, MIB_BYTES)
            stop = min(MIB_BYTES, start + end - offset)
            spans.append((mib, start, stop))
            offset += stop - start
        if len(spans) == 1:
            if is_read_on:
                return [await self._read_on(file, body, *spans[0])]
            return [await self._read_mib(file, body, *spans[0])]
        return await asyncio.gather(*(self._read_mib(file, body, *span) for span in spans))

    async def _read_on(
        self, file: RemoteFile, body: StoredBody, mib: int, start: int, stop: int
    ) -> bytes | bytearray | memoryview:
        """Read of a snapshot that is read on and on: the next MiBs are asked for meanwhile."""
        end_mib = -(-body.size // MIB_BYTES) if file.plan is None else file.plan.end_mib
        for wanted in range(mib, min(mib + MIBS_AHEAD + 1, end_mib)):
            if wanted not in file.ahead:
                end = min(body.size - wanted * MIB_BYTES, MIB_BYTES)
                file.ahead[wanted] = asyncio.create_task(self._read_mib(file, body, wanted, 0, end))
                file.ahead[wanted].add_done_callback(_seen)
        for old in [old for old in file.ahead if not mib <= old <= mib + MIBS_AHEAD]:
            file.ahead.pop(old).cancel()
        try:
            whole = await asyncio.shield(file.ahead[mib])
        except TrivetError:
            file.ahead.pop(mib, None)
            raise
        if stop == len(whole):
            file.ahead.pop(mib, None)
        return whole if stop - start == len(whole) else memoryview(whole)[start:stop]

    async def _read_mib(
        self, file: RemoteFile, body: StoredBody, mib: int, start: int, stop: int
    ) -> bytes | bytearray | memoryview:
        try:
            return await self._read_ranges(body, mib, start, stop)
        except NoMajority:
            return await self._through_keeper(file, mib * MIB_BYTES + start, stop - start)

    async def _read_ranges(
        self, body: StoredBody, mib: int, start: int, stop: int
    ) -> bytes | bytearray | memoryview:
        ranges = body.ranges(mib, start, stop)
        async with self._places:
            texts = [await self._transfer.read(one.blob, one.offset, one.size) for one in ranges]
        if len(ranges) == 1 and ranges[0].size == stop - start and not body.has_pages(mib, start, stop):
            return texts[0]
        found = bytearray(stop - start)
        for piece, text in zip(ranges, texts, strict=True):
            found[piece.place : piece.place + len(text)] = text
        body.lay_pages(found, mib, start, stop)
        return found

    async def _through_keeper(self, file: RemoteFile, offset: int, size: int) -> bytes:
        assert size <= READ_MAX_BYTES
        _result, data = await file.move(Read(file.handle, offset, size))
        return bytes(data)


def _seen(task: asyncio.Task[bytes | bytearray | memoryview]) -> None:
    """What was asked for ahead and failed is told to who reads it, or to nobody."""
    if not task.cancelled():
        task.exception()
