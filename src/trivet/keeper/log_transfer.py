"""Whole logs and whole record stores, moved between banks by the keeper.

Rule: an entry that comes from a bank counts only if its MAC and its place in the chain are right.
"""

from collections.abc import AsyncIterator, Sequence

import msgspec

from trivet.errors import CorruptReplica, ProtocolError
from trivet.keeper.bank_links import ServerLink
from trivet.wire.bank_messages import Digest, Digests, ListRecords, PutRows, Rows
from trivet.wire.entries import Entry, Epoch, open_entry, split_entries
from trivet.wire.journal_messages import (
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Appended,
    BankMessage,
    Done,
    LogPart,
    ReadLog,
    Refusal,
)
from trivet.wire.records import Row, row_is_valid

PART_BYTES = 4 << 20
ROWS_AT_ONCE = 2000
TIMEOUT_S = 10.0
#: Before a listing or a sum begins a server may read its whole table from a slow disk.
TABLE_TIMEOUT_S, DIGEST_EACH_S = 120.0, 200e-6


class Refused(ProtocolError):
    """A server did not carry a request out; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.reason}: {refusal.message}")
        self.refusal = refusal


async def ask(
    server: ServerLink, message: BankMessage, body: bytes = b""
) -> tuple[BankMessage, bytes | memoryview]:
    """Send a journal request; raises Refused where the server refuses, LinkLost where it is gone."""
    reply, returned = await server.ask_journal(message, body, timeout_s=TIMEOUT_S)
    if isinstance(reply, Refusal):
        raise Refused(reply)
    return reply, returned


async def read_log(
    server: ServerLink, volume_key: bytes, floor: int, floor_hash: bytes, head: int
) -> list[Entry]:
    """Return the entries behind `floor` through `head`; raises CorruptReplica where the chain breaks."""
    entries: list[Entry] = []
    last, last_hash = floor, floor_hash
    while last < head:
        reply, body = await ask(server, ReadLog(last + 1, PART_BYTES))
        assert isinstance(reply, LogPart)
        raws = split_entries(bytes(body))
        if not raws:
            raise CorruptReplica(f"server {server.port} does not give slot {last + 1} of its log")
        for raw in raws:
            entry = open_entry(volume_key, raw)
            if entry.slot != last + 1 or entry.previous_hash != last_hash:
                raise CorruptReplica(f"the log of server {server.port} breaks at slot {last + 1}")
            entries.append(entry)
            last, last_hash = entry.slot, entry.hash
    return entries


async def install_log(
    server: ServerLink, epoch: Epoch, floor: int, floor_hash: bytes, entries: Sequence[Entry]
) -> Appended:
    """Make `entries`, behind (`floor`, `floor_hash`), the whole log of `server` under `epoch`."""
    await ask(server, AdoptBegin(epoch, floor, floor_hash))
    part: list[bytes] = []
    size = 0
    for entry in entries:
        part.append(entry.raw)
        size += len(entry.raw)
        if size >= PART_BYTES:
            await ask(server, AdoptPart(), b"".join(part))
            part, size = [], 0
    if part:
        await ask(server, AdoptPart(), b"".join(part))
    head, head_hash = (entries[-1].slot, entries[-1].hash) if entries else (floor, floor_hash)
    reply, _ = await ask(server, AdoptEnd(head, head_hash))
    assert isinstance(reply, Appended)
    return reply


async def ask_digest(server: ServerLink, at: int, records: int) -> Digests:
    """Have `server` apply through `at` and sum its records up, about `records` of them.

    A server that hangs meanwhile loses its links, which ends the wait.
    """
    timeout_s = TABLE_TIMEOUT_S + records * DIGEST_EACH_S
    reply, _ = await server.ask_journal(Digest(at), timeout_s=timeout_s)
    if isinstance(reply, Refusal):
        raise Refused(reply)
    if not isinstance(reply, Digests):
        raise ProtocolError(f"server {server.port} does not answer a digest")
    return reply


async def list_rows(server: ServerLink, bucket: int = -1) -> AsyncIterator[list[Row]]:
    """Yield the applied rows of `server` in key order, in portions; `bucket` -1 means all."""
    async for reply in list_portions(server, ListRecords(bucket, b"", ROWS_AT_ONCE)):
        yield reply.rows


async def list_portions(server: ServerLink, wanted: ListRecords) -> AsyncIterator[Rows]:
    """Yield what `server` answers to `wanted` and to what goes on behind it, portion by portion."""
    while True:
        reply, _ = await server.ask_blobs(wanted, timeout_s=TABLE_TIMEOUT_S)
        if isinstance(reply, Refusal):
            raise Refused(reply)
        assert isinstance(reply, Rows)
        yield reply
        if not reply.more or not reply.rows:
            return
        wanted = msgspec.structs.replace(wanted, after=reply.rows[-1].key)


async def copy_rows(source: ServerLink, target: ServerLink, volume_key: bytes, epoch: Epoch) -> int:
    """Copy every valid row of `source` to `target` in the reign of `epoch` and return how many.

    Damaged ones stay behind.

    They travel on the journal's link: what was sent there later, a delete too, is carried out later.
    """
    copied = 0
    async for rows in list_rows(source):
        good = [row for row in rows if row_is_valid(volume_key, row)]
        reply, _ = await ask(target, PutRows(good, epoch))
        assert isinstance(reply, Done)
        copied += len(good)
    return copied
