"""One upstream's life: watching here, asking there, settling what differs; each goes on after trouble.

Rule: trouble with the vendor or the banks ends no task: it is kept as the reason, and tried again later.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from errno import ENOENT

from trivet.drive.upstream.retry import RetryPolicy
from trivet.drive.upstream.vendor_quota import QuotaCount, VendorQuota
from trivet.errors import FileSystemError, TrivetError, VendorQuotaSpent
from trivet.io.drive_api import DriveApi
from trivet.io.queues.servers import Servers
from trivet.io.upstream_store import UpstreamStore
from trivet.upstream.account import Account
from trivet.upstream.body_fetch import BodyFetch
from trivet.upstream.cache import Cache
from trivet.upstream.cache_orders import CacheOrders
from trivet.upstream.cached_bodies import CachedBodies
from trivet.upstream.fetching import Fetching
from trivet.upstream.new_ids import NewIds
from trivet.upstream.outbox import Due, Outbox
from trivet.upstream.polling import Poller
from trivet.upstream.removals import Removals
from trivet.upstream.requesting import Requests
from trivet.upstream.sending import Sending
from trivet.upstream.settling import Settler
from trivet.upstream.shared_contents import SharedContents
from trivet.upstream.standing import Mirror, Upstream
from trivet.upstream.transfers import Transfers
from trivet.upstream.vendor import Unreachable, Vendor
from trivet.upstream.watching import Watcher
from trivet.volume.interface import PRIVATE_INO, ROOT_INO, Caller, VersionedVolume

FOLDER_MODE = 0o755
#: Below the private folder: what is staged for a vendor's sake.
STAGING = "upstream"
AT_ONCE = 32
LOOK_S, LOOK_MIN_S = 20.0, 0.1
TICK_S = 5.0
AGAIN_S, AGAIN_MAX_S = 1.0, 60.0

log = logging.getLogger(__name__)


class UpstreamWork:
    """Everything that goes on for one upstream; `run` is its life."""

    def __init__(self, account: Account, up: Upstream, contents: SharedContents) -> None:
        self.account = account
        self.up = up
        self.outbox = Outbox(up.store)
        self.transfers = Transfers(up.store, {"download": account.download, "upload": account.upload})
        bodies = CachedBodies(up)
        self.requests = Requests(up, self.transfers)
        fetch = BodyFetch(up, self.transfers, self.outbox, contents, bodies)
        self.fetching = Fetching(up, self.transfers, self.requests, fetch)
        self.ids = NewIds(up)
        sending = Sending(up, self.transfers, self.outbox)
        self.removals = Removals(up, self.outbox, account.removals)
        self.settler = Settler(up, self.outbox, (self.fetching, sending), self.ids, self.removals)
        self.cache = Cache(up, bodies, self.fetching, self.outbox, account.cache_bytes)
        self.cache_orders = CacheOrders(self.cache)
        self.watcher = Watcher(up, self.outbox, self.ids, bodies, self.removals, account.quiet_s)
        self.poller = Poller(up, self.settler)
        self.polled_s: float | None = None
        self.trouble = ""
        self._active: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        now_s = self.up.now_s()
        await self.cache.begin()
        await self.fetching.begin()
        for transfer in await self.transfers.begin(now_s):
            if transfer.direction == "download" and transfer.state != "parked":
                await self.fetching.take_up(transfer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._again_and_again("watching", self._watch))
                tasks.create_task(self._again_and_again("polling", self._poll))
                tasks.create_task(self._again_and_again("settling", self._settle))
                tasks.create_task(self._again_and_again("working the queue off", self.fetching.run))
                tasks.create_task(self._again_and_again("keeping the cache", self.cache.run))
                tasks.create_task(self._again_and_again("warming up", self.cache.warm_ups.run))
                tasks.create_task(self._tick())
        finally:
            active = list(self._active.values())
            for task in active:
                task.cancel()
            await asyncio.gather(*active, return_exceptions=True)
            await self.cache_orders.close()
            await self.fetching.close()
            await self._keep_quota()
            await self.cache.counts.save()

    async def _again_and_again(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        pause_s, now_s = AGAIN_S, self.up.now_s
        while True:
            began_s = now_s()
            try:
                await work()
            except TrivetError as error:
                log.warning("%s: %s: %s", self.account.name, what, error)
            pause_s = AGAIN_S if now_s() - began_s > AGAIN_MAX_S else min(2 * pause_s, AGAIN_MAX_S)
            await asyncio.sleep(pause_s)

    async def _watch(self) -> None:
        await self.watcher.run()

    async def _poll(self) -> None:
        """Ask the vendor again and again; the first answer after trouble sets going what was parked."""
        while True:
            try:
                await self.poller.step()
            except VendorQuotaSpent as error:
                self.trouble = str(error)
                await asyncio.sleep(min(error.retry_after_s, self.account.poll_s))
                continue
            except Unreachable as error:
                self.trouble = str(error)
                log.warning("%s: %s", self.account.name, error)
                await asyncio.sleep(min(error.again_in_s, self.account.poll_s))
                continue
            self.polled_s = self.cache.counts.counts.polled_s = self.up.now_s()
            if self.trouble:
                self.trouble = ""
                await self.outbox.hurry(self.polled_s)
                self.up.wake.set()
            await self.fetching.take_up_parked()
            await asyncio.sleep(self.account.poll_s)

    async def _settle(self) -> None:
        """Settle what is due, each file by a task of its own."""
        up = self.up
        while True:
            up.wake.clear()
            now_s = up.now_s()
            for due in await self.outbox.due(now_s, AT_ONCE + len(self._active)):
                if due.id not in self._active and len(self._active) < AT_ONCE:
                    self._active[due.id] = asyncio.create_task(self._settle_one(due))
            next_s = await self.outbox.next_due_s(now_s)
            pause_s = LOOK_S if next_s is None else min(max(next_s - up.now_s(), LOOK_MIN_S), LOOK_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await up.wake.wait()

    async def _settle_one(self, due: Due) -> None:
        now_s = self.up.now_s
        try:
            await self.settler.settle(due)
        except VendorQuotaSpent as error:
            await self.outbox.later(due, str(error), now_s(), error.retry_after_s)
        except TrivetError as error:
            await self.outbox.later(due, str(error), now_s())
        finally:
            self._active.pop(due.id, None)
            self.up.wake.set()

    async def keep_back(self, file_id: str) -> None:
        """Stop sending a file; it is settled again when it is released."""
        await self.outbox.keep_back(file_id)
        task = self._active.get(file_id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.transfers.new_day(self.up.now_s())
            await self._keep_quota()

    async def _keep_quota(self) -> None:
        await keep_quota(self.up)


async def keep_quota(up: Upstream) -> None:
    """Keep what was used of the vendor's quota."""
    count = up.vendor.quota.count
    told = f"{count.day} {count.requests} {count.units} {count.bytes} {int(count.spent)}"
    if told != await up.store.setting("quota"):
        await up.store.keep("quota", told)


async def _quota(account: Account, store: UpstreamStore) -> VendorQuota:
    kept = await store.setting("quota")
    if kept is None:
        return VendorQuota(account.quota)
    day, requests, units, size, spent = map(int, kept.split())
    return VendorQuota(account.quota, QuotaCount(day, requests, units, size, bool(spent)))


async def open_upstream(
    account: Account,
    volume: VersionedVolume,
    store: UpstreamStore,
    api: DriveApi,
    *,
    caller: Caller,
    now_s: Callable[[], float],
    rng: random.Random,
    contents: SharedContents,
    servers: Servers,
) -> UpstreamWork:
    """Return the work of an upstream; its folder is made if need be, its root's id asked for once.

    Its `requests` must be closed in the end.
    """
    policy = RetryPolicy(account.attempts)
    vendor = Vendor(api, await _quota(account, store), now_s=now_s, rng=rng, policy=policy)
    root = await store.setting("root")
    if root is None:
        root = (await vendor.call("get", lambda: api.get(account.folder))).id
        await store.keep("root", root)
    at = await folder_at(volume, ROOT_INO, account.at, caller)
    staging = await folder_at(volume, PRIVATE_INO, STAGING, caller)
    mirror = Mirror(store, root, at)
    up = Upstream(account.name, volume, store, mirror, vendor, staging, now_s, rng, caller, account.user)
    contents.upstreams.append(up)
    work = UpstreamWork(account, up, contents)
    await work.requests.open(servers)
    return work


async def folder_at(volume: VersionedVolume, ino: int, path: str, caller: Caller) -> int:
    """Return the inode of the folder at `path` below `ino`, made if it is not there."""
    for name in path.strip("/").split("/"):
        try:
            ino = (await volume.lookup(ino, name.encode())).ino
        except FileSystemError as error:
            if error.errno != ENOENT:
                raise
            ino = (await volume.mkdir(ino, name.encode(), FOLDER_MODE, caller)).ino
    return ino
