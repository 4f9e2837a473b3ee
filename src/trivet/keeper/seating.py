"""Which server acts for each bank: the one CONFIG names, another when that stays away, and who is told.

Rule: no server is told its role before CONFIG is known; then one that does not say what it should be is told.
Rule: a seat whose server stays away moves on, whether it went away or was never there.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from trivet.io.clock import steady_s
from trivet.io.link import LinkLost
from trivet.keeper.bank_links import Fleet, ServerLink
from trivet.keeper.out_of_office import OutOfOffice
from trivet.quorum.leader import Leader
from trivet.quorum.membership import likely_acceptor
from trivet.wire import journal_messages

log = logging.getLogger(__name__)

ASSIGN_TIMEOUT_S = 10.0
STAND_IN_AFTER_S = 5.0


class Seating:
    """The acceptors of the banks under `leader`; `spawn` owns tasks.

    `attach` connects a server that acts for its bank, `doubt` has the bank at a port compared, and says why.
    """

    def __init__(
        self,
        leader: Leader,
        fleet: Fleet,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        attach: Callable[[ServerLink], None],
        doubt: Callable[[int, str], None],
    ) -> None:
        self._leader = leader
        self._fleet = fleet
        self._spawn = spawn
        self._attach = attach
        self._doubt = doubt
        self._connected: dict[int, ServerLink] = {}
        self._seats: dict[int, int] = {}
        self._away_since: dict[int, float] = {}
        self._out_of_office = OutOfOffice(leader)
        self._asked_to_compare: set[int] = set()

    @property
    def connected(self) -> Mapping[int, ServerLink]:
        """Base port -> the server that acts for that bank, where it is there."""
        return self._connected

    def acceptor(self, base: int) -> ServerLink:
        """Return the server that holds the acceptor's role in the bank at `base`, or most likely does."""
        if base in self._seats:
            return self._fleet.server_at(self._seats[base])
        config = self._leader.reign.log.config
        seat = config.seats.get(base) if config else None
        if seat is not None:
            return self._fleet.server_at(seat.port)
        said = [server.identity for server in self._fleet.bank_at(base) if server.is_up and server.identity]
        return self._fleet.server_at(likely_acceptor(said) or base)

    def came_up(self, server: ServerLink) -> None:
        """Note a new connection; once CONFIG is known, a server with another role than it says is told so."""
        assert server.identity is not None
        is_acceptor = server is self.acceptor(server.base)
        keeps_blobs = server.identity.standing == "blobs"
        config = self._leader.reign.log.config
        if config is not None and is_acceptor and keeps_blobs:
            self._spawn(self._assign(server, acceptor=True))
        elif is_acceptor:
            self._connected[server.base] = server
            self._away_since.pop(server.base, None)
            self._asked_to_compare.discard(server.base)
            self._attach(server)
        elif config is not None and not keeps_blobs and config.seats[server.base].port != server.port:
            self._out_of_office.add(server)
            self.lay_down()

    def went_away(self, server: ServerLink) -> bool:
        """Note a lost connection; tell whether that server acted for its bank."""
        if self._connected.get(server.base) is not server:
            return False
        del self._connected[server.base]
        self._away_since[server.base] = steady_s()
        return True

    def lay_down(self) -> None:
        """Tell servers out of office, as soon as they may be told, to keep blobs only."""
        for server in self._out_of_office.due():
            self._spawn(self._assign(server, acceptor=False))

    def settle(self) -> None:
        """CONFIG is known: turn to the servers it names where nobody acts for a bank.

        A server that was wiped says by itself only what its port makes likely, and two that each keep blobs
        would both wait for the other.
        """
        for bank in self._fleet.banks:
            base = bank[0].base
            acting = self._connected.get(base)
            if acting is None or acting.identity is None or acting.identity.standing == "blobs":
                self._turn(base, self.acceptor(base))

    def turn_to(self, base: int, port: int) -> None:
        """Leave a server that does not hold its bank's seat for the one at `port` (0: nobody knows)."""
        current = self._connected.pop(base, None)
        if port == 0:
            self._seats.pop(base, None)
            return
        self._seats[base] = port
        server = self._fleet.server_at(port)
        if current is not None and current is not server:
            self._out_of_office.add(current)
        if server is current:
            self._spawn(self._assign(server, acceptor=True))
        else:
            self._turn(base, server)

    def _turn(self, base: int, server: ServerLink) -> None:
        if server.is_up:
            self.came_up(server)
        else:
            self._connected.pop(base, None)
            self._away_since.setdefault(base, steady_s())

    def look(self, now: float) -> None:
        """Have others stand in for acceptors that stay away."""
        for base, since in list(self._away_since.items()):
            if now - since > STAND_IN_AFTER_S:
                self._stand_in(base, now)

    def _stand_in(self, base: int, now: float) -> None:
        """Move the role of an acceptor that stays away; where the others were not compared, have them be."""
        if self._leader.may_move(base, now):
            self._asked_to_compare.discard(base)
            self._move_role(base)
        elif base not in self._asked_to_compare and self._leader.is_serving:
            self._asked_to_compare.add(base)
            port = self.acceptor(base).port
            for other in self._connected:
                self._doubt(other, f"another server is to stand in for {port}")

    def _move_role(self, base: int) -> None:
        """Give the role of an acceptor that stays away to another server of its bank, if one is up."""
        acceptor = self.acceptor(base)
        others = (one for one in self._fleet.bank_at(base) if one.is_up and one is not acceptor)
        if server := next(others, None):
            log.warning("server %s takes the journal of bank %s over", server.port, base)
            self._leader.move(base, server.port)
            self._seats[base] = server.port
            del self._away_since[base]
            self.came_up(server)

    async def _assign(self, server: ServerLink, *, acceptor: bool) -> None:
        """Tell a server its role; it connects anew with what it then is."""
        try:
            await server.ask_journal(journal_messages.Assign(acceptor), timeout_s=ASSIGN_TIMEOUT_S)
        except LinkLost as error:
            log.info("server %s could not be told its role: %s", server.port, error)
        server.drop()
