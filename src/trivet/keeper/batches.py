"""Changes on their way into the log: gathered into a batch, waited for by a ticket.

Rule: the changes of one operation stay together; a later value of a key replaces an earlier one of its batch.
Rule: a ticket tells what became of the whole entry: acknowledged, durable, or unknown.
"""

import asyncio
from collections.abc import Callable

from trivet.errors import NoMajority
from trivet.volume.changes import ChangeSet
from trivet.wire.blobs import BlobRef


class Ticket:
    """Lets any number of operations wait for the entry their changes went into."""

    __slots__ = (
        "_acked",
        "_durable",
        "_failure",
        "_on_wanted",
        "_waiting",
        "made_at",
        "slot",
        "wants_durable",
    )

    def __init__(self, made_at: float, on_wanted: Callable[[], None]) -> None:
        self.slot: int | None = None
        self.made_at = made_at
        self.wants_durable = False
        self._on_wanted = on_wanted
        self._acked = False
        self._durable = False
        self._failure = ""
        self._waiting: list[tuple[bool, asyncio.Future[None]]] = []

    @property
    def is_waited_for(self) -> bool:
        """Whether an operation waits for it."""
        return bool(self._waiting)

    @property
    def is_acked(self) -> bool:
        """Whether two banks have handed the entry and its blobs to their system."""
        return self._acked

    @property
    def is_durable(self) -> bool:
        """Whether two banks have synced the entry."""
        return self._durable

    async def acked(self) -> None:
        """Wait until two banks have handed the entry to their system; raises NoMajority without them."""
        if not self._acked:
            await self._wait(durable=False)

    async def durable(self) -> None:
        """Wait until two banks have synced the entry; raises NoMajority without them."""
        if not self._durable:
            if not self.wants_durable:
                self.wants_durable = True
                self._on_wanted()
            await self._wait(durable=True)

    async def _wait(self, *, durable: bool) -> None:
        if self._failure:
            raise NoMajority(self._failure)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((durable, future))
        await future

    def mark_acked(self) -> None:
        """Wake those who wait for the acknowledgement."""
        self._acked = True
        self._wake(durable_too=False)

    def mark_durable(self) -> None:
        """Wake everybody."""
        self._acked = self._durable = True
        self._wake(durable_too=True)

    def fail(self, why: str) -> None:
        """Give up on those who wait now; whether the entry will be committed is unknown."""
        self._failure = why
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(NoMajority(why))
        self._waiting.clear()

    def wait_again(self) -> None:
        """Let those who come now wait: banks take changes again, so this will be acknowledged."""
        self._failure = ""

    def _wake(self, *, durable_too: bool) -> None:
        self._failure = ""
        still: list[tuple[bool, asyncio.Future[None]]] = []
        for durable, future in self._waiting:
            if durable and not durable_too:
                still.append((durable, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = still


class Batch:
    """What will be the next entry."""

    __slots__ = ("freed", "new_blobs", "records", "size_bytes", "ticket")

    def __init__(self, ticket: Ticket) -> None:
        self.records: dict[bytes, bytes | None] = {}
        self.freed: list[int] = []
        self.new_blobs: list[BlobRef] = []
        self.size_bytes = 0
        self.ticket = ticket

    def add(self, changes: ChangeSet) -> None:
        """Take in the changes of one operation, or of several that belong together."""
        records = self.records
        size = 0
        for key, value in changes.records.items():
            records.pop(key, None)
            records[key] = value
            size += len(key) + len(value or b"") + 16
        self.size_bytes += size
        self.freed += changes.freed
        self.new_blobs += changes.new_blobs
