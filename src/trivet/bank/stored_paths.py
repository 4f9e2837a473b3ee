"""What one server stores of a path: found, shown and replaced by hand through the XML-RPC door.

Rule: a path is followed byte for byte through the bank's directory records: no `..`, no symbolic links.
Rule: what somebody puts is never checked: it takes the place of what this server stores of that path, slot
and MAC stay as they were, so that the next compare finds it wrong.
Rule: a path this server stores nothing of is a foreign entry.
"""

import logging
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from trivet.bank.bank_records import BankRecords, RecordsOfBank
from trivet.bank.blob_store import BlobStore
from trivet.bank.foreign_store import ForeignStore
from trivet.bank.record_store import RecordStore
from trivet.bank.store_thread import StoreThread
from trivet.errors import CorruptReplica, InputError, ReplicaError
from trivet.quorum.acceptor import Acceptor
from trivet.volume.attributes import MIB_BYTES, Inode, unpack_inode
from trivet.volume.extents import blobs_of
from trivet.volume.interface import ROOT_INO
from trivet.wire.records import entry_key, extents_key, inode_key, name_of, page_key

log = logging.getLogger(__name__)

MAX_KEY_BYTES = 4096
MAX_VALUE_BYTES = 2 << 20
MAX_TTL_S = (1 << 31) - 1
SHOWN_PATHS = 1000
SHOWN_BYTES = 256
_MIB_AT_ONCE = 64
_MIB_LIMIT = 1 << 16


class Stored(NamedTuple):
    """The record `key`, or (key empty) the blob `blob`, in which this server stores the body of a path."""

    key: bytes
    blob: int


class StoredPaths:
    """The calls of the XML-RPC door; `touched` tells the keeper that a path was changed by hand."""

    def __init__(
        self,
        acceptor: Acceptor,
        records: RecordStore,
        blobs: BlobStore,
        foreign: StoreThread[ForeignStore],
        bank: RecordsOfBank,
        touched: Callable[[bytes], None],
    ) -> None:
        self._acceptor = acceptor
        self._records = records
        self._blobs = blobs
        self._foreign = foreign
        self._bank = bank
        self._touched = touched

    async def put(self, key: Any = None, value: Any = None, ttl: Any = None, *more: Any) -> bool:
        """Replace what this server stores of the path `key` by `value`, or keep both for `ttl` seconds."""
        path, content = _bytes(key, "the key"), _bytes(value, "the value")
        if more or not isinstance(ttl, int) or not 0 < ttl <= MAX_TTL_S:
            raise InputError("put takes a key, a value and a ttl in seconds, a number above 0")
        if not 0 < len(path) <= MAX_KEY_BYTES or len(content) > MAX_VALUE_BYTES:
            raise InputError(f"a key has 1 to {MAX_KEY_BYTES} bytes, a value at most {MAX_VALUE_BYTES}")
        stored = await self._find(path)
        if stored is None:
            await self._foreign.write(lambda foreign: foreign.put(path, content, ttl))
            return True
        if stored.key:
            await self._records.spoil(stored.key, content)
        else:
            self._blobs.spoil(stored.blob, content)
        log.warning("%r was replaced by hand through the XML-RPC door", path)
        self._touched(path)
        return True

    async def get(self, key: Any = None, *more: Any) -> dict[str, Any]:
        """Return {value, ttl} of a path as this server stores it, or of a foreign entry; {} if of neither."""
        path = _bytes(key, "the key")
        if more:
            raise InputError("get takes one key")
        stored = await self._find(path)
        if stored is not None:
            return {"value": await self._content(stored, MAX_VALUE_BYTES), "ttl": MAX_TTL_S}
        entry = await self._foreign.write(lambda foreign: foreign.get(path))
        return {"value": entry.value, "ttl": entry.ttl_s} if entry is not None else {}

    async def print_content(self, *more: Any) -> bool:
        """Write what this server stores of each path, and the foreign entries, to its log; bounded."""
        if more:
            raise InputError("print_content takes nothing")
        shown = 0
        log.info("content of server %s begins", self._acceptor.meta.port)
        try:
            bank = await self._bank.find()
            async for path, inode in self._walk(bank):
                stored = await self._body_of(bank, inode)
                if stored is not None:
                    content = await self._content(stored, SHOWN_BYTES)
                    log.info("%r -> (%s, 'never')", path, _fields(inode, content))
                    shown += 1
                if shown >= SHOWN_PATHS:
                    log.info("... and more: the first %s paths are shown", SHOWN_PATHS)
                    break
        except (ReplicaError, CorruptReplica) as error:
            log.warning("the paths of this server can't be told: %s", error)
        entries = await self._foreign.write(lambda foreign: foreign.entries(SHOWN_PATHS))
        for entry in entries:
            log.info("%r -> (%s, %s s)", entry.key, {"foreign": entry.value[:SHOWN_BYTES]}, entry.ttl_s)
        log.info("content of server %s ends", self._acceptor.meta.port)
        return True

    async def _find(self, path: bytes) -> Stored | None:
        bank = await self._bank.find()
        ino = await _resolve(bank, path)
        if ino is None:
            return None
        value = (await bank.values([inode_key(ino)])).get(inode_key(ino), b"")
        try:
            inode = unpack_inode(ino, value)
        except CorruptReplica:
            inode = Inode(ino, 0, 0, 0, 0, 0, _MIB_AT_ONCE * MIB_BYTES, 0, 0, 0)
        return await self._body_of(bank, inode)

    async def _body_of(self, bank: BankRecords, inode: Inode) -> Stored | None:
        """Return in what this server stores a body: first page record, else first blob, else attributes."""
        own = self._acceptor.meta.standing != "blobs"
        first_page, attributes = page_key(inode.ino, 0), inode_key(inode.ino)
        known = await bank.values([first_page, attributes])
        if own and first_page in known:
            return Stored(first_page, 0)
        mibs = min(-(-inode.size // MIB_BYTES), _MIB_LIMIT)
        for start in range(0, mibs, _MIB_AT_ONCE):
            keys = [extents_key(inode.ino, mib) for mib in range(start, min(start + _MIB_AT_ONCE, mibs))]
            extents = await bank.values(keys)
            for key in keys:
                for name in _blob_names(extents.get(key)):
                    if self._blobs.index.get(name) is not None:
                        return Stored(b"", name)
        return Stored(attributes, 0) if own and attributes in known else None

    async def _content(self, stored: Stored, limit: int) -> bytes:
        if stored.key:
            bank = await self._bank.find()
            return (await bank.values([stored.key])).get(stored.key, b"")[:limit]
        found = self._blobs.get(stored.blob, 0, limit)
        if found is None:
            return b""
        _, data = await self._blobs.read(*found)
        return bytes(data[:limit])

    async def _walk(self, bank: BankRecords) -> AsyncIterator[tuple[bytes, Inode]]:
        """Yield (path, inode) of the tree from the root on, at most ten times what is shown."""
        waiting = deque([(b"/", ROOT_INO)])
        visited = 0
        while waiting and visited < 10 * SHOWN_PATHS:
            path, ino = waiting.popleft()
            visited += 1
            value = (await bank.values([inode_key(ino)])).get(inode_key(ino))
            if value is None:
                continue
            try:
                inode = unpack_inode(ino, value)
            except CorruptReplica:
                log.info("%r -> (%s, 'never')", path, {"damaged": value[:SHOWN_BYTES]})
                inode = Inode(ino, 0, 0, 0, 0, 0, 0, 0, 0, 0)
            else:
                yield path, inode
            if inode.is_directory or ino == ROOT_INO:
                for key, entry in await bank.list_under(entry_key(ino, b""), 10 * SHOWN_PATHS):
                    waiting.append((path.rstrip(b"/") + b"/" + name_of(key), int.from_bytes(entry, "big")))


async def _resolve(bank: BankRecords, path: bytes) -> int | None:
    """Return the inode number of `path`, byte for byte; None if this bank has no such path."""
    if not path.startswith(b"/"):
        return None
    ino = ROOT_INO
    for name in path[1:].split(b"/") if path != b"/" else []:
        value = (await bank.values([entry_key(ino, name)])).get(entry_key(ino, name))
        if not name or value is None:
            return None
        ino = int.from_bytes(value, "big")
        if ino >= 1 << 64:
            raise CorruptReplica(f"the directory entry {name!r} is damaged")
    return ino


def _blob_names(value: bytes | None) -> list[int]:
    try:
        return [ref.name for ref in blobs_of(value)] if value is not None else []
    except struct.error:
        return []  # somebody replaced the record by hand


def _fields(inode: Inode, content: bytes) -> dict[str, Any]:
    return {
        "st_ino": inode.ino,
        "st_mode": inode.mode,
        "st_nlink": inode.nlink,
        "st_uid": inode.uid,
        "st_gid": inode.gid,
        "st_size": inode.size,
        "st_atime": inode.atime_ns / 1e9,
        "st_mtime": inode.mtime_ns / 1e9,
        "st_ctime": inode.ctime_ns / 1e9,
        "content": content,
    }


def _bytes(value: Any, what: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise InputError(f"{what} must be a Binary")
    return value
