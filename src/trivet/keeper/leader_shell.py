"""The shell round the leader core: sends what it says, hands it the replies, carries its commands out.

Rule: commands run in the order the core gave them; what takes time runs in an owned task and reports back.
Rule: this room decides nothing about the log; what becomes of entries is told to the `LeaderEvents`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any

from trivet.errors import ProtocolError, ReplicaError
from trivet.io.clock import steady_s
from trivet.io.link import Body, LinkLost
from trivet.keeper.bank_links import PROMPT_S, Fleet, ServerLink
from trivet.keeper.leader_events import LeaderEvents
from trivet.keeper.owned_task import own_task
from trivet.keeper.seating import Seating
from trivet.quorum.leader import Leader
from trivet.quorum.leader_commands import (
    Acked,
    CaughtUp,
    CheckBlobs,
    Compare,
    Degraded,
    Deposed,
    Durable,
    Enthroned,
    LeaderCommand,
    LogMended,
    NotAcceptor,
    Sealed,
    Send,
    Serving,
    Stuck,
    SyncBlobs,
    Transfer,
)
from trivet.wire.bank_messages import SyncBlobs as SyncServer
from trivet.wire.journal_messages import BankMessage

log = logging.getLogger(__name__)

TICK_S = 0.025
SYNC_TIMEOUT_S = 10.0


class LeaderShell:
    """Carries out one leader's commands over the links of `fleet`."""

    def __init__(self, leader: Leader, fleet: Fleet, events: LeaderEvents) -> None:
        self.leader = leader
        self.degraded: dict[int, str] = {}
        self.degraded_commits = 0  # acknowledged while not all banks kept up, since we began
        self._counted_slot = 0
        self._fleet = fleet
        self._events = events
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking = own_task(self._tick())
        self._seating = Seating(leader, fleet, spawn=self._spawn, attach=self._attach, doubt=events.doubted)
        self._due: deque[LeaderCommand] = deque()
        self._is_running = False

    async def close(self) -> None:
        """Stop: nothing is sent or told afterwards."""
        for task in (self._ticking, *self._tasks):
            task.cancel()
        await asyncio.gather(self._ticking, *self._tasks, return_exceptions=True)

    def acceptor(self, base: int) -> ServerLink:
        """Return the server that holds the acceptor's role in the bank at `base`, or most likely does."""
        return self._seating.acceptor(base)

    def acceptors_at(self, slot: int) -> list[ServerLink]:
        """Return the acceptors that are up, count and hold the log through `slot`, the idlest first."""
        able = [f for f in self.leader.reign.followers.values() if f.counted and f.head >= slot]
        able.sort(key=lambda follower: follower.degraded)
        up = [server for follower in able if (server := self.acceptor(follower.bank)).is_up]
        return sorted(up, key=lambda server: server.is_silent(PROMPT_S))

    @property
    def may_be_followed(self) -> bool:
        """Whether a keeper elsewhere may take the volume over any time: its journal is in a database."""
        return self._fleet.may_be_followed

    @property
    def majority(self) -> int:
        """How many banks a change must reach."""
        return self._fleet.majority

    def taking(self) -> int:
        """Return how many banks take entries now, quickly or not: up, answering, holding this reign's log."""
        live = [f.bank for f in self.leader.reign.followers.values() if f.state == "live"]
        linked = (self._seating.connected.get(bank) for bank in live)
        return sum(server is not None and self._fleet.can_store(server) for server in linked)

    def server_up(self, server: ServerLink) -> None:
        """Note a new connection."""
        self._seating.came_up(server)

    def server_down(self, server: ServerLink) -> None:
        """Note a lost connection; blobs the server had not synced may be lost with it."""
        if self._seating.went_away(server):
            self.run(self.leader.on_lost(server.base, steady_s()))
        if self.leader.on_blobs_lost(server.base):
            self._events.doubted(server.base, f"server {server.port} went away with unsynced blobs")

    def run(self, commands: Iterable[LeaderCommand]) -> None:
        """Carry out `commands` in order; those that carrying one out brings about come behind them."""
        self._due.extend(commands)
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._due:
                self._carry_out(self._due.popleft())
        finally:
            self._is_running = False

    def _count_degraded(self, slot: int) -> None:
        before, self._counted_slot = self._counted_slot, max(slot, self._counted_slot)
        followers = self.leader.reign.followers.values()
        if before and any(one.degraded or not one.counted for one in followers):
            self.degraded_commits += self._counted_slot - before

    def _carry_out(self, command: LeaderCommand) -> None:
        events = self._events
        match command:
            case Send():
                self._send(command)
            case Acked(slot):
                self._count_degraded(slot)
                events.acked(slot)
            case Durable(slot):
                events.durable(slot)
                self._seating.lay_down()
            case Sealed(entry):
                events.sealed(entry)
            case SyncBlobs():
                self._spawn(self._sync_blobs(command))
            case Degraded(bank, reason):
                log.warning("bank %s is degraded: %s", bank, reason)
                self.degraded[bank] = reason
            case CaughtUp(bank):
                log.info("bank %s has caught up", bank)
                self.degraded.pop(bank, None)
            case Compare(bank, reason):
                events.doubted(bank, reason)
            case LogMended(bank):
                events.log_mended(bank)
            case Transfer(bank, _):
                self._spawn(self._transfer(bank))
            case Serving():
                self._seating.settle()
                events.serving()
            case Enthroned():
                events.enthroned()
            case Stuck(reason):
                events.stuck(reason)
            case Deposed():
                events.deposed()
            case CheckBlobs():
                self._spawn(self._check_blobs(command))
            case NotAcceptor(bank, port):
                self._seating.turn_to(bank, port)

    def _send(self, send: Send) -> None:
        server = self._seating.connected.get(send.bank)
        if server is None or server.journal is None:
            return

        def on_reply(message: BankMessage, body: Body) -> None:
            self.run(self.leader.on_reply(send, message, steady_s(), bytes(body)))

        server.journal.send_request(send.message, send.body, on_reply)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = steady_s()
            self.run(self.leader.on_tick(now))
            self._seating.look(now)

    def _attach(self, server: ServerLink) -> None:
        self.run(self.leader.on_connected(server.base, steady_s()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = own_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sync_blobs(self, command: SyncBlobs) -> None:
        servers = self._fleet.bank_at(command.bank)
        up = [server for server in servers if server.is_up]
        try:
            await asyncio.gather(*(s.ask_blobs(SyncServer(), timeout_s=SYNC_TIMEOUT_S) for s in up))
        except LinkLost as error:
            log.warning("the blobs of bank %s are not synced: %s", command.bank, error)
            self.leader.on_blobs_lost(command.bank)
            self._events.doubted(command.bank, "a server failed to sync its blobs")
            return
        self.run(self.leader.on_blobs_synced(command.bank, command.through, steady_s()))

    async def _transfer(self, base: int) -> None:
        try:
            await self._events.copy_records(base)
        except (ReplicaError, ProtocolError) as error:
            log.warning("the records of bank %s could not be filled: %s", base, error)
            self._reconnect(base)
            return
        self.run(self.leader.on_transferred(base, steady_s()))

    async def _check_blobs(self, asked: CheckBlobs) -> None:
        slot, all_asked, lacking = await self._events.secure_blobs(asked.blobs)
        now = steady_s()
        self.run(self.leader.on_blobs_checked(asked, slot, now, all_asked=all_asked, lacking=lacking))

    def _reconnect(self, base: int) -> None:
        server = self._seating.connected.get(base)
        if server is not None:
            server.drop()
