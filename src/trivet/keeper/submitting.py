"""Submitting: handing what the namespace noted to the commit port, at once or a little later.

Rule: everything noted goes in the order it happened; whoever submits takes along what was left to ride.
Rule: what rides waits 50 ms at most; large bodies that are going away are deleted piece by piece meanwhile.
"""

import asyncio

from trivet.keeper.change_history import ChangeHistory
from trivet.keeper.stores import CommitPort, Ticket
from trivet.volume.namespace import Namespace

RIDE_S = 0.05


class Submitter:
    """The one way from the namespace to the commit port; `history` follows what goes there."""

    def __init__(self, space: Namespace, commit: CommitPort) -> None:
        self._space = space
        self._commit = commit
        self._last: Ticket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.always_durable = commit.durability == "always"
        self.history = ChangeHistory(space, commit)

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
            self._last = self._commit.submit(changes, sync=sync)
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

    async def durable(self) -> None:
        """Hand over all that was noted and wait until it and everything before it is synced."""
        ticket = self.submit(sync=True)
        if ticket is not None:
            await ticket.durable()

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
