"""Checks one bank's blobs against the extents that name them, and mends them from another bank's good copies.

Rule: whether a copy is good is told by the root in the record, never by the server that holds it.
Rule: the last verified copy is never overwritten or deleted; an orphan goes only if its epoch is closed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from trivet.errors import NoMajority, ReplicaError
from trivet.io.clock import steady_s
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.blob_service import BlobService
from trivet.keeper.findings import NamedBlobs, PathFinder, trace_of
from trivet.keeper.refilling import Pacing, Refilling
from trivet.quorum.rebalancing import Move, move_of
from trivet.volume.blob_names import epoch_of
from trivet.wire.bank_messages import BlobNames, DeleteBlobs, ListBlobs, Scrubbed, ScrubBlobs, SyncBlobs
from trivet.wire.control_messages import Finding, Verdict

NAMES_AT_ONCE = 5000
NAMES_A_TURN = 1000
SCRUB_BYTES = 4 << 20
MOVED_AT_ONCE = 32
TIMEOUT_S = 10.0
#: More are hardly faster, and people wait for them (docs/guide/reliability.md).
MENDED_AT_ONCE = 2
Thing = TypeVar("Thing")
MISSING, DAMAGED = "missing", "checksum differs"


class BlobCheck:
    """Compares and mends blobs; `epoch` is the one whose names are still being handed out."""

    def __init__(self, blobs: BlobService, epoch: int) -> None:
        self._blobs = blobs
        self._epoch = epoch
        self.refill = Refilling(Pacing())
        self.checked = 0
        self.checked_bytes = 0

    async def flaws_by_listing(
        self, servers: Sequence[ServerLink], named: NamedBlobs, *, collect_orphans: bool
    ) -> dict[int, tuple[ServerLink, str]]:
        """Compare the names that the servers of one bank list with those named, as far as they are up.

        With `collect_orphans` orphans of closed epochs are deleted, and strays brought home.
        """
        up = [server for server in servers if server.is_up]
        wanted = list(named.refs) if len(up) == len(servers) else []  # not what is named while they list
        held: dict[int, tuple[ServerLink, ...]] = {}
        flaws: dict[int, tuple[ServerLink, str]] = {}
        for server in up:
            orphans = []
            alone = (server,)
            async for name, size, root in self._listing(server):
                ref = named.refs.get(name)
                if ref is None:
                    orphans.append(name)
                elif (size, root) != (ref.size, ref.root):
                    flaws[name] = server, DAMAGED
                else:
                    held[name] = (*held[name], server) if name in held else alone
            closed = [name for name in orphans if epoch_of(name) < self._epoch and not named.is_pinned(name)]
            if closed and collect_orphans:
                await server.ask_blobs(DeleteBlobs(closed), timeout_s=TIMEOUT_S)
        self.checked += len(held)
        async for name in _in_turns(wanted):
            if name not in held and name not in flaws and named.is_still_named(name):
                home = self._blobs.servers_for(name, servers[0].bank)
                if home:
                    flaws[name] = home[0], MISSING
        if collect_orphans:
            await self._bring_home(held, named, servers)
        return flaws

    async def _bring_home(
        self, held: dict[int, tuple[ServerLink, ...]], named: NamedBlobs, servers: Sequence[ServerLink]
    ) -> None:
        """Move blobs that were put on another server of their bank while theirs was away."""
        by_port = {server.port: server for server in servers}
        ports = list(by_port)
        moves: list[Move] = []
        async for name in _in_turns(held):
            move = move_of(name, [server.port for server in held[name]], ports)
            if move is not None and by_port[move.home].is_up:
                moves.append(move)
        size_bytes = sum(0 if move.is_there else named.refs[move.name].size for move in moves)
        with self.refill.under_way(size_bytes, {move.home for move in moves}) as count:
            for at in range(0, len(moves), MOVED_AT_ONCE):
                await self._move(moves[at : at + MOVED_AT_ONCE], named, by_port, count)

    async def _move(
        self,
        moves: Sequence[Move],
        named: NamedBlobs,
        by_port: Mapping[int, ServerLink],
        on_written: Callable[[int], None],
    ) -> None:
        """Carry `moves` out: a stray goes only after its copy at home was synced and then read back right."""
        todo = iter(moves)
        copied: list[Move] = []

        async def copy() -> None:
            for move in todo:
                if not named.is_still_named(move.name):
                    continue
                if move.is_there or await self._copy_home(move, named, by_port[move.home], on_written):
                    copied.append(move)

        await _side_by_side(copy)
        for port in {move.home for move in copied}:
            await by_port[port].ask_blobs(SyncBlobs(), timeout_s=TIMEOUT_S)
        to_check = iter(copied)
        strays: dict[int, list[int]] = {}

        async def check() -> None:
            for move in to_check:
                if await self._blobs.is_good(named.refs[move.name], by_port[move.home]):
                    for port in move.strays:
                        strays.setdefault(port, []).append(move.name)

        await _side_by_side(check)
        for port, names in strays.items():
            await by_port[port].ask_blobs(DeleteBlobs(names), timeout_s=TIMEOUT_S)

    async def _copy_home(
        self, move: Move, named: NamedBlobs, home: ServerLink, on_written: Callable[[int], None]
    ) -> bool:
        """Write what the bank has of a blob, or others, to `home`; tell whether it is there."""
        ref = named.refs[move.name]
        await self.refill.pacing.turn(ref.size)
        try:
            data, _ = await self._blobs.read_elsewhere(ref, home)
        except (ReplicaError, NoMajority):
            return False
        if not await self._blobs.put_copy(ref, data, home):
            return False
        on_written(ref.size)
        return True

    async def _listing(self, server: ServerLink) -> AsyncIterator[tuple[int, int, bytes]]:
        after, more = 0, True
        while more:
            reply, _ = await server.ask_blobs(ListBlobs(after, NAMES_AT_ONCE), timeout_s=TIMEOUT_S)
            assert isinstance(reply, BlobNames)
            async for blob in _in_turns(reply.blobs):
                yield blob
                after = blob[0]
            more = reply.more

    async def scrub(
        self,
        server: ServerLink,
        named: NamedBlobs,
        *,
        limit_bytes_s: int,
        after: int = 0,
        max_bytes: int = 1 << 62,
    ) -> tuple[dict[int, tuple[ServerLink, str]], int]:
        """Have `server` read its blobs behind `after`; return (flaws, position), 0 at the end."""
        flaws: dict[int, tuple[ServerLink, str]] = {}
        done, started = 0, steady_s()
        while done < max_bytes:
            reply, _ = await server.ask_blobs(ScrubBlobs(after, SCRUB_BYTES), timeout_s=TIMEOUT_S)
            assert isinstance(reply, Scrubbed)
            flaws |= {name: (server, DAMAGED) for name in reply.bad if name in named}
            done += reply.size_bytes
            self.checked_bytes += reply.size_bytes
            after = reply.last
            if not reply.more:
                return flaws, 0
            await asyncio.sleep(max(0.0, started + done / limit_bytes_s - steady_s()))
        return flaws, after

    async def check_these(
        self, servers: Sequence[ServerLink], named: NamedBlobs
    ) -> dict[int, tuple[ServerLink, str]]:
        """Have exactly the blobs in `named` read by the server of this bank that holds them."""
        flaws: dict[int, tuple[ServerLink, str]] = {}
        for name in named.refs:
            up = self._blobs.servers_for(name, servers[0].bank)
            for server in up:  # one that is still to be moved lies on another than it belongs on
                reply, _ = await server.ask_blobs(ScrubBlobs(name - 1, 1), timeout_s=TIMEOUT_S)
                assert isinstance(reply, Scrubbed)
                if reply.last == name:
                    if name in reply.bad:
                        flaws[name] = server, DAMAGED
                    break
            else:
                if up:
                    flaws[name] = up[0], MISSING
            self.checked += bool(up)
        return flaws

    async def mend(
        self,
        flaws: dict[int, tuple[ServerLink, str]],
        named: NamedBlobs,
        paths: PathFinder,
        *,
        apply: bool,
        on_done: Callable[[int], None] = lambda size_bytes: None,
    ) -> list[Finding]:
        """Mend `flaws` if `apply`, telling `on_done` each size; return what was found, what became of it."""
        todo = iter(flaws.items())
        findings: list[Finding] = []

        async def work_off() -> None:
            for name, flaw in todo:
                finding = await self._mend_one(name, *flaw, named, paths, apply=apply)
                on_done(named.refs[name].size)
                if finding is not None:
                    findings.append(finding)

        await _side_by_side(work_off)
        return findings

    async def _mend_one(
        self, name: int, server: ServerLink, why: str, named: NamedBlobs, paths: PathFinder, *, apply: bool
    ) -> Finding | None:
        ref = named.refs[name]
        if not named.is_still_named(name):
            return None  # it was set free since it was looked at
        if await self._blobs.is_good(ref, server):
            return None  # its copy arrived since
        if not server.is_up:  # reading a copy for it now would only slow people down
            return named.finding("cannot fix", name, server.port, why, paths, None)
        await self.refill.pacing.turn(ref.size)
        before = trace_of(await self._blobs.body_on(ref, server))
        try:
            data, source = await self._blobs.read_elsewhere(ref, server)
        except (ReplicaError, NoMajority):
            found = named.finding("cannot fix", name, server.port, why, paths, None)
            return msgspec.structs.replace(found, before=before)
        fixed = apply and await self._blobs.replace(ref, data, server)
        verdict: Verdict = "fixed" if fixed else "cannot fix" if apply else "would fix"
        found = named.finding(verdict, name, server.port, why, paths, source.port)
        return msgspec.structs.replace(found, before=before, after=trace_of(data))


async def _side_by_side(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Let MENDED_AT_ONCE of `work` share what is to be done."""
    async with asyncio.TaskGroup() as group:
        for _ in range(MENDED_AT_ONCE):
            group.create_task(work())


async def _in_turns(things: Iterable[Thing]) -> AsyncIterator[Thing]:
    """Yield `things` as they are now, and let others of the loop work after some of them each."""
    for count, thing in enumerate(things, 1):
        yield thing
        if count % NAMES_A_TURN == 0:
            await asyncio.sleep(0)
