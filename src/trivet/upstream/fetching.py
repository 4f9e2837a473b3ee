"""Who fetches which body when: requests in the order of the queue, reserved, run, parked, told.

Rule: who asks for a body that somebody else has asked for waits for the same transfer.
Rule: bytes are asked for in the order of the queue, whoever keeps it.
"""

import asyncio
from contextlib import suppress
from typing import Any

from trivet.drive.upstream.byte_budget import ByteBudget, Place
from trivet.errors import (
    BeyondBudget,
    ContentAway,
    Gone,
    NotFound,
    Parked,
    TrivetError,
    VendorQuotaSpent,
)
from trivet.io.drive_api import VendorFile
from trivet.upstream.body_fetch import BodyFetch
from trivet.upstream.placing import unlink_quietly
from trivet.upstream.requesting import Requests
from trivet.upstream.staged_body import StagedBody, key_of
from trivet.upstream.standing import Row, Upstream
from trivet.upstream.transfer_news import passes, tell_of
from trivet.upstream.transfers import OPEN, State, Transfer, Transfers
from trivet.upstream.vendor import Unreachable

DOWNLOADS_AT_ONCE = 4
#: Who asked is told to ask again so long after trouble with the drive's own banks.
OURS_AGAIN_S = 15.0


class Fetching:
    """Fetches bodies of `up`; `close` it: what is under way goes on after the next start."""

    def __init__(self, up: Upstream, transfers: Transfers, requests: Requests, fetch: BodyFetch) -> None:
        self._up = up
        self._transfers = transfers
        self._requests = requests
        self._fetch = fetch
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: Those of `_tasks`, and those that have given their place back and are about to end.
        self._owned: set[asyncio.Task[None]] = set()
        self._running: dict[str, Transfer] = {}
        self._newer: set[str] = set()
        self._asking = asyncio.Lock()
        self._places = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    @property
    def budget(self) -> ByteBudget:
        """The day's bytes that fetching may use."""
        return self._transfers.budgets["download"]

    def is_coming(self, file_id: str) -> bool:
        """Tell whether a body is being fetched, or waits for that."""
        return file_id in self._running

    def outdated(self) -> list[int]:
        """Return the inodes of bodies that are here while newer ones are on their way."""
        return [one.ino for one in self._running.values() if one.id in self._newer]

    async def begin(self) -> None:
        """Remove what is staged of transfers that are over: the banks may have been away when they ended."""
        up = self._up
        for entry in await up.volume.listing(up.staging_ino, 0, 10_000):
            key = key_of(entry.name)
            transfer = None if key is None else await self._transfers.by_key(key)
            if transfer is not None and transfer.state not in OPEN:
                await unlink_quietly(up, up.staging_ino, entry.name)

    async def close(self) -> None:
        """End the work; rows and staged bytes stay."""
        tasks = list(self._owned)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self) -> None:
        """Take requests from the queue until cancelled."""
        await self._requests.run(self._taken)

    async def take_up(self, transfer: Transfer) -> None:
        """Go on with a transfer that a process before, or an outage, has left, when it is its turn."""
        if transfer.id not in self._tasks:
            await self._requests.put(transfer)

    async def take_up_parked(self) -> None:
        """Go on with what was parked: the vendor answers again."""
        await self._requests.put_parked()

    async def bring(self, ino: int, user: str, *, queue: bool, wait_s: float) -> dict[str, Any]:
        """Fetch the body of `ino` for `user`; return how that stands, see `io.away_files`.

        Raises ContentAway if it takes longer than `wait_s`, or what the fetching failed with.
        """
        up = self._up
        async with self._asking:
            file_id = await up.away_id(ino)
            if file_id is None:
                return {"state": "here"}
            row = await up.mirror.by_id(file_id)
            if row is not None and row.ino != ino:  # its newest content is not what this version was
                raise NotFound("this old version was replaced before it was fetched; only the vendor has it")
            transfer = self._running.get(file_id)
            is_new = transfer is None
            if transfer is None:
                spent_s = up.vendor.quota.spent_until_s(up.now_s())
                if spent_s is not None:
                    return _spent(spent_s)
                size = (await up.volume.getattr(ino)).size
                place = self.budget.foreseen(user, size, up.now_s())
                if place.position and not queue:
                    return _waiting(None, place)
                transfer = await self._begin(file_id, ino, user, size)
            task = self._tasks[file_id]
        if not await self._requests.was_taken(transfer) and not task.done():
            return await self._not_taken(transfer, queue=queue or not is_new)
        if not task.done():
            place = self._transfers.place(transfer, up.now_s())
            if place.position and is_new and not queue:
                await self.cancel(transfer, "did not want to wait")
                return _waiting(None, place)
            if place.position:
                return _waiting(transfer.key, place)
        try:
            await self._wait(transfer, task, wait_s)
        except VendorQuotaSpent as error:
            return _spent(up.now_s() + error.retry_after_s)
        return {"state": "here"}

    async def _not_taken(self, transfer: Transfer, *, queue: bool) -> dict[str, Any]:
        """Tell who asked that the queue's server is away; what waits is kept."""
        place = self.budget.foreseen(transfer.user, transfer.size, self._up.now_s())
        ahead = [one.key for one in await self._transfers.open_downloads("waiting")]
        position = ahead.index(transfer.key) + 1 if transfer.key in ahead else 1
        told = _waiting(transfer.key if queue else None, Place(position, place.bytes_left, place.resets_at_s))
        if not queue:
            await self.cancel(transfer, "did not want to wait")
        return told | {"message": "the server of the queue does not answer; the file comes when it is back"}

    async def cancel(self, transfer: Transfer, why: str) -> None:
        """Give a transfer up; nothing of it stays, and whoever waits for it is told."""
        task = self._tasks.get(transfer.id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            self._running.pop(transfer.id, None)
            self._tasks.pop(transfer.id, None)
        await StagedBody(self._up, self._transfers, transfer).remove()
        await self._transfers.end(transfer, "rolled back", None, why, self._up.now_s())
        await self._requests.over(transfer)

    async def _wait(self, transfer: Transfer, task: asyncio.Task[None], wait_s: float) -> None:
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        if not done:
            raise ContentAway(f"{transfer.name} ({transfer.size:,} bytes) is being fetched; ask again soon")
        if task.cancelled():
            raise Gone(f"somebody has cancelled the transfer of {transfer.name}")
        task.result()

    async def refresh(self, row: Row, file: VendorFile) -> None:
        """Begin to fetch the vendor's newest version of a body that is here."""
        async with self._asking:
            if row.id not in self._tasks and row.ino is not None:
                self._newer.add(row.id)
                try:
                    await self._begin(row.id, row.ino, self._up.user, int(file.size))
                except TrivetError:
                    self._newer.discard(row.id)
                    raise

    async def _begin(self, file_id: str, ino: int, user: str, size: int) -> Transfer:
        """Put a request into the queue, or the one that is parked for this file; return its transfer."""
        up = self._up
        transfer = await self._transfers.open_download_of(file_id)
        if transfer is None:
            row = await up.mirror.by_id(file_id)
            name = file_id if row is None else row.name
            transfer = await self._transfers.add(file_id, ino, user, "download", name, size, up.now_s())
        try:
            self.budget.check(transfer.user, transfer.size)
        except BeyondBudget as error:
            await self._transfers.end(transfer, "failed", 0, str(error), up.now_s())
            raise
        self._start(transfer)
        await self._requests.put(transfer)
        return transfer

    def _taken(self, transfer: Transfer) -> bool:
        """It is a transfer's turn: it asks for its bytes before the next does."""
        if self._running.get(transfer.id, transfer).key != transfer.key:
            return False
        with suppress(BeyondBudget):  # the transfer itself meets it, and fails
            self._transfers.ask(transfer, self._up.now_s())
        if transfer.id not in self._tasks:
            self._start(transfer)
        return True

    def _start(self, transfer: Transfer) -> None:
        self._running[transfer.id] = transfer
        task = asyncio.create_task(self._run(transfer))
        self._tasks[transfer.id] = task
        self._owned.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._owned.discard(task)
        if not task.cancelled():
            task.exception()  # who waits for it has met it; nobody may wait

    async def _run(self, transfer: Transfer) -> None:
        """Carry a transfer out; raise what it ended with.

        It gives its place here back before its request leaves the hand: whose turn comes then is begun anew.
        """
        up, body = self._up, StagedBody(self._up, self._transfers, transfer)
        failure: TrivetError | None = None
        try:
            try:
                await self._carry_out(transfer, body)
            except TrivetError as error:
                failure = error
            await self._leave(transfer, body, failure)
        finally:
            with suppress(TrivetError):  # the banks may be away
                await body.close()
            self._running.pop(transfer.id, None)
            self._newer.discard(transfer.id)
            self._tasks.pop(transfer.id, None)
        if passes(failure):
            await self._requests.park(transfer)
        else:
            await self._requests.over(transfer)
        await tell_of(up, transfer, failure)
        if failure is None:
            return
        if passes(failure) and not isinstance(failure, VendorQuotaSpent):
            again_in_s = failure.again_in_s if isinstance(failure, Unreachable) else OURS_AGAIN_S
            raise Parked(
                str(failure), key=transfer.key, offset=body.held, retry_after_s=again_in_s
            ) from failure
        raise failure

    async def _carry_out(self, transfer: Transfer, body: StagedBody) -> None:
        transfers = self._transfers
        await self._requests.turn(transfer)
        transfers.ask(transfer, self._up.now_s())
        await transfers.granted(transfer)
        async with self._places:
            await transfers.note(transfer, body.moved, self._up.now_s())
            await self._fetch.fetch(transfer, body)

    async def _leave(self, transfer: Transfer, body: StagedBody, failure: TrivetError | None) -> None:
        """Keep what became of a transfer; of one that is over nothing stays staged."""
        state: State = "done"
        if failure is not None:
            state = "parked" if passes(failure) else "rolled back" if body.moved else "failed"
        why = None if failure is None else str(failure)
        await self._transfers.end(transfer, state, body.moved, why, self._up.now_s())
        if state in ("failed", "rolled back"):
            with suppress(TrivetError):  # then it goes at the next start
                await body.remove()


_SPENT = "the vendor lets us do nothing more today; only what is here is served"


def _spent(resets_at_s: float) -> dict[str, Any]:
    return {"state": "spent", "resets_at_s": resets_at_s, "message": _SPENT}


def _waiting(key: str | None, place: Place) -> dict[str, Any]:
    left = "" if place.bytes_left is None else f"; {place.bytes_left:,} bytes are left of today"
    return {
        "state": "waiting",
        "key": key,
        "position": place.position,
        "bytes_left": place.bytes_left,
        "resets_at_s": place.resets_at_s,
        "message": f"today's bytes are spoken for: place {place.position} in the queue{left}",
    }
