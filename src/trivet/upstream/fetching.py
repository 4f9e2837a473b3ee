"""Bodies on their way from the vendor into the volume: reserved, resumed, compared, published in one step.

Rule: nobody sees a part of a body: it is staged, compared with the vendor's checksum, and exchanged.
Rule: who asks for a body that somebody else has asked for waits for the same transfer.
Rule: a body whose very content is in the volume already is copied from there.
"""

import asyncio
from typing import Any

from trivet.drive.upstream.byte_budget import ByteBudget, Place
from trivet.errors import (
    Conflict,
    ContentAway,
    Gone,
    NotFound,
    Parked,
    QuotaExceeded,
    TrivetError,
    UpstreamError,
    VendorQuotaSpent,
)
from trivet.io.drive_api import VendorFile, VendorTrouble
from trivet.upstream.cached_bodies import CachedBodies
from trivet.upstream.outbox import Outbox
from trivet.upstream.placing import describe, modified_ns
from trivet.upstream.shared_contents import SharedContents
from trivet.upstream.staged_body import StagedBody
from trivet.upstream.standing import Row, Upstream
from trivet.upstream.transfer_news import tell_of
from trivet.upstream.transfers import State, Transfer, Transfers
from trivet.upstream.vendor import Unreachable
from trivet.volume.interface import AttributeChanges

DOWNLOADS_AT_ONCE = 4
_TRIES = 3


class Fetching:
    """Fetches bodies of `up`; `close` it: what is under way goes on after the next start."""

    def __init__(
        self,
        up: Upstream,
        transfers: Transfers,
        outbox: Outbox,
        contents: SharedContents,
        bodies: CachedBodies,
    ) -> None:
        self._up = up
        self._bodies = bodies
        self._contents = contents
        self._transfers = transfers
        self._outbox = outbox
        self._tasks: dict[str, asyncio.Task[None]] = {}
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

    async def close(self) -> None:
        """End the work; rows and staged bytes stay."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def take_up(self, transfer: Transfer) -> None:
        """Go on with a transfer that a process before, or an outage, has left."""
        if transfer.id not in self._tasks:
            self._transfers.ask(transfer, self._up.now_s())
            self._start(transfer)

    async def take_up_parked(self) -> None:
        """Go on with what was parked: the vendor answers again."""
        for one in await self._transfers.listed(
            "state = 'parked' AND direction = 'download' ORDER BY seq", 1000
        ):
            self.take_up(one)

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
            if transfer is None:
                spent_s = up.vendor.quota.spent_until_s(up.now_s())
                if spent_s is not None:
                    return _spent(spent_s)
                transfer = await self._begin(file_id, ino, user)
                place = self._transfers.place(transfer, up.now_s())
                if place.position and not queue:
                    await self._transfers.end(transfer, "failed", 0, "did not want to wait", up.now_s())
                    return _waiting(None, place)
                self._start(transfer)
        place = self._transfers.place(transfer, up.now_s())
        if place.position:
            return _waiting(transfer.key, place)
        try:
            await self._wait(transfer, wait_s)
        except VendorQuotaSpent as error:
            return _spent(up.now_s() + error.retry_after_s)
        return {"state": "here"}

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

    async def _wait(self, transfer: Transfer, wait_s: float) -> None:
        task = self._tasks[transfer.id]
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
                transfer = await self._begin(row.id, row.ino, self._up.user, int(file.size))
                self._newer.add(row.id)
                self._start(transfer)

    async def _begin(self, file_id: str, ino: int, user: str, size: int | None = None) -> Transfer:
        up = self._up
        row = await up.mirror.by_id(file_id)
        if size is None:
            size = (await up.volume.getattr(ino)).size
        name = file_id if row is None else row.name
        transfer = await self._transfers.add(file_id, ino, user, "download", name, size, up.now_s())
        try:
            self._transfers.ask(transfer, up.now_s())
        except QuotaExceeded as error:
            await self._transfers.end(transfer, "failed", 0, str(error), up.now_s())
            raise
        return transfer

    def _start(self, transfer: Transfer) -> None:
        self._running[transfer.id] = transfer
        task = asyncio.create_task(self._run(transfer))
        self._tasks[transfer.id] = task
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _run(self, transfer: Transfer) -> None:
        transfers, up = self._transfers, self._up
        body = StagedBody(up, transfers, transfer)
        try:
            await transfers.granted(transfer)
            async with self._places:
                await transfers.note(transfer, body.moved, up.now_s())
                file = await self._asked(transfer.id)
                async with self._contents.alone(file):
                    file = await self._verified(transfer, file, body)
                    await self._publish(transfer, file, body)
            await transfers.end(transfer, "done", body.moved, None, up.now_s())
            await tell_of(self._up, transfer)
        except (Unreachable, VendorQuotaSpent) as error:
            await transfers.end(transfer, "parked", body.moved, str(error), up.now_s())
            await tell_of(self._up, transfer, error)
            if isinstance(error, VendorQuotaSpent):
                raise
            raise Parked(
                str(error), key=transfer.key, offset=body.held, retry_after_s=error.again_in_s
            ) from error
        except TrivetError as error:
            state: State = "rolled back" if body.moved else "failed"
            await transfers.end(transfer, state, body.moved, str(error), up.now_s())
            await tell_of(self._up, transfer, error)
            await body.remove()
            raise
        finally:
            await body.close()
            self._running.pop(transfer.id, None)
            self._newer.discard(transfer.id)
            self._tasks.pop(transfer.id, None)

    async def _verified(self, transfer: Transfer, file: VendorFile, body: StagedBody) -> VendorFile:
        """Return the vendor's file once the staged body is that file; a wrong one is fetched once more."""
        for _ in range(2):
            if file.md5_checksum and await self._contents.copied(file, body):
                return file
            if int(file.size) > transfer.size:
                self._transfers.renew(transfer, int(file.size) - body.held, self._up.now_s())
                await self._transfers.granted(transfer)
            await body.fetch(file)
            if body.is_right(file):
                return file
            await body.remove()
            file = await self._asked(transfer.id)
            self._transfers.renew(transfer, int(file.size), self._up.now_s())
            await self._transfers.granted(transfer)
        raise UpstreamError(
            f"corrupt_upstream: {file.name} came twice with other bytes than its checksum says"
        )

    async def _asked(self, file_id: str) -> VendorFile:
        try:
            return await self._up.vendor.call("get", lambda: self._up.vendor.api.get(file_id))
        except VendorTrouble as trouble:
            if trouble.status == 404:
                raise NotFound(f"the vendor does not have this file any more ({trouble})") from trouble
            raise

    async def _publish(self, transfer: Transfer, file: VendorFile, body: StagedBody) -> None:
        up = self._up
        mtime_ns = modified_ns(file)
        await up.volume.setattr(body.ino, AttributeChanges(mtime_ns=mtime_ns))
        for _ in range(_TRIES):
            async with up.claim(transfer.id):
                row = await up.mirror.by_id(transfer.id)
                version = await up.volume.version(transfer.ino)
                attributes = await up.volume.getattr(transfer.ino)
                as_agreed = row is not None and (row.size, row.mtime_ns) == (
                    attributes.size,
                    attributes.mtime_ns,
                )
                if await up.away_id(transfer.ino) != transfer.id and not as_agreed:
                    break  # it was changed here meanwhile: the outbox settles that
                try:
                    await up.volume.publish(body.ino, transfer.ino, version)
                except Conflict:
                    continue
                if row is not None:
                    await describe(up, transfer.ino, file, row.name, row.mount_name)
                    changed = row.changed(md5=file.md5_checksum or "", size=int(file.size), mtime_ns=mtime_ns)
                    await up.mirror.put(changed)
            break
        await body.remove()
        await self._bodies.look(transfer.ino, await up.look(transfer.ino))
        if await self._outbox.has(transfer.id):
            await self._outbox.add(transfer.id, up.now_s(), up.now_s())
            up.wake.set()


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
