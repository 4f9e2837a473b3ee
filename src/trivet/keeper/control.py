"""What a running keeper answers on its control socket: status, verify, repair, scrub, recover, shutdown.

Rule: before the volume is loaded only status, recover and shutdown make sense; the rest says what is missing.
"""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import InputError, NoMajority
from trivet.io.clock import steady_s, wall_s
from trivet.io.control_socket import Handler, Report
from trivet.keeper.admitting import Admitting
from trivet.keeper.bank_links import HUNG_AFTER_S, ServerLink
from trivet.keeper.keeper import Keeper
from trivet.keeper.loaded import Loaded
from trivet.keeper.quota_verbs import quota_table, remove_quota, set_quota
from trivet.keeper.whole_check import WholeCheck
from trivet.volume.quotas import Limits
from trivet.wire.control_messages import (
    FINDINGS_MAX,
    LOADING,
    BankStatus,
    Checks,
    KeeperStatus,
    Progress,
    ServerState,
    ServerStatus,
    Status,
    Traffic,
)
from trivet.wire.path_text import path_bytes
from trivet.wire.refill_messages import RefillLimit
from trivet.wire.snapshot_messages import SnapshotRemoved

Arguments = dict[str, Any]
Result = Mapping[str, Any]


def handlers(keeper: Keeper) -> Mapping[str, Handler]:
    """Return the verbs of `keeper`'s control socket."""
    control = Control(keeper)
    return {
        "status": control.status,
        "verify": control.verify,
        "repair": control.repair,
        "repairs": control.repairs,
        "scrub": control.scrub,
        "snapshot": control.snapshot,
        "recover": control.recover,
        "refill": control.refill,
        "grow": control.grow,
        "admit": control.admit,
        "describe": control.describe,
        "quota": control.quota,
        "follow": control.follow,
        "shutdown": control.shutdown,
    }


class Control:
    """The verbs; each takes its arguments and a way to report progress, and returns a JSON object."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._admitting = Admitting(keeper.fleet)

    def _loaded(self) -> Loaded:
        if self._keeper.loaded is None:
            raise NoMajority("; ".join(self._keeper.notes.values()) or LOADING)
        return self._keeper.loaded

    async def status(self, arguments: Arguments, report: Report) -> Result:
        """Tell how everything is."""
        keeper = self._keeper
        loaded = keeper.loaded
        lags = keeper.shell.degraded if keeper.shell else {}
        banks = [
            BankStatus(bank[0].base, [self._server(server) for server in bank], lags.get(bank[0].base))
            for bank in keeper.fleet.banks
        ]
        states = [server.state for bank in banks for server in bank.servers]
        notes = list(keeper.notes.values()) + keeper.degradations()
        if loaded is not None and not loaded.companion.may_answer():
            notes.append("the lease has run out: nothing is answered here, another keeper may lead by now")
        elif loaded is not None and loaded.journal.is_possibly_stale:
            notes.append("possibly stale: fewer than two banks answer, what is read now may be taken back")
        if loaded is not None and loaded.journal.room.note:
            notes.append(loaded.journal.room.note)
        notes += [
            f"server {server.port} came back and is being compared"
            for bank in banks
            for server in bank.servers
            if server.state == "up" and not server.compared
        ]
        damage = len(loaded.queue.open) + loaded.queue.waiting if loaded else 0
        refresher = loaded.refresher if loaded else None
        finished = refresher.finished_at if refresher else None
        refill = loaded.queue.refill.told(steady_s()) if loaded else None
        is_whole = loaded is not None and not damage and refill is None
        healthy = is_whole and all(state == "up" for state in states) and not notes
        status = Status(
            keeper.config.volume, healthy, banks, self._place(), damage,
            loaded.history.total if loaded else 0,
            None if finished is None else steady_s() - finished,
            refresher.took_s if refresher else None,
            notes,
        )  # fmt: skip
        if loaded is not None:
            traffic = Traffic(loaded.journal.entries, loaded.blobs.bytes_read, loaded.blobs.bytes_written)
            scrub = loaded.refresher.scrub_state()
            checks = self._checks(loaded)
            status = msgspec.structs.replace(
                status,
                scrub=scrub,
                traffic=traffic,
                checks=checks,
                refill=refill,
                standby=loaded.companion.told(),
            )
        return _plain(status)

    def _checks(self, loaded: Loaded) -> Checks:
        assert self._keeper.shell is not None
        services = (loaded.blobs, loaded.records)
        return Checks(
            self._keeper.shell.leader.election.votes,
            sum(service.copies_read for service in services),
            sum(service.copies_verified for service in services),
            loaded.queue.rows.checked,
            loaded.queue.blobs.checked,
            loaded.queue.blobs.checked_bytes,
            self._keeper.shell.degraded_commits,
        )

    def _place(self) -> KeeperStatus:
        shell = self._keeper.shell
        if shell is None:
            return KeeperStatus(os.getpid(), name=self._keeper.name)
        reign = shell.leader.reign
        durable = reign.marks.durable
        return KeeperStatus(os.getpid(), reign.epoch.number, reign.log.head, durable, self._keeper.name)

    def _server(self, server: ServerLink) -> ServerStatus:
        state: ServerState = server.state
        stat = server.stat if server.is_up else None
        if stat is not None and stat.full:
            state = "full"
        elif server.is_up and server.is_silent(HUNG_AFTER_S):
            state = "hung"
        elif server.is_up and self._keeper.is_joining(server):
            state = "joining"
        loaded = self._keeper.loaded
        divergent = loaded.queue.divergent(server.port) if loaded else 0
        compared = loaded is None or loaded.refresher.is_compared(server.port)
        host = self._keeper.fleet.reach.config.host_of(server.port)
        if stat is None:
            return ServerStatus(server.port, state, divergent=divergent, compared=compared, host=host)
        return ServerStatus(
            server.port, state, stat.pid, stat.blobs, stat.records, divergent, stat.foreign, stat.size_bytes,
            compared, host,
        )  # fmt: skip

    async def verify(self, arguments: Arguments, report: Report) -> Result:
        """Compare everything, change nothing."""
        return await self._check(arguments, report, apply=False)

    async def repair(self, arguments: Arguments, report: Report) -> Result:
        """Compare everything and, with `apply`, mend what is wrong."""
        return await self._check({**arguments, "deep": True}, report, apply=bool(arguments.get("apply")))

    async def _check(self, arguments: Arguments, report: Report, *, apply: bool) -> Result:
        loaded = self._loaded()
        path = arguments.get("path")
        if path is not None and not isinstance(path, str):
            raise InputError("`path` is text: a path below the mount")

        def tell(progress: Progress) -> None:
            report(_plain(progress))

        async with loaded.refresher.busy:
            check = WholeCheck(loaded.queue, loaded.journal, tell, apply=apply)
            return _plain(await check.run(path, deep=bool(arguments.get("deep"))))

    async def repairs(self, arguments: Arguments, report: Report) -> Result:
        """Tell what was repaired."""
        since_s = arguments.get("since_s")
        if since_s is not None and not isinstance(since_s, int | float):
            raise InputError("`since_s` is a number of seconds")
        limit = arguments.get("limit", FINDINGS_MAX)
        if not isinstance(limit, int) or not 0 < limit <= FINDINGS_MAX:
            raise InputError(f"`limit` is a number of repairs, 1 to {FINDINGS_MAX}")
        start_s = 0.0 if since_s is None else wall_s() - since_s
        history = await self._loaded().history.since(start_s, limit)
        still = sorted(self._loaded().queue.open.values(), key=lambda finding: finding.found_s or 0.0)
        left_out = max(0, len(still) - limit)
        return _plain(msgspec.structs.replace(history, open=still[:limit], open_left_out=left_out))

    async def scrub(self, arguments: Arguments, report: Report) -> Result:
        """Steer the scrub."""
        refresher = self._loaded().refresher
        match arguments.get("action"):
            case "now":
                refresher.is_paused = False
                refresher.refresh_now()
            case "pause":
                refresher.is_paused = True
            case "resume":
                refresher.is_paused = False
            case "limit":
                limit = arguments.get("limit_bytes_s")
                if not isinstance(limit, int) or limit <= 0:
                    raise InputError("`limit_bytes_s` is a number of bytes a second, above 0")
                refresher.scrub_limit_bytes_s = limit
            case other:
                raise InputError(f"scrub can be told now, pause, resume or limit, not {other!r}")
        return _plain(refresher.scrub_state())

    async def refill(self, arguments: Arguments, report: Report) -> Result:
        """Set how fast servers are filled, or only tell it."""
        pacing, limit = self._loaded().queue.refill.pacing, arguments.get("limit_bytes_s")
        if limit is not None:
            if not isinstance(limit, int) or limit <= 0:
                raise InputError("`limit_bytes_s` is a number of bytes a second, above 0")
            pacing.limit_bytes_s = limit
        return _plain(RefillLimit(pacing.limit_bytes_s))

    async def grow(self, arguments: Arguments, report: Report) -> Result:
        """Link to servers that were added to the volume."""
        await self._keeper.fleet.grow()
        return {}

    async def admit(self, arguments: Arguments, report: Report) -> Result:
        """Let servers of a host into the volume, and tell what it has then."""
        return _plain(await self._admitting.admit(arguments, self._loaded().companion))

    async def describe(self, arguments: Arguments, report: Report) -> Result:
        """Tell what the volume has, as volume.json does."""
        self._loaded()
        return _plain(await self._admitting.described())

    async def quota(self, arguments: Arguments, report: Report) -> Result:
        """Set or remove the quota of a folder, or only list them all."""
        volume, path = self._loaded().volume, arguments.get("path")
        if arguments.get("action") != "list" and not isinstance(path, str):
            raise InputError("`path` is text: a folder below the mount")
        match arguments.get("action"):
            case "set":
                limits = [arguments.get(name) for name in ("size_limit_bytes", "files_limit")]
                if not all(limit is None or isinstance(limit, int) for limit in limits):
                    raise InputError("a limit is a whole number, or null for none")
                await set_quota(volume, str(path), Limits(*limits))
            case "remove":
                await remove_quota(volume, str(path))
        return _plain(quota_table(volume))

    async def snapshot(self, arguments: Arguments, report: Report) -> Result:
        """Make or remove a snapshot, or list them all."""
        snapshots, name = self._loaded().snapshots, arguments.get("name")
        match arguments.get("action"):
            case "list":
                return _plain(await snapshots.table())
            case "create" if isinstance(name, str):
                return _plain(await snapshots.create(path_bytes(name)))
            case "remove" if isinstance(name, str):
                return _plain(SnapshotRemoved(await snapshots.remove(path_bytes(name))))
        raise InputError("a snapshot is made (create NAME), removed (remove NAME), or all are told (list)")

    async def recover(self, arguments: Arguments, report: Report) -> Result:
        """Say what accepting a loss means and, with `apply`, accept it."""
        what = arguments.get("what")
        if what not in ("accept_rollback", "accept_cut"):
            raise InputError("recover accepts accept_rollback or accept_cut")
        return _plain(await self._keeper.recover(what, apply=bool(arguments.get("apply"))))

    async def follow(self, arguments: Arguments, report: Report) -> Result:
        """Take in that the other keeper stands by, how far it has read, and what is wrong with its folder."""
        pid, slot, trouble = arguments.get("pid"), arguments.get("slot"), arguments.get("trouble", "")
        if not isinstance(pid, int) or not isinstance(slot, int) or not isinstance(trouble, str):
            raise InputError("`pid` is who stands by, `slot` how far it has read, `trouble` a sentence")
        self._loaded().companion.follows(pid, slot, trouble)
        return {}

    async def shutdown(self, arguments: Arguments, report: Report) -> Result:
        """End the process cleanly."""
        self._keeper.ended.set()
        return {}


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    plain = msgspec.to_builtins(value)
    assert isinstance(plain, dict)
    return plain
