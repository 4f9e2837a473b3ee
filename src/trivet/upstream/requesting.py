"""Requests for bodies on their way to the work: put into the queue, taken in its order, parked meanwhile.

Rule: the row of a transfer is the truth; what comes from the queue only says that it is its turn. What is
over is acknowledged, what nobody here knows goes to the dead letters.
Rule: what is parked is put into the queue before it is unparked; a crash between leaves it in both, once.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from trivet.io.queues.request_queue import Parking, Request, RequestQueue
from trivet.io.queues.servers import Servers
from trivet.upstream.standing import Upstream
from trivet.upstream.transfers import OPEN, Transfer, Transfers

#: A request is taken at once, unless the server of the queue is away.
TAKEN_S = 3.0
#: So long a request stays parked.
PARKED_S = 7 * 24 * 3600.0


class QueueTold(msgspec.Struct, frozen=True):
    """Who keeps the queue and what is parked; `trouble` says which server is away, "" when all is well."""

    queue: str
    parking: str
    parked: int
    trouble: str


class Requests:
    """The queue and the parking of `up`; `open` them, `run`, and `close` them in the end."""

    def __init__(self, up: Upstream, transfers: Transfers) -> None:
        self._up = up
        self._transfers = transfers
        self._taken: dict[str, asyncio.Event] = {}
        self._queue: RequestQueue
        self._parking: Parking

    async def open(self, servers: Servers) -> None:
        """Begin to use the servers."""
        up, name = self._up, f"{servers.prefix}.{self._up.name}"
        lock_path = up.store.path.with_suffix(".lock")

        async def tell(text: str) -> None:
            await up.tell(text, up.user)

        self._queue = await servers.queue(f"{name}.requests", up.store, lock_path, tell)
        self._parking = await servers.parking(f"{name}.parked", up.store, up.now_s, tell)

    async def close(self) -> None:
        """Let go of the servers; what is not over comes again."""
        await self._queue.close()
        await self._parking.close()

    async def run(self, start: Callable[[Transfer], bool]) -> None:
        """Take requests, first in, first out, and `start` their transfers, until cancelled.

        `start` returns False for a transfer whose file another one brings.
        """
        while True:
            request = await self._queue.take()
            transfer = await self._transfers.by_key(request.key)
            if transfer is None:
                await self._queue.refuse(request.key, f"nobody here knows the transfer {request.key!r}")
            elif transfer.state not in OPEN:
                await self.over(transfer)
            elif start(transfer):
                self._event(transfer.key).set()
            else:
                why, now_s = "the same file was asked for twice", self._up.now_s()
                await self._transfers.end(transfer, "failed", None, why, now_s)
                await self.over(transfer)

    async def turn(self, transfer: Transfer) -> None:
        """Wait until it is a transfer's turn."""
        await self._event(transfer.key).wait()

    async def put(self, transfer: Transfer) -> None:
        """Put a transfer into the queue; one that is in it stays where it is."""
        await self._queue.push(_request(transfer))
        await self._parking.unpark(transfer.key)

    async def park(self, transfer: Transfer) -> None:
        """Take a transfer out of the queue until the vendor answers again."""
        await self._parking.park(_request(transfer), self._up.now_s() + PARKED_S)
        await self._done(transfer)

    async def over(self, transfer: Transfer) -> None:
        """Forget the request of a transfer that is over."""
        await self._done(transfer)
        await self._parking.unpark(transfer.key)

    async def put_parked(self) -> None:
        """Put everything that is parked into the queue, the oldest first; what is too old is given up."""
        for request in await self._parking.parked():
            found = await self._transfers.by_key(request.key)
            if found is None or found.state != "parked":
                await self._parking.unpark(request.key)
        now_s = self._up.now_s()
        for transfer in await self._transfers.open_downloads("parked"):
            if now_s - transfer.touched_s > PARKED_S:
                await self._transfers.end(transfer, "failed", None, "it was parked for too long", now_s)
                await self.over(transfer)
            elif not self._event(transfer.key).is_set():
                await self.put(transfer)

    async def was_taken(self, transfer: Transfer) -> bool:
        """Tell whether it is a transfer's turn, waiting a little for that."""
        event = self._event(transfer.key)
        with suppress(TimeoutError):
            async with asyncio.timeout(TAKEN_S):
                await event.wait()
        return event.is_set()

    async def told(self) -> QueueTold:
        """Tell how queue and parking are."""
        troubles = [one for one in (self._queue.trouble, self._parking.trouble) if one]
        parked = len(await self._transfers.open_downloads("parked"))
        return QueueTold(self._queue.kind, self._parking.kind, parked, "; ".join(troubles))

    async def _done(self, transfer: Transfer) -> None:
        self._taken.pop(transfer.key, None)
        await self._queue.done(transfer.key)

    def _event(self, key: str) -> asyncio.Event:
        return self._taken.setdefault(key, asyncio.Event())


def _request(transfer: Transfer) -> Request:
    return Request(
        transfer.key, transfer.id, transfer.ino, transfer.user, transfer.name, transfer.size, transfer.since_s
    )
