"""A server's disk: what was written, what was synced, and what a power cut or damage leaves of it."""

import random
from dataclasses import dataclass
from functools import lru_cache

from trivet.errors import CorruptReplica
from trivet.quorum.acceptor_commands import AcceptorMeta
from trivet.quorum.hash_chain import HashChain
from trivet.wire.entries import Entry, EntryBody, RecordOp, open_entry, seal_entry
from trivet.wire.records import Row

VOLUME_KEY = bytes(range(32))
FOREIGN_KEY = bytes(range(32, 64))


@lru_cache(maxsize=4096)
def opened(raw: bytes) -> Entry:
    """Return the entry in `raw`, opened once for all servers; raises CorruptReplica."""
    return open_entry(VOLUME_KEY, raw)


def _is_ours(entry: Entry) -> bool:
    try:
        opened(entry.raw)
    except CorruptReplica:
        return False
    return True


@dataclass
class KeeperDisk:
    """What keepers of one volume leave each other."""

    high_water: int = 0
    served: bool = False


class Disk:
    """The store of one server. Meta, records and their `applied` are synced whenever they are written."""

    def __init__(self) -> None:
        self.meta: AcceptorMeta | None = None
        self.journal: list[Entry] = []
        self.synced = 0
        self.staged: list[Entry] = []
        self.rows: dict[bytes, Row] = {}
        self.applied = 0
        self.blobs: dict[int, bytes] = {}
        self.unsynced_blobs: dict[int, None] = {}
        self.is_torn = False

    def chain(self) -> HashChain:
        """Return the chain of the journal above the floor that meta names."""
        assert self.meta is not None
        chain = HashChain(self.meta.floor, self.meta.floor_hash)
        readable = [entry for entry in self.journal if entry.slot > self.meta.floor]
        for entry in readable:
            if not chain.follows([entry]) or not _is_ours(entry):
                break
            chain.extend([entry])
        self.journal = readable[: chain.head - chain.floor]
        return chain

    def head(self) -> int:
        """Return the last slot written."""
        return self.journal[-1].slot if self.journal else 0

    def holds(self, slot: int, entry_hash: bytes, *, synced: bool) -> bool:
        """Tell whether the entry at `slot` was written (or `synced`) here, or trimmed once applied."""
        first = self.journal[0].slot if self.journal else self.applied + 1
        if slot < first:
            return slot <= self.applied
        at = slot - first
        if at >= len(self.journal) or (synced and slot > self.synced):
            return False
        return self.journal[at].hash == entry_hash

    def image(self) -> "Disk":
        """Return a copy of what is written now, all of it synced."""
        copy = Disk()
        copy.meta, copy.journal, copy.synced = self.meta, list(self.journal), self.head()
        copy.rows, copy.applied, copy.blobs = dict(self.rows), self.applied, dict(self.blobs)
        return copy

    def tear(self, rng: random.Random) -> None:
        """Make the last entries unreadable: whoever opens the journal sees that something stood there."""
        self.drop_above(self.head() - rng.randint(1, 6))
        self.staged = []
        self.is_torn = True

    def forge(self, key: bytes) -> None:
        """Somebody without the volume's key writes an entry behind the last one, which changes `key`."""
        if self.journal:
            last = self.journal[-1]
            body = EntryBody(ops=[RecordOp(key, 0, b"foreign")], durable=last.body.durable)
            self.journal.append(seal_entry(FOREIGN_KEY, last.slot + 1, last.epoch, last.hash, body))

    def drop_above(self, slot: int) -> None:
        """Remove the entries above `slot`."""
        self.journal = [entry for entry in self.journal if entry.slot <= slot]
        self.synced = min(self.synced, slot)

    def cut_power(self, rng: random.Random) -> str:
        """Lose what was not synced, or part of it; tell how much."""
        head = self.head()
        kept = rng.randint(min(self.synced, head), head)
        self.drop_above(kept)
        self.synced = kept
        self.staged = []
        lost = [name for name in self.unsynced_blobs if rng.random() < 0.5]
        for name in lost:
            self.blobs.pop(name, None)
        self.unsynced_blobs.clear()
        return f"lost {head - kept} entries and {len(lost)} blobs"

    def spoil_blob(self, name: int) -> None:
        """Flip a bit at the end of a blob."""
        *kept, last = self.blobs[name]
        self.blobs[name] = bytes([*kept, last ^ 1])

    def put_row(self, row: Row, *, over_damage: bool) -> None:
        """Store `row` unless a newer one stands there; a damaged one gives way (`over_damage`)."""
        standing = self.rows.get(row.key)
        if standing is None or standing.slot <= row.slot or over_damage:
            self.rows[row.key] = row
