"""What is to be compared soon, what could not be mended yet, and the task that works it off.

Rule: whatever is named here is looked at within a second; what can't be mended stays listed until it can.
Rule: a bank that lags or is away is compared as soon as it counts and has caught up.
Rule: the queue is bounded; what does not fit is left to the refresh, which looks at everything.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

import msgspec

from trivet.errors import NoMajority, ProtocolError, ReplicaError
from trivet.io.clock import wall_s
from trivet.keeper.bank_links import Fleet, ServerLink
from trivet.keeper.blob_check import MISSING, BlobCheck
from trivet.keeper.findings import NamedBlobs, PathFinder, log_finding
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.owned_task import own_task
from trivet.keeper.record_keys import keys_of
from trivet.keeper.repair_history import RepairLog
from trivet.keeper.row_check import RowCheck
from trivet.volume.namespace import Namespace
from trivet.wire.control_messages import Finding

log = logging.getLogger(__name__)

GATHER_S = 0.2
LATER_S = 0.5
INODES_AT_ONCE = 128
SUSPECTS_MAX = 50_000
NAMES_COMPARED = 2000
BLOBS_COMPARED = 8
BLOBS_AT_ONCE = 32

#: By server, path, byte ranges and kind of item.
OpenFindings = dict[tuple[int, str, tuple[tuple[int, int], ...], str], Finding]


class RepairQueue:
    """Compares what it is told of on all banks and mends what is wrong."""

    def __init__(
        self,
        space: Namespace,
        fleet: Fleet,
        shell: LeaderShell,
        rows: RowCheck,
        blobs: BlobCheck,
        history: RepairLog,
    ) -> None:
        self.space = space
        self.fleet = fleet
        self.rows = rows
        self.blobs = blobs
        self.history = history
        self.open: OpenFindings = {}
        self._shell = shell
        self._inodes: dict[int, None] = {}
        self._bad_rows: dict[tuple[int, bytes], None] = {}
        self._bad_blobs: dict[tuple[int, int], ServerLink] = {}
        self._mended_logs: set[int] = set()
        self._in_hand = 0
        self.refill = blobs.refill
        self._late: dict[int, set[bytes]] = {}
        self._work = asyncio.Event()
        self._told_s = 0.0
        self._running = own_task(self._work_off())

    async def close(self) -> None:
        """Stop; what is left is found again by the next refresh."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    # -- told of

    def look_at(self, ino: int) -> None:
        """Have an inode compared on all banks; one that is asked for too often is left to the refresh."""
        if len(self._inodes) < INODES_AT_ONCE:
            self._inodes[ino] = None
            self._wake()

    def bad_row(self, base: int, key: bytes) -> None:
        """Have a record of one bank mended."""
        if len(self._bad_rows) < SUSPECTS_MAX:
            self._bad_rows[base, key] = None
            self._wake()

    def bad_blob(self, name: int, server: ServerLink) -> None:
        """Have a blob of one bank mended; `server` is the one that lacks a good copy."""
        if len(self._bad_blobs) < SUSPECTS_MAX:
            self._bad_blobs[server.bank, name] = server
            self._wake()

    def log_mended(self, port: int) -> None:
        """Have it written down that the damaged journal of a server is whole again."""
        self._mended_logs.add(port)
        self._wake()

    def _wake(self) -> None:
        if not self._work.is_set():
            self._told_s = wall_s()
            self._work.set()

    @property
    def waiting(self) -> int:
        """How many copies are known to be wrong, or said to be, and not mended yet."""
        return len(self._bad_rows) + len(self._bad_blobs) + self._in_hand

    def divergent(self, port: int) -> int:
        """Return how many items of the server at `port` are known to differ."""
        return sum(finding.server == port for finding in self.open.values())

    # -- working it off

    async def _work_off(self) -> None:
        while True:
            await self._work.wait()
            await asyncio.sleep(GATHER_S)  # gathers what belongs together; the work is due within a second
            self._work.clear()
            told_s = self._told_s
            inodes, self._inodes = list(self._inodes), {}
            logs, self._mended_logs = self._mended_logs, set()
            await self.note([log_finding(port) for port in sorted(logs)], told_s)
            rows, self._bad_rows = self._bad_rows, {}
            blobs, self._bad_blobs = self._bad_blobs, {}
            paths = PathFinder(self.space)
            keys = self.keys_of(inodes)
            for bank in self.fleet.banks:
                base = bank[0].base
                here = keys | {key for at, key in rows if at == base} | self._late.pop(base, set())
                await self._mend_soon(base, here, paths, told_s)
                wanted = {name: server for (number, name), server in blobs.items() if number == bank[0].bank}
                await self._mend_suspects(bank, wanted, inodes, paths, told_s)

    async def _mend_soon(self, base: int, keys: set[bytes], paths: PathFinder, told_s: float) -> None:
        """Compare `keys` on the bank at `base` now, or once it is there and holds everything."""
        if not keys:
            return
        server = self.acceptor(base)
        try:
            if server is not None and await self.rows.has_everything(server):
                await self.note(await self.rows.mend(server, keys, paths, apply=True), told_s)
                return
        except ReplicaError as error:  # it went meanwhile, and who knows how far it was compared
            log.warning("bank %s is compared again later: %s", base, error)
        except (ProtocolError, NoMajority) as error:
            log.warning("bank %s could not be compared: %s", base, error)
            return
        if len(keys) < SUSPECTS_MAX:
            self._late[base] = keys
            asyncio.get_running_loop().call_later(LATER_S, self._work.set)

    def acceptor(self, base: int) -> ServerLink | None:
        """Return the acceptor of a bank whose records can be compared now."""
        follower = self._shell.leader.reign.followers[base]
        server = self._shell.acceptor(base)
        return server if follower.counted and server.is_up else None

    async def mend_rows(
        self, base: int, keys: set[bytes], paths: PathFinder, found_s: float | None = None
    ) -> list[Finding]:
        """Compare `keys`, suspected since `found_s`, on the bank at `base` and mend what is wrong there."""
        found_s = found_s or wall_s()
        server = self.acceptor(base)
        if server is None or not keys:
            return []
        try:
            return await self.note(await self.rows.mend(server, keys, paths, apply=True), found_s)
        except (ReplicaError, ProtocolError, NoMajority) as error:
            log.warning("bank %s could not be compared: %s", base, error)
            return []

    async def mend_blobs(
        self,
        flaws: dict[int, tuple[ServerLink, str]],
        named: NamedBlobs,
        paths: PathFinder,
        found_s: float | None = None,
    ) -> list[Finding]:
        """Mend the blobs of `named` that have `flaws`, suspected since `found_s`."""
        found_s = found_s or wall_s()
        names = list(flaws)
        size_bytes = sum(named.refs[name].size for name in names)
        self._in_hand += len(flaws)
        findings: list[Finding] = []
        try:
            with self.refill.under_way(size_bytes, {server.port for server, _ in flaws.values()}) as count:
                for at in range(0, len(names), BLOBS_AT_ONCE):
                    some = {name: flaws[name] for name in names[at : at + BLOBS_AT_ONCE]}
                    mended = await self.blobs.mend(some, named, paths, apply=True, on_done=count)
                    findings += await self.note(mended, found_s)
        finally:
            self._in_hand -= len(flaws)
        return findings

    async def _mend_suspects(
        self,
        bank: Sequence[ServerLink],
        wanted: dict[int, ServerLink],
        inodes: Sequence[int],
        paths: PathFinder,
        told_s: float,
    ) -> None:
        looked_at = NamedBlobs(self.space, inodes, BLOBS_COMPARED)
        try:
            flaws = await self.blobs.check_these(bank, looked_at) if looked_at.refs else {}
            named = NamedBlobs(self.space) if wanted else looked_at
            flaws |= {name: (server, MISSING) for name, server in wanted.items()}
            flaws = {name: flaw for name, flaw in flaws.items() if name in named}  # some were set free since
            if flaws:
                await self.mend_blobs(flaws, named, paths, told_s)
        except (ReplicaError, ProtocolError, NoMajority) as error:
            log.warning("blobs of bank %s could not be compared: %s", bank[0].base, error)

    def keys_of(self, inodes: Iterable[int]) -> set[bytes]:
        """Return the keys of every record of `inodes`, of very large directories the first names only."""
        return set(keys_of(self.space, inodes, NAMES_COMPARED))

    async def note(self, findings: list[Finding], found_s: float) -> list[Finding]:
        """Remember what could not be mended, forget what was, and write repairs down.

        `found_s` (Unix time) is since when the damage was suspected, unless it was open before.
        """
        fixed = []
        for finding in findings:
            identity = (finding.server, finding.path, tuple(finding.ranges), finding.item)
            before = self.open.pop(identity, None)
            since_s = before.found_s if before and before.found_s else found_s
            dated = msgspec.structs.replace(finding, found_s=min(since_s, finding.at_s))
            if finding.verdict == "fixed":
                fixed.append(dated)
                log.info(
                    "fixed %s of %s on server %s: %s", finding.item, finding.path, finding.server, finding.why
                )
            else:
                self.open[identity] = dated
        if fixed:
            await self.history.add(fixed)
        return findings
