"""Submitting: handing what the namespace noted to the commit port, at once or a little later.

Rule: everything noted goes in the order it happened; whoever submits takes along what was left to ride.
Rule: what rides waits 50 ms at most; large bodies that are going away are deleted piece by piece meanwhile.
Rule: who asks about a name waits for the change of it that was handed over: nobody is told what may be lost.
"""

import asyncio
import contextlib

from trivet.errors import NoMajority
from trivet.keeper.asked_calls import CALL, AskedCalls
from trivet.keeper.change_history import ChangeHistory
from trivet.keeper.stores import CommitPort, Ticket
from trivet.volume.namespace import Namespace
from trivet.wire.records import ino_of, name_of

RIDE_S = 0.05
MOST_FRESH = 4096


class Submitter:
    """The one way from the namespace to the commit port; `history` follows what goes there, `asked` tells who
    asked for it."""

    def __init__(self, space: Namespace, commit: CommitPort) -> None:
        self._space = space
        self._commit = commit
        self._last: Ticket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fresh: dict[int, dict[bytes, Ticket]] = {}
        self._noted = 0
        self.always_durable = commit.durability == "always"
        self.history = ChangeHistory(space, commit)
        self.asked = AskedCalls(space, commit.slot_of)

    async def writable(self) -> None:
        """Return once banks take changes, mostly at once; raise NoMajority, before anything is changed."""
        if not self._commit.takes_changes:
            await self._commit.writable()

    def submit(self, *, sync: bool = False) -> Ticket | None:
        """Hand over all that was noted, to be synced at once if `sync`.

        Return the last ticket, None if there never was a change.
        """
        if self._space.has_changes:
            changes = self._space.take_changes()
            before, self._last = self._last, self._commit.submit(changes, sync=sync)
            if before is None or self._is_settled(before) or self._noted > MOST_FRESH:
                self._forget_settled()
            for key in changes.records:
                if key.startswith(b"d/"):
                    self._fresh.setdefault(ino_of(key), {})[name_of(key)] = self._last
                    self._noted += 1
            self.history.note(self._last, changes.records)
            if self._space.doomed:
                self.ride()
        return self._last

    def ride(self) -> None:
        """See that what was noted is handed over within 50 ms."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(RIDE_S, self._time_is_up)

    async def committed(self) -> int:
        """Hand over all that was noted and wait for what the durability mode promises; return its slot."""
        ticket = self.submit()
        if ticket is None:
            return 0
        if self.always_durable:
            await ticket.durable()
        else:
            await ticket.acked()
        assert ticket.slot is not None
        return ticket.slot

    async def rides(self) -> None:
        """Let what was noted ride; a client of the door, and the mode `always`, wait for it."""
        if self.always_durable:
            await self.durable()
        elif CALL.get() is not None:
            await self.committed()
        else:
            self.ride()

    async def durable(self) -> None:
        """Hand over all that was noted and wait until it and everything before it is synced."""
        ticket = self.submit(sync=True)
        if ticket is not None:
            await ticket.durable()

    async def settled(self, parent: int, name: bytes | None = None) -> None:
        """Wait until what was handed over of `name` (of all names) in `parent` is as safe as it will be told.

        Without a majority what is in memory is told nevertheless: status says that it is possibly stale.
        """
        fresh = self._fresh.get(parent)
        if fresh is not None:
            ticket = fresh.get(name) if name is not None else self._last
            if ticket is not None:
                await self._safe(ticket)

    async def all_settled(self) -> None:
        """Wait until all that was handed over is safe, before somebody is told why an operation failed."""
        if self._last is not None:
            await self._safe(self._last)

    async def _safe(self, ticket: Ticket) -> None:
        with contextlib.suppress(NoMajority):
            await (ticket.durable() if self.always_durable else ticket.acked())

    def _is_settled(self, ticket: Ticket) -> bool:
        return ticket.is_durable if self.always_durable else ticket.is_acked

    def _forget_settled(self) -> None:
        """Keep the names whose changes are still on their way."""
        kept = {
            parent: left
            for parent, names in self._fresh.items()
            if (left := {name: ticket for name, ticket in names.items() if not self._is_settled(ticket)})
        }
        self._fresh, self._noted = kept, 0

    def close(self) -> None:
        """Let nothing ride any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self._space.doomed:
            self._space.purge_some()
        self.submit()
