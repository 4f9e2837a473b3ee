"""Banks in memory: the ports the volume stands on, honest about order, delays and what a crash leaves.

Rule: entries are sealed in order, acked and made durable some turns of the loop later.
Rule: `audit` says what no volume may ever do: name a blob that is not stored, free one that is named.
"""

import asyncio
import random
from collections.abc import Sequence

from trivet.errors import NoMajority, NoSpace
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.blob_names import BlobNames
from trivet.volume.changes import ChangeSet
from trivet.volume.extents import blobs_of
from trivet.volume.loading import Loading
from trivet.volume.namespace import Namespace
from trivet.wire.blobs import BlobRef, root_of, sub_hashes


class Entry:
    """One journal entry in the making; also everybody's ticket on it."""

    def __init__(self, banks: "MemoryBanks") -> None:
        self.banks = banks
        self.changes = ChangeSet()
        self.slot: int | None = None
        self.written = asyncio.Event()
        self.synced = asyncio.Event()

    @property
    def is_acked(self) -> bool:
        """See stores.Ticket."""
        return self.written.is_set()

    @property
    def is_durable(self) -> bool:
        """See stores.Ticket."""
        return self.synced.is_set()

    async def acked(self) -> None:
        """See stores.Ticket."""
        await self.written.wait()
        if self.banks.failing:
            raise NoMajority("two banks are gone")

    async def durable(self) -> None:
        """See stores.Ticket."""
        await self.synced.wait()
        if self.banks.failing:
            raise NoMajority("two banks are gone")


class MemoryBanks:
    """All ports at once.

    `rng` None means no delay at all; `failing` lets puts and tickets fail, `full` puts alone.
    """

    def __init__(self, durability: str = "default", rng: random.Random | None = None) -> None:
        self.durability = durability
        self.rng = rng
        self.names = BlobNames(1)
        self.rows: dict[bytes, tuple[int, bytes]] = {}
        self.blobs: dict[int, bytes] = {}
        self.freed: set[int] = set()
        self.entries: list[Entry] = []
        self.looked_at: list[int] = []
        self.failing = False
        self.full = False
        self.blob_reads = 0
        self.record_reads = 0
        self._open: Entry | None = None
        self._pending: list[Entry] = []
        self._seal: asyncio.Task[None] | None = None

    @property
    def takes_changes(self) -> bool:
        """See stores.CommitPort: these banks fail at the ticket, never before."""
        return True

    async def writable(self) -> None:
        """See stores.CommitPort."""

    def submit(self, changes: ChangeSet, *, sync: bool = False) -> Entry:
        """See stores.CommitPort; values are readable at once, as from the port's overlay."""
        if self._open is None:
            self._open = Entry(self)
            self._pending.append(self._open)
            if self._seal is None or self._seal.done():
                self._seal = asyncio.ensure_future(self._seal_all())
        self._open.changes.merge(changes)
        slot = len(self.entries) + len(self._pending)
        for key, value in changes.records.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = (slot, value)
        return self._open

    @property
    def head_slot(self) -> int:
        """See stores.CommitPort."""
        return len(self.entries)

    @property
    def durable_slot(self) -> int:
        """See stores.CommitPort."""
        return next((n for n in range(len(self.entries), 0, -1) if self.entries[n - 1].is_durable), 0)

    def slot_of(self, key: bytes) -> int:
        """See stores.CommitPort; what is not sealed yet is not told."""
        slot = self.rows[key][0] if key in self.rows else 0
        return slot if slot <= len(self.entries) else 0

    def is_fresh(self, key: bytes) -> bool:
        """See stores.CommitPort."""
        waiting = [*self.entries[-2:], *self._pending]
        return any(key in entry.changes.records and not entry.is_acked for entry in waiting)

    def new_name(self) -> int:
        """See stores.BlobPort."""
        return self.names.take()

    async def put(self, name: int, data: bytes | memoryview) -> BlobRef:
        """See stores.BlobPort."""
        assert 0 < len(data) <= 1 << 20
        assert name not in self.blobs
        await self._dawdle()
        if self.failing:
            raise NoMajority("two banks are gone")
        if self.full:
            raise NoSpace("two banks are full")
        self.blobs[name] = bytes(data)
        root = root_of(len(data), sub_hashes(data)) if self.rng is not None else bytes(16)
        return BlobRef(name, len(data), root)

    async def read(self, what: BlobRef | Sequence[bytes], offset: int = 0, size: int = 0) -> object:
        """See stores.BlobPort and stores.RecordPort: what is asked for tells which."""
        await self._dawdle()
        if isinstance(what, BlobRef):
            self.blob_reads += 1
            assert 0 <= offset < offset + size <= what.size
            return self.blobs[what.name][offset : offset + size]
        self.record_reads += 1
        found = {key: self.rows[key][1] for key in what if key in self.rows}
        await self._dawdle()
        return found

    def accessed(self, ino: int) -> None:
        """See stores.AccessPort."""
        self.looked_at.append(ino)

    def space(self) -> tuple[int, int]:
        """See stores.SpacePort."""
        return 1 << 40, 1 << 39

    async def _seal_all(self) -> None:
        while self._pending:
            await self._dawdle()
            entry = self._pending.pop(0)
            if entry is self._open:
                self._open = None
            self.entries.append(entry)
            entry.slot = len(self.entries)
            self.freed.update(entry.changes.freed)
            await self._dawdle()
            entry.written.set()
            await self._dawdle()
            entry.synced.set()

    async def _dawdle(self) -> None:
        if self.rng is None:
            return
        for _turn in range(self.rng.choice((0, 0, 0, 1, 3, 20))):
            await asyncio.sleep(0)

    def volume(self, space: Namespace, **options: object) -> LocalVolume:
        """Return a LocalVolume that stands on these banks."""
        return LocalVolume(space, commit=self, blobs=self, records=self, access=self, room=self, **options)  # type: ignore[arg-type]

    def fresh(self, **options: object) -> LocalVolume:
        """Return a LocalVolume of an empty volume with its root."""
        space = Namespace(self.names)
        space.make_root(0, 0, 1)
        return self.volume(space, **options)

    def loaded(self) -> tuple[Namespace, list[str]]:
        """Return the namespace a new keeper would build from what was submitted, and what does not fit."""
        return load(self.names, {key: value for key, (_slot, value) in self.rows.items()})

    def copied(self) -> "MemoryBanks":
        """Return banks of their own with the same records and blobs, as another keeper would find them."""
        banks = MemoryBanks()
        banks.rows = dict(self.rows)
        banks.blobs = dict(self.blobs)
        return banks

    def audit(self) -> None:
        """Assert that every blob named is stored and not freed, and every other one is freed."""
        named: set[int] = set()
        for key, (_slot, value) in self.rows.items():
            if key.startswith(b"e/"):
                for ref in blobs_of(value):
                    assert ref.name not in named, "a blob is named by two records"
                    assert len(self.blobs[ref.name]) == ref.size
                    named.add(ref.name)
        assert not named & self.freed, "a blob that is named was freed"
        unaccounted = self.blobs.keys() - named - self.freed
        assert not unaccounted, f"blobs that nothing names were never freed: {unaccounted}"


def load(names: BlobNames, rows: dict[bytes, bytes]) -> tuple[Namespace, list[str]]:
    """Return the namespace built from `rows` and what does not fit."""
    loading = Loading(names)
    for key, value in sorted(rows.items()):
        loading.add(key, None if key.startswith(b"b/") else value)
    for _ in loading.steps():
        pass
    return loading.space, loading.problems
