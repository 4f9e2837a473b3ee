"""Records and blobs of one server: answers the data half of the protocol.

Rule: a full disk refuses what needs room and goes on reading; any other failed write ends the process.
"""

import errno
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from trivet.bank.blob_header import hashes_bytes
from trivet.bank.blob_store import BlobStore
from trivet.bank.foreign_store import ForeignStore
from trivet.bank.record_store import RecordStore
from trivet.bank.syncer import Syncer
from trivet.errors import CorruptReplica, NoSpace, StoreAway
from trivet.io.clock import steady_s
from trivet.io.link import Body, HandlerResult
from trivet.quorum.acceptor import Acceptor
from trivet.wire.bank_messages import (
    BlobData,
    BlobNames,
    BlobPlaces,
    DeleteBlobs,
    DeleteRows,
    Digest,
    FindBlobs,
    GetBlob,
    GetRecords,
    ListBlobs,
    ListRecords,
    PutBlob,
    PutRows,
    Rows,
    Scrubbed,
    ScrubBlobs,
    ServerStat,
    Stat,
    SyncBlobs,
)
from trivet.wire.blobs import MAX_BLOB_BYTES, wrong_pieces
from trivet.wire.entries import GENESIS_HASH, NO_EPOCH
from trivet.wire.journal_messages import BankMessage, Done, Refusal
from trivet.wire.records import row_is_valid

Result = HandlerResult | Awaitable[HandlerResult]
ROOM_BYTES = 16 << 20
_NAME_LIMIT = 1 << 53
_SCRUB_BYTES = 64 << 20
_SCRUB_S = 5.0
_LOOK_AT = 256
_PLACES_LIMIT = 256
_LIST_LIMIT = 16384
_ROWS_LIMIT = 4096
_ANSWER_BYTES = 16 << 20


class DataRequests:
    """Answers requests for records and blobs; `full` tells whether the disk is."""

    def __init__(
        self,
        folder: Path,
        acceptor: Acceptor,
        records: RecordStore,
        blobs: BlobStore,
        foreign: ForeignStore,
        syncer: Syncer,
        *,
        volume_key: bytes,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._folder = folder
        self._acceptor = acceptor
        self._records = records
        self._blobs = blobs
        self._foreign = foreign
        self._syncer = syncer
        self._key = volume_key
        self._on_failure = on_failure
        self._full = False
        self._answers: dict[type[BankMessage], Callable[..., Awaitable[HandlerResult]]] = {
            PutRows: self._put_rows,
            DeleteRows: self._delete_rows,
            ListRecords: self._list_records,
            Digest: lambda message: self._records.digest(message.at),
            SyncBlobs: self._sync_blobs,
            DeleteBlobs: self._delete_blobs,
            ListBlobs: self._list_blobs,
            ScrubBlobs: self._scrub,
        }

    def handle(self, message: BankMessage, body: Body) -> Result | None:
        """Return the reply (or what it waits for) to a request for data, None if `message` is none."""
        if isinstance(message, GetRecords):
            return self._get_records(message)
        if isinstance(message, GetBlob):
            return self._get_blob(message)
        if isinstance(message, PutBlob):
            return self._guarded(self._put_blob(message, body))
        if isinstance(message, Stat):
            return self._stat()
        if isinstance(message, FindBlobs):
            return BlobPlaces(*self._blobs.places(message.first, min(message.count, _PLACES_LIMIT)))
        answer = self._answers.get(type(message))
        return self._guarded(answer(message)) if answer is not None else None

    async def _guarded(self, answer: Awaitable[HandlerResult]) -> HandlerResult:
        try:
            return await answer
        except NoSpace as error:
            return _refuse("space", str(error))
        except (CorruptReplica, StoreAway) as error:
            return _refuse("failed", str(error))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._full = True
                return _refuse("space", "the disk is full")
            self._on_failure(error)
            raise
        except sqlite3.Error as error:
            self._on_failure(error)
            raise

    def _get_records(self, message: GetRecords) -> Result:
        rows = self._records.get(message.keys)
        if isinstance(rows, Rows):
            return _bounded(rows)
        return self._guarded(self._when_read(rows))

    @staticmethod
    async def _when_read(rows: Awaitable[Rows]) -> HandlerResult:
        return _bounded(await rows)

    def _get_blob(self, message: GetBlob) -> Result:
        if message.offset < 0 or not 0 <= message.length <= MAX_BLOB_BYTES:
            return _refuse("request", "a blob has 1 byte to 1 MiB")
        found = self._blobs.get(message.name, message.offset, message.length)
        if found is None:
            return BlobData(False, 0, 0, b"")
        return self._blobs.read_now(*found) or self._guarded(self._blobs.read(*found))

    async def _put_blob(self, message: PutBlob, body: Body) -> HandlerResult:
        if not 0 < len(body) <= MAX_BLOB_BYTES or len(message.hashes) != hashes_bytes(len(body)):
            return _refuse("request", "a blob has 1 byte to 1 MiB and a sub-hash for each 16 KiB begun")
        if not 0 < message.name < _NAME_LIMIT:
            return _refuse("request", "blob names are above 0 and below 2^53")
        if next(wrong_pieces(message.hashes, 0, body), None) is not None:
            return _refuse("request", "the bytes are not what their sub-hashes say")
        if message.replace:
            await self._blobs.replace(message.name, body, message.hashes)
        else:
            await self._blobs.put(message.name, body, message.hashes)
        self._full = False
        return Done()

    async def _sync_blobs(self, message: SyncBlobs) -> HandlerResult:
        await self._syncer.sync_blobs()
        return Done()

    async def _delete_blobs(self, message: DeleteBlobs) -> HandlerResult:
        await self._blobs.delete(message.names)
        return Done()

    async def _list_blobs(self, message: ListBlobs) -> HandlerResult:
        limit = max(1, min(message.limit, _LIST_LIMIT))
        return BlobNames(*await self._blobs.list_after(message.after, limit))

    async def _scrub(self, message: ScrubBlobs) -> HandlerResult:
        self._blobs.notice_lost_files()
        last, size = message.after, 0
        bad: list[int] = []
        until_s = steady_s() + _SCRUB_S
        while size < min(message.max_bytes, _SCRUB_BYTES) and steady_s() < until_s:
            found, _ = self._blobs.index.after(last, 1)
            if not found:
                return Scrubbed(last, False, size, bad)
            [(last, place)] = found
            size += place.size
            try:
                if await self._blobs.is_whole(last) is False:
                    bad.append(last)
            except StoreAway:
                continue  # nobody can say; status tells that the store is away
        return Scrubbed(last, bool(self._blobs.index.after(last, 1)[0]), size, bad)

    async def _put_rows(self, message: PutRows) -> HandlerResult:
        if refusal := self._acceptor.refuse_repair(message.epoch):
            return refusal
        if not all(row_is_valid(self._key, row) for row in message.rows):
            return _refuse("request", "a row does not match its MAC")
        await self._records.put(message.rows)
        return Done()

    async def _delete_rows(self, message: DeleteRows) -> HandlerResult:
        if refusal := self._acceptor.refuse_repair(message.epoch):
            return refusal
        await self._records.delete(message.rows)
        return Done()

    async def _list_records(self, message: ListRecords) -> HandlerResult:
        limit = max(1, min(message.limit, _ROWS_LIMIT))
        return await self._records.list_rows(message, limit)

    def _stat(self) -> ServerStat:
        self._blobs.notice_lost_files(_LOOK_AT)
        disk = os.statvfs(self._folder)
        free_bytes = disk.f_bavail * disk.f_frsize
        if free_bytes >= ROOM_BYTES:
            self._full = False
        return ServerStat(
            os.getpid(),
            len(self._blobs.index),
            self._records.count if self._acceptor.meta.standing != "blobs" else 0,
            self._foreign.count,
            self._blobs.stored_bytes,
            free_bytes,
            self._full or self._records.full,
            steady_s(),
            self._blobs.trouble(),
        )


def _bounded(rows: Rows) -> HandlerResult:
    """Return `rows` if a frame can carry them; leaving some out would say that they are absent."""
    if sum(len(row.value) for row in rows.rows) > _ANSWER_BYTES:
        return _refuse("request", "these records are more than one answer can carry: ask for fewer")
    return rows


def _refuse(reason: str, message: str) -> Refusal:
    return Refusal(reason, message, NO_EPOCH, 0, GENESIS_HASH)  # type: ignore[arg-type]
