"""The refresh and the scrub: everything compared again and again, whether anybody touches it or not.

Rule: a refresh compares all records and all blob names of every bank; the scrub reads the bytes, slowly.
Rule: the larger the volume the rarer the refresh: at most 5 % of a processor a bank go into comparing.
Rule: what was open is open no longer only after a refresh (bytes: a round of the scrub) that looked at it
found it right, or gone.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trivet.errors import NoMajority, ProtocolError, ReplicaError, TrivetError
from trivet.io.clock import steady_s
from trivet.io.freed_memory import return_freed
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.blob_check import DAMAGED
from trivet.keeper.findings import NamedBlobs, PathFinder
from trivet.keeper.journal import Journal
from trivet.keeper.owned_task import own_task
from trivet.keeper.repair_queue import OpenFindings, RepairQueue
from trivet.quorum.scrub_plan import COMPARE_SHARE, SCRUB_BYTES_PER_S
from trivet.wire.bank_messages import DeleteBlobs
from trivet.wire.control_messages import Finding, ScrubState

log = logging.getLogger(__name__)

GRACE_S = 5.0
AGAIN_S = 5.0
COLLECT_EVERY_S = 1.0
DELETE_TIMEOUT_S = 5.0
#: Of a processor, what comparing a record costs a bank.
RECORD_S = 8e-6


@dataclass(slots=True)
class _Position:
    after: int = 0
    done_bytes: int = 0


class Refresher:
    """Runs the refresh every `period_s`, the scrub behind it, and deletes blobs that were set free."""

    def __init__(self, queue: RepairQueue, journal: Journal, period_s: float) -> None:
        self.finished_at: float | None = None
        self.took_s: float | None = None
        self.scrub_limit_bytes_s = SCRUB_BYTES_PER_S
        self.is_paused = False
        self.busy = asyncio.Lock()
        self._queue = queue
        self._journal = journal
        self._period_s = period_s
        self._now = asyncio.Event()
        self._scrub_finished_at: float | None = None
        self._round_began_at = self._verified_at = steady_s()
        self._scrubbing = False
        self._positions: dict[int, _Position] = {}
        self._open_before: OpenFindings = {}
        self._doomed: list[tuple[float, list[int]]] = []
        #: port -> generation of the servers that came back and were not compared since.
        self._returned: dict[int, int] = {}
        self._tasks = [own_task(self._refresh_on()), own_task(self._collect_on())]

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def refresh_now(self) -> None:
        """Begin the next refresh at once."""
        self._now.set()

    def came_back(self, server: ServerLink) -> None:
        """Have a server compared that was away: who knows what it holds."""
        self._returned[server.port] = server.generation
        self.refresh_now()

    def is_compared(self, port: int) -> bool:
        """Tell whether the server at `port` was compared since it came back."""
        return port not in self._returned

    async def _refresh_on(self) -> None:
        while True:
            started = steady_s()
            try:
                async with self.busy:
                    await self.refresh()
                self.took_s = steady_s() - started
                self.finished_at = steady_s()
                await asyncio.to_thread(return_freed)  # a log was held until its banks had been compared
                if not self.is_paused:
                    await self.scrub(self._pause_s)
            except (ReplicaError, ProtocolError, NoMajority) as error:
                log.warning("the refresh ended early: %s", error)
                wait_s = min(self._period_s, max(AGAIN_S, 20 * (steady_s() - started)))
            else:
                wait_s = self._pause_s
            try:
                async with asyncio.timeout(max(0.0, wait_s - (steady_s() - started))):
                    await self._now.wait()
            except TimeoutError:
                continue
            self._now.clear()

    @property
    def _pause_s(self) -> float:
        """From one refresh to the next: longer where reading all records would keep the banks busy."""
        return max(self._period_s, len(self._journal.index) * RECORD_S / COMPARE_SHARE)

    async def refresh(self) -> None:
        """Compare every record and every blob name on every bank that answers, and mend what is wrong.

        What one bank could not be compared for is raised once the others were looked at.
        """
        queue = self._queue
        paths = PathFinder(queue.space)
        before = set(queue.open)
        findings: list[Finding] = []
        looked_at: set[int] = set()
        failed: TrivetError | None = None
        for bank in queue.fleet.banks:
            returned = {one.port: one.generation for one in bank if one.is_up}
            try:
                found, ports = await self._refresh_bank(bank, paths)
            except (ReplicaError, ProtocolError, NoMajority) as error:
                failed = error  # it may be this bank's alone
                continue
            findings += found
            looked_at |= ports
            if len(returned) == len(bank):  # names can be missed only on a bank that is there whole
                self._returned = {at: g for at, g in self._returned.items() if returned.get(at) != g}
        still = {(f.server, f.path, tuple(f.ranges), f.item) for f in findings if f.verdict != "fixed"}
        for identity in before - still:
            finding = queue.open.get(identity)  # it may have been mended and forgotten meanwhile
            if finding is not None and identity[0] in looked_at and not _needs_scrub(finding):
                del queue.open[identity]
        if failed is not None:
            raise failed

    async def _refresh_bank(
        self, bank: Sequence[ServerLink], paths: PathFinder
    ) -> tuple[list[Finding], set[int]]:
        """Compare and mend one bank; return what was found, and the ports of the servers looked at."""
        queue = self._queue
        findings: list[Finding] = []
        server = queue.acceptor(bank[0].base)
        if server is not None:
            keys = await queue.rows.differing_keys(server, self._journal.durable_slot)
            findings += await queue.mend_rows(server.base, keys, paths)
        looked_at = {server.port} if server is not None else set()
        named = NamedBlobs(queue.space)
        flaws = await queue.blobs.flaws_by_listing(bank, named, collect_orphans=True)
        findings += await queue.mend_blobs(flaws, named, paths)
        return findings, looked_at | {one.port for one in bank if one.is_up}

    # -- the scrub

    async def scrub(self, at_most_s: float) -> None:
        """Read the blobs of all servers at the scrub's rate for `at_most_s`; the position is kept."""
        self._scrubbing = True
        if not self._positions:
            self._round_began_at = steady_s()
            self._open_before = dict(self._queue.open)
        try:
            async with asyncio.timeout(at_most_s):
                whole = await asyncio.gather(*map(self._scrub_server, self._queue.fleet.servers))
            if all(whole):
                self._positions.clear()
                self._scrub_finished_at = steady_s()
                self._verified_at = self._round_began_at
                self._forget_what_is_gone()
        except TimeoutError:
            pass  # goes on from its positions after the next refresh
        finally:
            self._scrubbing = False

    def _forget_what_is_gone(self) -> None:
        """Close what was open before this round and was not found in it: the blob was freed meanwhile.

        What was found again stands there anew; it may also go by another path since, or by none.
        """
        still = self._queue.open
        for identity, finding in self._open_before.items():
            if _needs_scrub(finding) and still.get(identity) is finding:
                del still[identity]

    async def _scrub_server(self, server: ServerLink) -> bool:
        """Read on behind the position kept for `server`; tell whether its last blob was reached.

        A refresh that is wanted goes first: it is how a bank that returned is filled.
        """
        queue = self._queue
        position = self._positions.setdefault(server.port, _Position())
        while server.is_up and not self.is_paused and not self._now.is_set():
            named = NamedBlobs(queue.space)
            limit = self.scrub_limit_bytes_s
            flaws, position.after = await queue.blobs.scrub(
                server, named, limit_bytes_s=limit, after=position.after, max_bytes=limit
            )
            position.done_bytes += limit
            if flaws:
                await queue.mend_blobs(flaws, named, PathFinder(queue.space))
            if not position.after:
                return True
        return False

    def scrub_state(self) -> ScrubState:
        """Return where the scrub stands."""
        total = sum(server.stat.size_bytes for server in self._queue.fleet.servers if server.stat)
        done = min(total, sum(position.done_bytes for position in self._positions.values()))
        state: Literal["idle", "running", "paused"] = "running" if self._scrubbing else "idle"
        if self.is_paused:
            state = "paused"
        age = None if self._scrub_finished_at is None else steady_s() - self._scrub_finished_at
        oldest_s = steady_s() - self._verified_at
        rate = done / max(1.0, steady_s() - self._round_began_at) if self._scrubbing else 0.0
        return ScrubState(state, done, total, self.scrub_limit_bytes_s, rate, age, oldest_s)

    # -- blobs that were set free

    async def _collect_on(self) -> None:
        """Delete what durable entries set free, after a grace time in which a read may still be under way."""
        while True:
            await asyncio.sleep(COLLECT_EVERY_S)
            now = steady_s()
            freed = self._journal.freed_through(self._journal.durable_slot)
            if freed:
                self._doomed.append((now, freed))
            while self._doomed and not self._queue.space.kept.is_held and now - self._doomed[0][0] > GRACE_S:
                _, names = self._doomed[0]
                pins, kept = self._queue.space.pins, self._queue.space.kept
                names = [name for name in names if name not in kept]  # freed once more when its snapshot goes
                held = [name for name in names if name in pins]
                await self._delete([name for name in names if name not in held] if held else names)
                self._doomed.pop(0)
                if held:
                    self._doomed.append((now, held))

    async def _delete(self, names: list[int]) -> None:
        for server in self._queue.fleet.servers:
            if server.is_up:
                try:
                    await server.ask_blobs(DeleteBlobs(names), timeout_s=DELETE_TIMEOUT_S)
                except ReplicaError as error:
                    log.info("server %s keeps %s freed blobs for now: %s", server.port, len(names), error)


def _needs_scrub(finding: Finding) -> bool:
    """Tell whether only who reads all bytes can say that a finding is over."""
    return finding.item == "blob" and finding.why == DAMAGED
