"""The records of one server: what the table shows, and what entries not applied yet make of it.

Rule: entries are applied only when durable and synced here, lazily, last value per key; who reads is
answered the newest anyway.
Rule: damage of the table never stops the server: the table is made anew, applied again from the journal as
far as that reaches, and the digests tell the keeper the rest.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from trivet.bank.overlay import Overlay
from trivet.bank.record_table import RecordTable
from trivet.bank.store_thread import Steps, StoreThread
from trivet.bank.summing import NO_SUMS
from trivet.bank.table_errors import TABLE_ERRORS, is_damage, is_full
from trivet.errors import NoSpace
from trivet.wire.bank_messages import Digests, ListRecords, Rows
from trivet.wire.entries import Entry
from trivet.wire.records import Row, record_mac

log = logging.getLogger(__name__)

_T = TypeVar("_T")
APPLY_EVERY_S = 1.0
_APPLY_BYTES = 8 << 20
_SPOIL_TRIES, _SPOIL_PAUSE_S = 30, 0.1
EntriesAfter = Callable[[int], Iterable[Entry]]


class RecordStore:
    """The records in the file `path`; `on_applied` is told each slot the table shows.

    `entries_after(slot)` gives the journal's entries behind `slot`: what a table made anew starts from.
    """

    def __init__(self, path: Path, volume_key: bytes, entries_after: EntriesAfter) -> None:
        self._key = volume_key
        self._table = RecordTable(path, volume_key)
        self._entries_after = entries_after
        self._overlay = Overlay()
        self._allowed = 0
        self._due = asyncio.Event()
        self._hurry = asyncio.Event()
        self._order = asyncio.Lock()
        self._digesting = asyncio.Lock()
        self._thread: StoreThread[RecordTable] | None = None
        self._applying: asyncio.Task[None] | None = None
        self.on_applied: Callable[[int], None] = lambda slot: None
        self.full = False
        self._stopping = False

    @property
    def applied(self) -> int:
        """The slot the table shows."""
        return self._table.applied

    @property
    def count(self) -> int:
        """About how many records there are; exact after each digest."""
        return self._table.count

    @property
    def unapplied_bytes(self) -> int:
        """How much memory the entries take that are not applied."""
        return self._overlay.size_bytes

    def open(self, floor: int, durable: int) -> None:
        """Open the table and bring it to slot `durable`; blocks, so it runs before the server serves.

        A table that shows less than the journal's `floor` (made anew, or rolled back) is loudly said to
        show `floor`: its digests will not add up, which is how the keeper finds what it lacks.
        """
        self._table.open()
        try:
            self._bring_to(floor, durable)
        except TABLE_ERRORS as error:
            if not is_damage(error):
                raise
            self._table.rebuild(str(error))
            self._bring_to(floor, durable)

    def _bring_to(self, floor: int, durable: int) -> None:
        if self._table.applied < floor:
            if floor or self._table.count:
                log.error("the records show slot %s, the journal begins behind %s", self.applied, floor)
            self._table.skip_to(floor)
        self._overlay.begin(self.applied)
        for entry in self._entries_after(self.applied):
            self._overlay.add([entry])
            if self._overlay.size_bytes > _APPLY_BYTES:
                self._apply_now(durable)
        self._apply_now(durable)

    def _apply_now(self, durable: int) -> None:
        last, changes = self._overlay.through(durable, 2 * _APPLY_BYTES)
        if last < 0 or self.full:
            return
        try:
            for _ in self._table.apply(last, changes):
                pass
        except TABLE_ERRORS as error:
            if not is_full(error):
                raise
            self.full = True  # the journal holds them, the overlay answers for them
        else:
            self._overlay.settle(last, changes)

    def start(self) -> asyncio.Task[None]:
        """Begin to apply in the background, on the running loop; return the task, which must not fail."""
        self._thread = StoreThread("records", self._table)
        self._applying = asyncio.create_task(self._keep_applying())
        return self._applying

    async def stop(self) -> None:
        """Apply what may be applied, sync it and close the file."""
        assert self._applying is not None
        self._stopping = True
        self._due.set()
        self._hurry.set()
        await self._applying
        if not self.full:
            await self.sync()
        await self._owned.stop()
        self._table.close()

    def add(self, entries: Sequence[Entry]) -> None:
        """Take in entries that were appended to the journal."""
        self._overlay.add(entries)

    def allow(self, slot: int) -> None:
        """Say that entries up to `slot` may be applied."""
        self._allowed = max(self._allowed, slot)
        self._due.set()
        if self._overlay.size_bytes > _APPLY_BYTES:
            self._hurry.set()

    async def _keep_applying(self) -> None:
        while not self._stopping:
            await self._due.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(APPLY_EVERY_S):
                    await self._hurry.wait()
            self._due.clear()
            self._hurry.clear()
            async with self._order:
                await self._notice_other_file()
                await self._apply_through(self._allowed)

    async def _apply_through(self, slot: int) -> None:
        """Apply; on a full disk stop early: the journal holds the entries, the overlay answers for them."""
        while True:
            last, changes = self._overlay.through(slot, _APPLY_BYTES)
            if last < 0:
                return
            try:
                await self._steps(partial(RecordTable.apply, slot=last, changes=changes))
            except NoSpace:
                self.full = True
                self._due.set()
                return
            self.full = False
            self._overlay.settle(last, changes)
            self.on_applied(last)

    async def replace_tail(self) -> None:
        """Take the entries that are not applied from the journal again: it was installed anew."""
        async with self._order:
            self._overlay.begin(self.applied)
            self._overlay.add(self._entries_after(self.applied))

    async def skip_to(self, slot: int) -> None:
        """Say that the rows show `slot`, whatever they are."""
        async with self._order:
            await self._write(lambda table: table.skip_to(slot))
            self._overlay.begin(slot)
            self._overlay.add(self._entries_after(slot))

    async def wipe(self, slot: int) -> None:
        """Remove all rows; those that follow show `slot`."""
        async with self._order:
            self._overlay.begin(slot)
            self._allowed = slot
            await self._write(lambda table: table.wipe(slot))

    async def sync(self) -> None:
        """Make what the rows show survive a power loss."""
        await self._write(RecordTable.sync)

    def get(self, keys: Sequence[bytes]) -> Rows | Awaitable[Rows]:
        """Return the newest rows of `keys` this server knows of; keys without one are left out."""
        rows: list[Row] = []
        stored: list[bytes] = []
        for key in keys:
            change = self._overlay.newest(key)
            if change is None:
                stored.append(key)
            elif change.value is not None:
                mac = record_mac(self._key, key, change.slot, change.value)
                rows.append(Row(key, change.slot, change.value, mac))
        return self._get_stored(stored, rows) if stored else Rows(self.applied, False, rows)

    async def _get_stored(self, keys: list[bytes], rows: list[Row]) -> Rows:
        rows += await self._read(lambda table: table.rows_of(keys))
        return Rows(self.applied, False, rows)

    async def list_rows(self, message: ListRecords, limit: int) -> Rows:
        """Return up to `limit` of the rows that `message` asks for."""
        if self.applied < message.at:
            async with self._order:
                await self._apply_through(message.at)
        wanted = partial(RecordTable.rows_after, after=message.after, limit=limit, bucket=message.bucket)
        rows, more = await self._steps(partial(wanted, bodies=message.bodies))
        return Rows(self.applied, more, rows)

    async def put(self, rows: list[Row]) -> None:
        """Write valid rows over what stands there, unless that is valid and newer."""
        await self._write(lambda table: table.put_rows(rows))

    async def delete(self, rows: list[tuple[bytes, int]]) -> None:
        """Delete each (key, slot) if the row is damaged or stands at that slot."""
        await self._write(lambda table: table.delete_rows(rows))

    async def spoil(self, key: bytes, value: bytes) -> None:
        """Put `value` into the row of `key`, leaving slot and MAC as they are.

        A change that is not durable yet is waited for a little, or it would soon hide the spoilt row.
        """
        for _try in range(_SPOIL_TRIES):
            async with self._order:
                await self._apply_through(self._allowed)
            if self._overlay.newest(key) is None:
                break
            await asyncio.sleep(_SPOIL_PAUSE_S)
        await self._write(lambda table: table.spoil(key, value))

    async def keys_under(self, prefix: bytes, limit: int) -> list[bytes]:
        """Return up to `limit` keys that begin with `prefix`, in order, with those not applied yet."""
        end = prefix + b"\xff" * 16
        stored = await self._read(lambda table: table.keys_between(prefix, end, limit))
        return sorted({*stored, *self._overlay.keys_with(prefix)})[:limit]

    async def digest(self, at: int) -> Digests:
        """Apply at least through `at`, check every row and add them up where the table stands at the end.

        The `at` of the answer says where that is; -1 if it can't be reached. Writes need not wait for it.
        """
        async with self._digesting:
            async with self._order:
                await self._notice_other_file()
                await self._apply_through(at)
            if self._table.applied < at:
                return Digests(*NO_SUMS)
            try:
                await self._owned.write_steps(RecordTable.begin_sums)
                while (sums := await self._owned.write_steps(RecordTable.sum_on)) is None:
                    pass
            except TABLE_ERRORS as error:
                await self._rebuild(error)
                sums = NO_SUMS
            return Digests(*sums)

    async def _notice_other_file(self) -> None:
        """If somebody deleted our file or put another one there, make it anew from the one still open."""
        if not self._table.is_in_place():
            await self._owned.write(lambda table: table.rebuild("replaced or deleted by somebody else"))

    @property
    def _owned(self) -> StoreThread[RecordTable]:
        assert self._thread is not None, "the store was not started"
        return self._thread

    async def _read(self, job: Callable[[RecordTable], _T]) -> _T:
        return await self._healing(lambda: self._owned.read(job))

    async def _write(self, job: Callable[[RecordTable], _T]) -> _T:
        return await self._healing(lambda: self._owned.write(job))

    async def _steps(self, job: Callable[[RecordTable], Steps[_T]]) -> _T:
        return await self._healing(lambda: self._owned.write_steps(job))

    async def _healing(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Await what `ask` returns; if the table is damaged, make it anew and ask once more."""
        try:
            return await ask()
        except TABLE_ERRORS as error:
            await self._rebuild(error)
        return await ask()

    async def _rebuild(self, error: Exception) -> None:
        if is_full(error):
            raise NoSpace("the disk of the records is full") from error
        if not is_damage(error):
            raise error
        await self._owned.write(partial(RecordTable.rebuild, why=str(error)))
