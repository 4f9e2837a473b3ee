"""Moving blobs between this process and the banks: two banks of three have what was put, the third follows.

Rule: nothing that comes from a bank, or its files, is believed before it matches the root in the record.
Rule: a bank that has no good copy is told to the keeper, whose business repairs are.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from trivet.client.bank_pool import BankPool, BankServer
from trivet.errors import NoMajority, NoSpace
from trivet.io.link import LinkLost
from trivet.io.near_blobs import ASKED_AT_ONCE, NearBlobs
from trivet.wire.bank_messages import BlobData, BlobPlaces, FindBlobs, GetBlob, PutBlob
from trivet.wire.blobs import BlobRef, is_intact, piece_range, root_of, sub_hashes
from trivet.wire.journal_messages import Refusal

PUT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 0.9  # two servers of a hung bank are left behind within 2 s
LATE_MAX = 16
LATE_S = 1.0


class StoredBlob:
    """A blob that the banks at `bases` have, more of them as time goes by.

    `tell(name, base, well)` hears what else became of it, but not before the keeper knows of the blob:
    what is told of one that nothing names is forgotten there.
    """

    __slots__ = ("_failed", "_is_named", "_tell", "bases", "ref")

    def __init__(self, ref: BlobRef, tell: Callable[[int, int, bool], None]) -> None:
        self.ref = ref
        self.bases: list[int] = []
        self._tell = tell
        self._failed: list[int] = []
        self._is_named = False

    def ended(self, base: int, well: bool) -> None:
        """Note whether the bank at `base` has it."""
        if self._is_named:
            self._tell(self.ref.name, base, well)
        else:
            (self.bases if well else self._failed).append(base)
            if well and base in self._failed:
                self._failed.remove(base)

    def named(self, told: int) -> None:
        """Note that the keeper knows of it, and that the first `told` of its `bases` have it."""
        self._is_named = True
        for base in self.bases[told:]:
            self._tell(self.ref.name, base, True)
        for base in self._failed:
            self._tell(self.ref.name, base, False)


class BlobTransfer:
    """Puts and reads blobs; `on_late(name, base, well)` hears what became of a third copy, `on_bad(name,
    base)` of a bank without a good copy.
    """

    def __init__(
        self, pool: BankPool, on_late: Callable[[int, int, bool], None], on_bad: Callable[[int, int], None]
    ) -> None:
        self._pool = pool
        self._on_late = on_late
        self._on_bad = on_bad
        self._late: set[asyncio.Task[bool]] = set()
        self._late_places = asyncio.Semaphore(LATE_MAX)
        self._near = NearBlobs()
        self._asking: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Wait for third copies that are on their way, LATE_S at most."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await asyncio.gather(*self._late, return_exceptions=True)
        self._near.close()

    async def put(self, name: int, view: memoryview) -> StoredBlob:
        """Write `view` under `name`; return when two banks have handed it to their system.

        Raises NoMajority when two banks can't be had, NoSpace when they are full.
        """
        hashes = sub_hashes(view)
        stored = StoredBlob(BlobRef(name, len(view), root_of(len(view), hashes)), self._on_late)
        request = PutBlob(name, hashes, False)
        refusals: list[Refusal] = []
        everywhere = range(len(self._pool.banks))
        await self._put_in_banks(everywhere, stored, request, view, refusals)
        if len(stored.bases) < self._pool.majority:  # who was away a moment ago may be back
            refusals.clear()
            missing = [bank for bank in everywhere if self._pool.banks[bank][0].base not in stored.bases]
            for server in (one for bank in missing for one in self._pool.banks[bank]):
                server.try_again()
            await self._put_in_banks(missing, stored, request, view, refusals)
        if len(stored.bases) < self._pool.majority:
            if sum(refusal.reason == "space" for refusal in refusals) >= self._pool.majority:
                raise NoSpace("two banks have no room left")
            raise NoMajority("fewer than two banks took the data")
        return stored

    async def _put_in_banks(
        self,
        banks: Iterable[int],
        stored: StoredBlob,
        request: PutBlob,
        view: memoryview,
        refusals: list[Refusal],
    ) -> None:
        """Write to `banks` at once; return when two have it, or none is left that may."""
        await self._late_places.acquire()
        tasks = {
            asyncio.create_task(
                self._put_in_bank(bank, stored.ref.name, request, view, refusals)
            ): self._pool.banks[bank][0].base
            for bank in banks
        }
        pending = set(tasks)
        try:
            while len(stored.bases) < self._pool.majority and pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    stored.ended(tasks[task], task.result())
        finally:
            self._leave_behind(stored, {task: tasks[task] for task in pending})

    def _leave_behind(self, stored: StoredBlob, pending: dict[asyncio.Task[bool], int]) -> None:
        left = set(pending)
        if not left:
            self._late_places.release()

        def ended(task: asyncio.Task[bool]) -> None:
            self._late.discard(task)
            left.discard(task)
            if not left:
                self._late_places.release()
            stored.ended(pending[task], not task.cancelled() and task.result())

        for task in pending:
            self._late.add(task)
            task.add_done_callback(ended)
            asyncio.get_running_loop().call_later(LATE_S, task.cancel)

    async def _put_in_bank(
        self, bank: int, name: int, request: PutBlob, data: memoryview, refusals: list[Refusal]
    ) -> bool:
        """Write to the server the name belongs on, or to the next that answers; tell whether one has it."""
        for server in self._pool.servers_for(name, bank):
            try:
                reply, _ = await server.ask(request, data, timeout_s=PUT_TIMEOUT_S)
            except LinkLost:
                continue
            except asyncio.CancelledError:  # two banks were faster, and this one too slow
                server.give_up()
                raise
            if not isinstance(reply, Refusal):
                return True
            refusals.append(reply)
        return False

    async def read(self, ref: BlobRef, offset: int, size: int) -> bytes | memoryview:
        """Return `size` verified bytes at `offset` of a blob from the first bank that has a good copy.

        Raises NoMajority if none of those that answer has one.
        """
        start, end = piece_range(ref.size, offset, size)
        banks = len(self._pool.banks)
        first = self._near.bank_of(ref.name)
        body: bytes | memoryview | None = None
        if first is not None:
            body = await self._near.read(ref, start, end)
        for turn in range(banks):
            if body is not None:
                break
            body = await self._read_in_bank(
                ((ref.name if first is None else first) + turn) % banks, ref, start, end
            )
        if body is None:
            raise NoMajority(f"no bank that answers has a good copy of blob {ref.name}")
        return body if (start, end) == (offset, offset + size) else memoryview(body)[offset - start :][:size]

    async def _read_in_bank(self, bank: int, ref: BlobRef, start: int, end: int) -> bytes | memoryview | None:
        answered = False
        for server in self._pool.servers_for(ref.name, bank):
            if server.is_away:
                continue
            try:
                body = await self._ask_for(server, ref, start, end)
            except LinkLost:
                continue
            if body is not None:
                self._ask_where(bank, server, ref.name)
                return body
            answered = True
        if answered and await self._pool.look_for_new():
            return await self._read_in_bank(bank, ref, start, end)
        if answered:
            self._on_bad(ref.name, self._pool.banks[bank][0].base)
        return None

    def _ask_where(self, bank: int, server: BankServer, name: int) -> None:
        """Have `server` tell where `name` and those named after it stand, if it is near; one at a time."""
        if server.is_near and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._learn_where(bank, server, name))

    async def _learn_where(self, bank: int, server: BankServer, name: int) -> None:
        with contextlib.suppress(LinkLost):
            told, _ = await server.ask(FindBlobs(name, ASKED_AT_ONCE), timeout_s=READ_TIMEOUT_S)
            if isinstance(told, BlobPlaces):
                self._near.learn(bank, server.path, told)

    @staticmethod
    async def _ask_for(server: BankServer, ref: BlobRef, start: int, end: int) -> bytes | memoryview | None:
        """Return the verified pieces from `start` to `end` on `server`, None without a good copy."""
        reply, body = await server.ask(GetBlob(ref.name, start, end - start), timeout_s=READ_TIMEOUT_S)
        if not isinstance(reply, BlobData) or not reply.found:
            return None
        whole = reply.start == start and len(body) == end - start
        return body if whole and is_intact(ref, reply.hashes, start, body) else None
