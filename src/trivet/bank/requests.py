"""Everything one server answers over the link: hands each request to the journal half or the data half.

Rule: a request that was begun is carried out even if its peer goes away meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from pathlib import Path
from types import CoroutineType
from typing import Any

from trivet.bank.data_requests import DataRequests, Result
from trivet.bank.journal_check import JournalCheck
from trivet.bank.place import Place
from trivet.bank.syncer import Syncer
from trivet.io.link import Body, HandlerResult
from trivet.wire.bank_messages import ScrubBlobs
from trivet.wire.entries import GENESIS_HASH, NO_EPOCH
from trivet.wire.journal_messages import BankMessage, Hello, Refusal


class Requests:
    """Answers for the stores of `place`; needs a running loop.

    `on_failure` is told of a write or sync that failed and must end the process; `on_ended` gets every task
    that ended, so that a bug in one does not go unseen.
    """

    def __init__(
        self,
        place: Place,
        folder: Path,
        volume_key: bytes,
        pool: Executor,
        *,
        on_failure: Callable[[Exception], None],
        on_ended: Callable[[asyncio.Future[Any]], None],
    ) -> None:
        self._place = place
        self._on_ended = on_ended
        syncer = place.make_syncer(place.blobs, place.journal, pool, on_failure)
        self._journal = place.make_journal_requests(
            place.acceptor,
            place.journal,
            place.records,
            syncer,
            volume_key=volume_key,
            pool=pool,
            store_meta=place.store,
            on_failure=on_failure,
            on_ended=on_ended,
        )
        self._data = DataRequests(
            folder,
            place.acceptor,
            place.records,
            place.blobs,
            place.foreign,
            syncer,
            volume_key=volume_key,
            on_failure=on_failure,
        )
        self._check = JournalCheck(
            place.journal, place.acceptor, folder / "journal", volume_key=volume_key, pool=pool,
            on_damage=on_failure, on_ended=on_ended)  # fmt: skip
        self._running: set[asyncio.Task[HandlerResult]] = set()
        place.records.start().add_done_callback(on_ended)
        self._tending = asyncio.create_task(self._tend(syncer))
        self._tending.add_done_callback(on_ended)

    async def _tend(self, syncer: Syncer) -> None:
        async def sync() -> None:
            await syncer.sync_blobs()

        await self._place.blobs.tend(sync)

    def handle(self, message: BankMessage, body: Body) -> Result:
        """Return the reply to `message`, or what it waits for; called in the order requests come."""
        if isinstance(message, ScrubBlobs) and not message.after:
            self._check.begin()
        answer = self._journal.handle(message, body)
        if answer is None:
            answer = self._data.handle(message, body)
        if answer is None:
            if isinstance(message, Hello):
                return self._place.acceptor.identity()
            what = f"{type(message).__name__} is not a request"
            return Refusal("request", what, NO_EPOCH, 0, GENESIS_HASH)
        return self._see_through(answer) if isinstance(answer, CoroutineType) else answer

    def _see_through(self, answer: Coroutine[Any, Any, HandlerResult]) -> Awaitable[HandlerResult]:
        task = asyncio.create_task(answer)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(self._on_ended)
        return asyncio.shield(task)

    async def make_room(self) -> None:
        """Keep a journal file ahead; CorruptReplica if the journal was taken away, OSError on a full disk."""
        self._place.journal.check()
        await self._journal.make_room()

    async def stop(self) -> None:
        """Finish what was begun, sync everything, and store that the stop was clean."""
        await self._check.stop()
        self._tending.cancel()
        await asyncio.gather(self._tending, *self._running, return_exceptions=True)
        await self._place.records.stop()
        await self._journal.stop()
