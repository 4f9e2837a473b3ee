"""`trivet serve upstream`: all upstreams of a drive, and the socket on which doors ask for bodies.

Rule: a vendor that can't be reached at the start is tried again; the others work meanwhile.
"""

import asyncio
import logging
import os
import random
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from trivet.client.remote_volume import RemoteVolume
from trivet.errors import NotFound, Parked, TrivetError, UpstreamError
from trivet.io.clock import wall_s
from trivet.io.control_socket import Handler, Report, serve_control
from trivet.io.drive_api import DriveApi, no_login
from trivet.io.queues.servers import Servers
from trivet.io.upstream_store import UpstreamStore
from trivet.io.volume_folder import VolumeFolder
from trivet.upstream import steering
from trivet.upstream.account import Account, accounts, store_path
from trivet.upstream.cache_verbs import CacheVerbs
from trivet.upstream.shared_contents import SharedContents
from trivet.upstream.telling import (
    News,
    Removed,
    Statuses,
    TransfersTold,
    UpstreamStatus,
    news_of,
    status_of,
    told_of,
    transfers_of,
)
from trivet.upstream.work import UpstreamWork, open_upstream
from trivet.volume.interface import AWAY, Caller, VersionedVolume

CONNECT_S = 60.0
AGAIN_S = 5.0
LISTED_MAX = 500
USES_EVERY_S = 5.0
#: Each that waits for a body holds one.
CONNECTIONS = 512

log = logging.getLogger(__name__)


class Upstreams:
    """The upstreams of one drive by name; `waiting` says why one has not begun."""

    def __init__(self, volume: VersionedVolume) -> None:
        self.volume = volume
        self.works: dict[str, UpstreamWork] = {}
        self.waiting: dict[str, str] = {}
        self.accounts: dict[str, Account] = {}
        self.contents = SharedContents()

    async def of(self, ino: int) -> UpstreamWork | None:
        """Return the upstream where the body of `ino` is; None if it is here."""
        names = await self.volume.listxattr(ino)
        if AWAY not in names:
            return None
        name = (await self.volume.getxattr(ino, AWAY)).decode().partition("/")[0]
        if name not in self.works:
            why = self.waiting.get(name, "there is no such upstream any more")
            raise UpstreamError(f"the content of this file is at {name}: {why}")
        return self.works[name]


def authorize(account: Account) -> Any:
    """Return what logs in at the vendor; ConfigError when the credentials can't be used."""
    if account.credentials is None:
        return no_login
    from trivet.io.google_login import login

    return login(Path(account.credentials))


async def serve_upstreams(folder: VolumeFolder, servers: Servers) -> int:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    volume = await RemoteVolume.connect(folder, timeout_s=CONNECT_S)
    try:
        upstreams = Upstreams(volume)
        async with serve_control(folder.upstream_socket, handlers(upstreams, folder), places=CONNECTIONS):
            upstreams.accounts |= {one.name: one for one in accounts(folder)}
            lives = [_live(folder, upstreams, one, servers) for one in upstreams.accounts]
            tasks = [asyncio.create_task(one) for one in (share_uses(upstreams), *lives)]
            if servers.amqp is not None:
                tasks.append(asyncio.create_task(_publish_changes(folder, volume, servers.amqp)))
            stopping = asyncio.create_task(stop.wait())
            try:
                done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    task.result()
            finally:
                for task in (stopping, *tasks):
                    task.cancel()
                await asyncio.wait({stopping, *tasks})
    finally:
        await volume.close()
    return 0


async def share_uses(upstreams: Upstreams) -> None:
    """Tell every upstream which files were opened, again and again."""
    while True:
        await asyncio.sleep(USES_EVERY_S)
        with suppress(TrivetError):
            uses = await upstreams.volume.take_uses()
            for work in upstreams.works.values():
                await work.cache.used(uses)


async def _publish_changes(folder: VolumeFolder, volume: VersionedVolume, url: str) -> None:
    """Publish every change of the drive."""
    from trivet.io.queues.change_exchange import ChangeExchange

    name = folder.read_config().volume
    await ChangeExchange(url, volume, name, folder.upstream_path / "changes.slot").run()


async def _live(folder: VolumeFolder, upstreams: Upstreams, name: str, servers: Servers) -> None:
    """Let an upstream work; one that can't begin tries again."""
    while True:
        account = upstreams.accounts[name]
        try:
            async with opened(folder, upstreams, account, servers) as work:
                upstreams.works[account.name] = work
                upstreams.waiting.pop(account.name, None)
                await work.run()
        except TrivetError as error:
            upstreams.waiting[account.name] = str(error)
            log.warning("%s can't begin: %s", account.name, error)
        finally:
            upstreams.works.pop(account.name, None)
        await asyncio.sleep(AGAIN_S)


@asynccontextmanager
async def opened(
    folder: VolumeFolder, upstreams: Upstreams, account: Account, servers: Servers
) -> AsyncIterator[UpstreamWork]:
    """Give an upstream that is ready to run."""
    contents, config = upstreams.contents, folder.read_config()
    store = UpstreamStore(store_path(folder, account.name))
    api = DriveApi(account.url, authorize(account))
    work: UpstreamWork | None = None
    try:
        work = await open_upstream(
            account, upstreams.volume, store, api,
            caller=Caller(os.geteuid(), os.getegid()), now_s=wall_s, rng=random.Random(), contents=contents,
            servers=replace(servers, prefix=f"trivet.{config.volume}"),
        )  # fmt: skip
        yield work
    finally:
        if work is not None:
            await work.requests.close()
        contents.upstreams[:] = [one for one in contents.upstreams if one.store is not store]
        await api.close()
        store.close()


def handlers(upstreams: Upstreams, folder: VolumeFolder) -> dict[str, Handler]:
    """Return what the process answers on its socket."""

    async def bring(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        ino, user = int(arguments["ino"]), str(arguments["user"])
        work = await upstreams.of(ino)
        if work is None:
            return {"state": "here"}
        queue, wait_s = bool(arguments["queue"]), float(arguments["wait_s"])
        try:
            answer = await work.fetching.bring(ino, user, queue=queue, wait_s=wait_s)
        except Parked as error:
            where = {"key": error.key, "offset": error.offset, "retry_after_s": error.retry_after_s}
            answer = {"state": "parked", **where, "message": str(error)}
        work.cache.missed(came=answer["state"] == "here")
        return answer

    async def status(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        told = [await status_of(work) for work in upstreams.works.values()]
        waiting = [_not_begun(name, why) for name, why in upstreams.waiting.items()]
        return _told(Statuses([*told, *waiting]))

    async def transfers(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        limit = min(int(arguments.get("limit", LISTED_MAX)), LISTED_MAX)
        told = [one for work in upstreams.works.values() for one in await transfers_of(work, limit)]
        return _told(TransfersTold(told))

    cache = CacheVerbs(folder, upstreams.works, upstreams.accounts).handlers()
    return {"bring": bring, "status": status, "transfers": transfers, **_orders(upstreams), **cache}


def _orders(upstreams: Upstreams) -> dict[str, Handler]:
    """Return what people order."""

    async def news(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        return _told(News([await news_of(work) for work in upstreams.works.values()]))

    async def transfer(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        key, wanted = str(arguments["key"]), str(arguments["wanted"])
        work, found = await steering.find([*upstreams.works.values()], key)
        if wanted == "resume":
            await steering.resume(work, found)
        elif wanted == "cancel":
            await steering.cancel(work, found, str(arguments["user"]))
        now = await work.transfers.by_key(key)
        assert now is not None
        return _told(told_of(work, now))

    async def removals(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        name, user = arguments.get("name"), str(arguments["user"])
        works = [work for work in upstreams.works.values() if name in (None, work.up.name)]
        if not works:
            raise NotFound(f"there is no upstream {name!r} at work")
        if arguments["wanted"] == "allow":
            return _told(Removed(sum([await work.removals.allow(user) for work in works])))
        return _told(Removed(sum([await work.removals.undo(user) for work in works])))

    return {"news": news, "transfer": transfer, "removals": removals}


def _told(value: msgspec.Struct) -> Mapping[str, Any]:
    told: Mapping[str, Any] = msgspec.to_builtins(value)
    return told


def _not_begun(name: str, why: str) -> UpstreamStatus:
    from trivet.upstream.telling import QuotaTold

    quota = QuotaTold(0, None, 0, None, None)
    return UpstreamStatus(name, "", "", False, why, "open", None, 0, 0, 0, 0, quota, [], [], [])
