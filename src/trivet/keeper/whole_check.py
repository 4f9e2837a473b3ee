"""verify and repair: the whole volume, or what lies below one path, compared on all banks on request.

Rule: what goes through everything below a path lets others of the loop work after every thousand or two.
Rule: `verify` changes nothing; `repair` changes what `verify` would report, and says so item by item.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from trivet.errors import ReplicaError
from trivet.io.clock import steady_s, wall_s
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.findings import NamedBlobs, PathFinder
from trivet.keeper.journal import Journal
from trivet.keeper.record_keys import all_keys_of
from trivet.keeper.repair_queue import RepairQueue
from trivet.volume.entry_names import find_path
from trivet.volume.namespace import Namespace
from trivet.wire.control_messages import FINDINGS_MAX, CheckReport, Finding, Progress

UNHURRIED_BYTES_S = 1 << 30
INODES_A_TURN = 1000
#: How often a bank is asked whose links break meanwhile, and how long it is waited for.
TRIES, BACK_WITHIN_S, BACK_LOOK_S = 3, 15.0, 0.1
#: How long one is waited for that is away when its turn comes: it may just hang, or be starting.
AWAY_WITHIN_S = 5.0
Tell = Callable[[Progress], None]


async def inodes_below(space: Namespace, top: int) -> list[int]:
    """Return `top` and every inode below it, as they are while others of the loop go on working."""
    found, waiting = {top: None}, [top]
    since_turn = 0
    while waiting:
        for ino in list(space.directories.get(waiting.pop(), {}).values()):
            if ino not in found:
                found[ino] = None
                waiting.append(ino)
            since_turn += 1
            if since_turn % INODES_A_TURN == 0:
                await asyncio.sleep(0)
    return list(found)


class WholeCheck:
    """One run of verify or repair."""

    def __init__(self, queue: RepairQueue, journal: Journal, tell: Tell, *, apply: bool) -> None:
        self._queue = queue
        self._journal = journal
        self._tell = tell
        self._apply = apply
        self._paths = PathFinder(queue.space)
        self._notes: list[str] = []

    async def run(self, path: str | None, *, deep: bool) -> CheckReport:
        """Compare all (or what is below `path`); `deep` also reads every byte of every copy."""
        queue, started = self._queue, steady_s()
        records, blobs, size = queue.rows.checked, queue.blobs.checked, queue.blobs.checked_bytes
        inodes = (
            None
            if path in (None, "", "/")
            else await inodes_below(queue.space, find_path(queue.space.directories, path or "/"))
        )
        began_s = wall_s()
        findings: list[Finding] = []
        for number, bank in enumerate(queue.fleet.banks):
            self._tell(Progress(f"bank {bank[0].base}: records", number, len(queue.fleet.banks)))
            await _until_up(bank, AWAY_WITHIN_S)
            findings += await self._again(bank, partial(self._rows, bank[0].base, inodes))
            self._tell(Progress(f"bank {bank[0].base}: data", number, len(queue.fleet.banks)))
            findings += await self._again(bank, partial(self._blobs, number, inodes, deep=deep))
        self._tell(Progress("done", len(queue.fleet.banks), len(queue.fleet.banks)))
        if self._apply:
            await queue.note(findings, began_s)
        return CheckReport(
            queue.rows.checked - records, queue.blobs.checked - blobs, queue.blobs.checked_bytes - size,
            steady_s() - started, findings[:FINDINGS_MAX], max(0, len(findings) - FINDINGS_MAX),
            not self._notes, self._notes,
        )  # fmt: skip

    async def _again(
        self, bank: Sequence[ServerLink], compare: Callable[[], Awaitable[list[Finding]]]
    ) -> list[Finding]:
        """Return what `compare` finds; a server of `bank` that goes meanwhile is waited for, asked anew."""
        noted = len(self._notes)
        for _ in range(TRIES):
            del self._notes[noted:]
            try:
                return await compare()
            except ReplicaError as error:
                self._notes[noted:] = [f"bank {bank[0].base} could not be compared: {error}"]
            await _until_up(bank, BACK_WITHIN_S)
        return []

    async def _rows(self, base: int, inodes: list[int] | None) -> list[Finding]:
        queue = self._queue
        server = queue.acceptor(base)
        if server is None:
            self._notes.append(f"the records of bank {base} are out of reach")
            return []
        mend = partial(queue.rows.mend, server, paths=self._paths, apply=self._apply)
        if inodes is None:
            return await mend(await queue.rows.differing_keys(server, self._journal.durable_slot))
        findings: list[Finding] = []
        async for keys in all_keys_of(queue.space, inodes):
            findings += await mend(keys)
        return findings

    async def _blobs(self, number: int, inodes: list[int] | None, *, deep: bool) -> list[Finding]:
        queue = self._queue
        bank = queue.fleet.banks[number]
        down = [server.port for server in bank if not server.is_up]
        if down:
            self._notes.append(f"server {', '.join(map(str, down))} is out of reach")
        if inodes is not None:
            return await self._blobs_of(bank, inodes)
        named = NamedBlobs(queue.space)
        flaws = await queue.blobs.flaws_by_listing(bank, named, collect_orphans=False)
        for server in bank if deep else ():
            if server.is_up:
                bad, _ = await queue.blobs.scrub(server, named, limit_bytes_s=UNHURRIED_BYTES_S)
                flaws |= bad
        return await queue.blobs.mend(flaws, named, self._paths, apply=self._apply)

    async def _blobs_of(self, bank: Sequence[ServerLink], inodes: list[int]) -> list[Finding]:
        queue = self._queue
        findings: list[Finding] = []
        for at in range(0, len(inodes), INODES_A_TURN):
            named = NamedBlobs(queue.space, inodes[at : at + INODES_A_TURN])
            flaws = await queue.blobs.check_these(bank, named)
            findings += await queue.blobs.mend(flaws, named, self._paths, apply=self._apply)
            await asyncio.sleep(0)
        return findings


async def _until_up(bank: Sequence[ServerLink], limit_s: float) -> None:
    """Wait until all servers of a bank are linked to, at most `limit_s`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not all(server.is_up for server in bank):  # noqa: ASYNC110 - a link has no event
                await asyncio.sleep(BACK_LOOK_S)
