"""The log as the volume uses it: changes go in, tickets tell when they are acknowledged and durable.

Rule: what is handed in during one turn of the loop becomes one entry; a few entries may be under way.
Rule: without a majority nothing more is taken in, and tickets fail within 2 s; what was handed in before
is kept and committed later.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from trivet.errors import NoMajority
from trivet.io.clock import steady_s
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.batches import Batch, Ticket
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.log_room import WAIT_S, LogRoom, is_long
from trivet.keeper.owned_task import own_task
from trivet.keeper.stores import Durability
from trivet.quorum.digests import RecordIndex
from trivet.quorum.membership import CONFIG_KEY
from trivet.volume.changes import ChangeSet
from trivet.wire.blobs import BlobRef
from trivet.wire.entries import Entry, RecordOp

NO_MAJORITY_AFTER_S = 1.7
MAJORITY_LOOK_S = 0.02
SLOW_DISKS_AFTER_S = 30.0
SYNC_EVERY_S = 0.05
CHECK_EVERY_S = 0.1
ANCHOR_AFTER_S = 1.0
ANCHOR_EVERY_ENTRIES = 5000
ANCHOR_EVERY_BYTES = 4 << 20
ENTRIES_UNDER_WAY = 4
BATCH_BYTES = 2 << 20


class Journal:
    """Commits change sets in the order they are handed in; `index` is kept true to the log's head."""

    def __init__(self, shell: LeaderShell, index: RecordIndex, durability: Durability) -> None:
        self.durability: Durability = durability
        self.index = index
        self.entries = 0
        self.room = LogRoom()
        self._shell = shell
        self._leader = shell.leader
        self._batch: Batch | None = None
        self._under_way: deque[Batch] = deque()
        self._unsynced: deque[Ticket] = deque()
        self._fresh: dict[bytes, bytes | None] = {}
        self._stored: dict[int, set[int]] = {}
        self._lacking: dict[tuple[int, int], set[int]] = {}
        self._slot_of_blob: dict[int, int] = {}
        self._freed: deque[tuple[int, list[int]]] = deque()
        self._is_stalled = False
        self._alone_since: float | None = None
        self._sync_asked = False
        self._seal_asked = False
        self._last_entry_at = steady_s()
        self._since_anchor = self._bytes_since_anchor = 0
        self._ends_in_anchor = False
        self._running = own_task(self._keep_time())

    async def close(self) -> None:
        """Stop keeping time; what is under way is left to its tickets."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    @property
    def takes_changes(self) -> bool:
        """Whether two banks are there to take changes, took earlier ones, and let go of the log in time."""
        return self._has_takers and self.room.is_free

    @property
    def _has_takers(self) -> bool:
        return not self._is_stalled and self._shell.taking() >= self._shell.majority

    async def writable(self) -> None:
        """Wait until banks take changes; raise NoMajority once they have not for NO_MAJORITY_AFTER_S.

        What waits for room in the log waits longer, see LogRoom.
        """
        until = steady_s() + WAIT_S
        while not self.takes_changes:
            if self._has_takers:
                await self.room.wait(until - steady_s())
                continue
            self._alone_since = self._alone_since or steady_s()
            if self._is_stalled or steady_s() - self._alone_since > NO_MAJORITY_AFTER_S:
                raise NoMajority("fewer than two banks take changes")
            await asyncio.sleep(MAJORITY_LOOK_S)

    @property
    def is_possibly_stale(self) -> bool:
        """Whether what is read now may be taken back, or not be the last state any more."""
        return self._is_stalled or not self._leader.reign.lease.holds(steady_s())

    def submit(self, changes: ChangeSet, *, sync: bool = False) -> Ticket:
        """Put `changes` whole into the next entry, and have that synced at once if `sync`; never blocks."""
        batch = self._batch
        if batch is None:
            batch = self._batch = Batch(Ticket(steady_s(), self._durable_wanted))
            batch.ticket.wants_durable = self.durability == "always"
        batch.add(changes)
        batch.ticket.wants_durable |= sync
        self._fresh.update(changes.records)
        if not self._under_way and not self._seal_asked and self._leader.is_serving:
            self._seal(batch)
        elif not self._seal_asked:
            self._seal_asked = True
            asyncio.get_running_loop().call_soon(self._seal_if_due)
        elif batch.size_bytes >= BATCH_BYTES:
            self._seal(batch)
        return batch.ticket

    def _seal_if_due(self) -> None:
        self._seal_asked = False
        if self._batch is not None and len(self._under_way) < ENTRIES_UNDER_WAY and self._leader.is_serving:
            self._seal(self._batch)

    def _seal(self, batch: Batch) -> None:
        self._batch = None
        batch.ticket.wait_again()
        slot = self._leader.reign.log.head + 1
        ops = []
        for key, value in batch.records.items():
            old_slot = self.index.exchange(key, slot if value is not None else 0)
            if value is not None or old_slot:
                ops.append(RecordOp(key, old_slot, value))
        now = steady_s()
        blobs = [(ref.name, ref.size, ref.root) for ref in batch.new_blobs]
        missing = self._missing(slot, batch.new_blobs)
        entry, commands = self._leader.append(
            ops, now, freed=batch.freed, new_blobs=blobs, missing=missing, sync=batch.ticket.wants_durable
        )
        self._note_entry(now)
        self._bytes_since_anchor += len(entry.raw)
        batch.ticket.slot = slot
        self._under_way.append(batch)
        self._unsynced.append(batch.ticket)
        if batch.freed:
            self._freed.append((slot, batch.freed))
        self._shell.run(commands)

    def _note_entry(self, now: float, *, is_anchor: bool = False) -> None:
        self.entries += 1
        self._since_anchor = 0 if is_anchor else self._since_anchor + 1
        self._last_entry_at = now
        self._ends_in_anchor = is_anchor
        self.room.grew(self._leader.reign.log.size_bytes)

    def blob_stored(self, name: int, bank: int) -> None:
        """Note that the bank at base `bank` has the blob `name`, whose entry may come or have come."""
        slot = self._slot_of_blob.get(name)
        if slot is None:
            self._stored.setdefault(name, set()).add(bank)
            return
        lacking = self._lacking.get((slot, bank))
        if lacking is not None:
            lacking.discard(name)
            if not lacking:
                del self._lacking[slot, bank]
                self._shell.run(self._leader.on_blobs_stored(bank, slot, steady_s()))

    def blob_came(self, name: int, bank: int) -> None:
        """Note that a bank has a blob of an entry that was handed in, if that still matters."""
        if name in self._slot_of_blob or name in self._stored:
            self.blob_stored(name, bank)

    def _missing(self, slot: int, refs: Sequence[BlobRef]) -> list[int]:
        """Return the banks that do not hold all of `refs`, which the entry at `slot` names, yet."""
        missing = set()
        for name in (ref.name for ref in refs):
            have = self._stored.pop(name, set())
            self._slot_of_blob[name] = slot
            for bank in self._leader.reign.followers:
                if bank not in have:
                    missing.add(bank)
                    self._lacking.setdefault((slot, bank), set()).add(name)
        return sorted(missing)

    def freed_through(self, slot: int) -> list[int]:
        """Hand over the blobs that entries up to `slot` set free; each is handed over once."""
        names: list[int] = []
        while self._freed and self._freed[0][0] <= slot:
            names += self._freed.popleft()[1]
        return names

    def acked(self, slot: int) -> None:
        """Wake those whose entries two banks have handed to their systems."""
        fresh = self._fresh
        while self._under_way and (self._under_way[0].ticket.slot or 0) <= slot:
            batch = self._under_way.popleft()
            for key, value in batch.records.items():
                if fresh.get(key, b"") is value:
                    del fresh[key]
            batch.ticket.mark_acked()
        self._is_stalled = self._is_stalled and bool(self._under_way)
        self._seal_if_due()

    def durable(self, slot: int) -> None:
        """Wake those whose entries two banks have synced, and forget about their blobs."""
        while self._unsynced and (self._unsynced[0].slot or 0) <= slot:
            self._unsynced.popleft().mark_durable()
        if self._slot_of_blob:
            done = [name for name, at in self._slot_of_blob.items() if at <= slot]
            for name in done:
                del self._slot_of_blob[name]
            for key in [key for key in self._lacking if key[0] <= slot]:
                del self._lacking[key]

    def _durable_wanted(self) -> None:
        if not self._sync_asked:
            self._sync_asked = True
            asyncio.get_running_loop().call_soon(self._sync_now)

    def _sync_now(self) -> None:
        self._sync_asked = False
        if self._batch is None:
            self._shell.run(self._leader.sync(steady_s(), hurry=True))

    @property
    def head_slot(self) -> int:
        """The last slot there is."""
        return self._leader.reign.log.head

    @property
    def durable_slot(self) -> int:
        """The last slot that two banks have synced."""
        return self._leader.reign.marks.durable

    def slot_of(self, key: bytes) -> int:
        """Return the slot at which `key` stands, 0 if it does not exist."""
        return self.index.slot_of(key)

    def is_fresh(self, key: bytes) -> bool:
        """Tell whether the last change of `key` is not acknowledged yet."""
        return key in self._fresh

    def fresh_value(self, key: bytes) -> bytes | None:
        """Return the value that a change not acknowledged yet gives `key` (None: it deletes it)."""
        return self._fresh[key]

    def acceptors_at(self, slot: int) -> Sequence[ServerLink]:
        """Return the acceptors that are up and hold the log through `slot`, the idlest first."""
        return self._shell.acceptors_at(slot)

    async def _keep_time(self) -> None:
        next_check = 0.0
        while True:
            await asyncio.sleep(SYNC_EVERY_S)
            now = steady_s()
            if self._leader.is_serving:
                self._shell.run(self._leader.sync(now))
            if self.room.look(self._leader.reign.log, now, has_takers=self._has_takers):
                self._shell.run(self._leader.trim(now))
            if now >= next_check:
                next_check = now + CHECK_EVERY_S
                self._fail_overdue(now)
                self._write_anchor(now)

    def _fail_overdue(self, now: float) -> None:
        unacked = [batch.ticket for batch in (*self._under_way, self._batch) if batch is not None]
        is_deposed = self._leader.reign.phase == "deposed"
        if is_deposed:
            limit_s, why = 0.0, "another keeper took over"
        elif self._shell.taking() < self._shell.majority:
            limit_s, why = NO_MAJORITY_AFTER_S, "fewer than two banks take changes"
            self._alone_since = self._alone_since or now
        else:  # a busy disk is no lost write
            self._alone_since = None
            limit_s, why = SLOW_DISKS_AFTER_S, f"two banks did not sync within {SLOW_DISKS_AFTER_S:g} s"
        self._is_stalled = is_deposed or (bool(unacked) and now - unacked[0].made_at > limit_s)
        for ticket in (*unacked, *self._unsynced):
            if now - ticket.made_at <= limit_s:
                ticket.wait_again()
            elif ticket.is_waited_for:
                ticket.fail(why)

    def _write_anchor(self, now: float) -> None:
        """Record marks and sums 1 s after the last entry, and every few thousand entries or MiB."""
        is_due = not self._ends_in_anchor and now - self._last_entry_at > ANCHOR_AFTER_S
        is_due |= self._since_anchor > ANCHOR_EVERY_ENTRIES or self._bytes_since_anchor > ANCHOR_EVERY_BYTES
        if not self._leader.is_serving or not is_due:
            return
        self._bytes_since_anchor = 0
        self.index.exchange(CONFIG_KEY, self._leader.next_slot)
        _, commands = self._leader.anchor(self.index.sums(), now)
        self._note_entry(now, is_anchor=True)
        self._shell.run(commands)
        if is_long(self._leader.reign.log):
            self._shell.run(self._leader.trim(now))

    def sealed(self, entry: Entry) -> None:
        """Take the records of an entry that the leader authored itself into the index."""
        self._ends_in_anchor = False
        self._last_entry_at = steady_s()
        for op in entry.body.ops:
            self.index.exchange(op.key, entry.slot if op.value is not None else 0)
