"""Making the table of a snapshot: rows listed from one bank while people write, with what changed laid over.

Rule: every change sealed since before the listing is noted; the last step takes head, sums and notes at once.
Rule: a table counts when, read back, the sums of its rows are those of the index at its slot.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

import msgspec

from trivet.errors import ReplicaError
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.journal import Journal
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.log_transfer import ROWS_AT_ONCE, Refused, list_portions
from trivet.quorum.digests import SUM_BYTES
from trivet.quorum.reign import Reign
from trivet.volume.attributes import unpack_inode
from trivet.volume.extents import blobs_of
from trivet.volume.interface import Caller
from trivet.wire.bank_messages import ListRecords
from trivet.wire.blobs import BlobRef
from trivet.wire.records import BUCKETS, bucket_of, digest_term, ino_of, row_is_valid
from trivet.wire.snapshot_table import (
    HEAD_BYTES,
    NOTE,
    UNFINISHED,
    SnapshotNote,
    TableRow,
    frame_sizes,
    pack_frame,
    pack_refs,
    unpack_frame,
)

NOTED_MAX_BYTES = 256 << 20
NOTED_AT_ONCE = 2000
REFS_AT_ONCE = 32_768
_SUM_MODULUS = 1 << 128


class TableUnproven(ReplicaError):
    """A bank did not give every record at its slot."""


class TableMaker:
    """Makes one table in the folder of snapshots, as yet unnamed."""

    def __init__(
        self, volume: LocalVolume, journal: Journal, reign: Reign, volume_key: bytes, folder: int
    ) -> None:
        self._volume = volume
        self._journal = journal
        self._log = reign.log
        self._key = volume_key
        self._folder = folder
        self._noted: dict[bytes, tuple[int, bytes | None]] = {}
        self._noted_bytes = 0
        self._noted_through = 0
        self._at = 0
        self._sums = [0] * BUCKETS
        self._refs: dict[int, BlobRef] = {}
        self._files = self._size_bytes = 0

    async def make(self, server: ServerLink, now_s: float) -> Iterable[BlobRef]:
        """Write the table from what `server` lists, durable with its note; return what it names.

        Raises TableUnproven where that is not the whole state at one slot.
        """
        volume = self._volume
        made, handle = await volume.create(self._folder, UNFINISHED, 0o600, Caller(0, 0))
        try:
            self._noted_through = self._log.head
            await volume.fsync(handle)
            await self._list(server, handle)
            self._note_changes()
            slot, sums = self._noted_through, self._journal.index.sums()
            noted = [(key, *change) for key, change in self._noted.items()]
            for at in range(0, len(noted), NOTED_AT_ONCE):
                await self._write(handle, pack_frame(noted[at : at + NOTED_AT_ONCE]))
            await volume.fsync(handle)
            frames_bytes = self._at
            await self._read_back(handle, frames_bytes)
            if b"".join((one % _SUM_MODULUS).to_bytes(SUM_BYTES, "big") for one in self._sums) != sums:
                raise TableUnproven("its records do not add up")
            refs = list(self._refs.values())
            for at in range(0, len(refs), REFS_AT_ONCE):
                await self._write(handle, pack_refs(refs[at : at + REFS_AT_ONCE]))
            note = SnapshotNote(slot, now_s, self._files, self._size_bytes, frames_bytes, len(refs))
            await volume.setxattr(made.ino, NOTE, msgspec.json.encode(note), create=True, replace=False)
            await volume.fsync(handle)
        finally:
            await volume.release(handle)
        return refs

    async def _list(self, server: ServerLink, handle: int) -> None:
        try:
            wanted = ListRecords(-1, b"", ROWS_AT_ONCE, self._journal.durable_slot)
            async for reply in list_portions(server, wanted):
                rows = reply.rows
                if not all(row_is_valid(self._key, row) for row in rows):
                    raise TableUnproven("a record does not match its MAC")
                await self._write(handle, pack_frame((row.key, row.slot, row.value) for row in rows))
                self._note_changes()
        except Refused as error:
            raise TableUnproven(str(error)) from error
        except TableUnproven:
            raise
        except ReplicaError as error:
            raise TableUnproven(str(error)) from error

    def _note_changes(self) -> None:
        """Note what was sealed since the last time."""
        if self._log.floor > self._noted_through:
            raise TableUnproven("more was written than could be noted")
        for entry in self._log.above(self._noted_through):
            for op in entry.body.ops:
                self._noted[op.key] = entry.slot, op.value
                self._noted_bytes += len(op.value or b"")
            self._noted_through = entry.slot
        if self._noted_bytes > NOTED_MAX_BYTES:
            raise TableUnproven("more is written just now than can be noted; try again when it is less")

    async def _write(self, handle: int, data: bytes) -> None:
        self._at += await self._volume.write(handle, self._at, data)

    # -- reading back

    async def _read_back(self, handle: int, end: int) -> None:
        """Sum the rows of the table up, and gather what they name and how much it is."""
        tables = {self._folder, *self._volume.space.directories[self._folder].values()}
        final: set[bytes] = set()
        noted = self._noted
        async for rows in read_table(self._volume, handle, end):
            for row in rows:
                if row.key in noted:
                    if row.slot != noted[row.key][0] or row.key in final:
                        continue
                    final.add(row.key)
                    if noted[row.key][1] is None:
                        continue
                self._take(row, tables)
            await asyncio.sleep(0)

    def _take(self, row: TableRow, tables: set[int]) -> None:
        key = row.key
        self._sums[bucket_of(key)] += digest_term(key, row.slot)
        if row.value is None or key[:2] not in (b"e/", b"i/") or (ino := ino_of(key)) in tables:
            return
        if key[:2] == b"e/":
            for ref in blobs_of(row.value):
                self._refs[ref.name] = ref
            return
        inode = unpack_inode(ino, row.value)
        self._files += 1
        if inode.is_regular:
            self._size_bytes += inode.size


async def read_table(volume: LocalVolume, handle: int, end: int) -> AsyncIterator[list[TableRow]]:
    """Yield the rows of an open table's frames, which end at `end`, a frame at a time."""
    at = 0
    while at < end:
        head_bytes, body_bytes = frame_sizes(await volume.read(handle, at, HEAD_BYTES))
        head = await volume.read(handle, at + HEAD_BYTES, head_bytes)
        body_at = at + HEAD_BYTES + head_bytes
        yield list(unpack_frame(head, body_at))
        at = body_at + body_bytes
