"""What the process of the upstreams answers about its caches, to people and to the workers of the door.

Rule: a path belongs to the upstream at whose folder it lies; one that lies at none is refused.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import InputError
from trivet.io.cache_report import Standing, Standings, WorkerReport
from trivet.io.control_socket import Handler, Report
from trivet.io.volume_folder import VolumeFolder
from trivet.upstream.account import Account, keep_account
from trivet.upstream.cache_orders import Do
from trivet.upstream.cache_telling import Caches, cache_of
from trivet.upstream.work import UpstreamWork

_SILENT_S = 10.0


class CacheVerbs:
    """Handlers over the upstreams `works`; `accounts` also holds those that have not begun."""

    def __init__(
        self, folder: VolumeFolder, works: Mapping[str, UpstreamWork], accounts: dict[str, Account]
    ) -> None:
        self._folder = folder
        self._works = works
        self._accounts = accounts
        self._workers: dict[str, tuple[float, WorkerReport]] = {}

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of each verb."""
        return {
            "served": self._served,
            "cache": self._cache,
            "cache-warm": self._warm,
            "cache-schedule": self._schedule,
            "cache-evict": self._evict,
            "cache-order": self._order,
            "cache-limit": self._limit,
        }

    def _of_path(self, path: str) -> UpstreamWork:
        for work in self._works.values():
            at = work.account.at
            if path == at or path.startswith(f"{at}/"):
                return work
        folders = ", ".join(one.at for one in self._accounts.values())
        raise InputError(f"{path} is in no vendor's folder ({folders})")

    async def _served(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        told = msgspec.convert(arguments, WorkerReport)
        self._workers[told.worker] = (time.monotonic(), told)
        for name, served in told.served.items():
            if name in self._works:
                self._works[name].cache.counts.served(served)
        for work in self._works.values():
            await work.cache.used(told.uses, in_memory=True)
        standings = [self._standing(account) for account in self._accounts.values()]
        return _told(Standings(standings))

    def _standing(self, account: Account) -> Standing:
        work = self._works.get(account.name)
        if work is None:
            return Standing(account.name, account.at, False, True, None, [])
        vendor, now_s = work.up.vendor, work.up.now_s()
        is_spent = vendor.quota.spent_until_s(now_s) is not None
        is_cut_off = bool(work.trouble) or vendor.breaker.state(now_s) != "closed"
        polled_s = work.cache.counts.counts.polled_s
        return Standing(account.name, account.at, is_spent, is_cut_off, polled_s, work.fetching.outdated())

    async def _cache(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        before_s = time.monotonic() - _SILENT_S
        self._workers = {name: one for name, one in self._workers.items() if one[0] > before_s}
        workers = [told for _, told in self._workers.values()]
        return _told(Caches([await cache_of(work, workers) for work in self._works.values()]))

    async def _warm(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        path = str(arguments["path"])

        def progress(done: int, total: int) -> None:
            report({"step": f"warming {path}", "done": done, "total": total})

        warm_ups = self._of_path(path).cache.warm_ups
        return _told(await warm_ups.warm(path, str(arguments["user"]), progress))

    async def _schedule(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        path = str(arguments["path"])
        warm_ups = self._of_path(path).cache.warm_ups
        if arguments.get("at") is None:
            await warm_ups.remove(path)
            return {}
        at, zone, user = (str(arguments[name]) for name in ("at", "zone", "user"))
        return _told(await warm_ups.schedule(path, at, zone, user))

    async def _evict(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        path = str(arguments["path"])
        return _told(await self._of_path(path).cache.evict(path))

    async def _order(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        do, path, user = (str(arguments[name]) for name in ("wanted", "path", "user"))
        orders = self._of_path(path).cache_orders
        return _told(await orders.order(msgspec.convert(do, Do), path, user, float(arguments["wait_s"])))

    async def _limit(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        name, size = arguments.get("upstream"), arguments["limit_bytes"]
        if name is None and len(self._works) == 1:
            (name,) = self._works
        work = self._works.get(str(name))
        if work is None:
            raise InputError(f"--upstream: one of {', '.join(self._works)}")
        account = msgspec.structs.replace(work.account, cache_bytes=None if size is None else int(size))
        keep_account(self._folder, account)
        work.account = self._accounts[account.name] = account
        work.cache.limit_bytes = account.cache_bytes
        return {"upstream": name}


def _told(value: object) -> Mapping[str, Any]:
    told: Mapping[str, Any] = msgspec.to_builtins(value)
    return told
