"""Servers that hold no seat any more, until they may be told to keep blobs only.

Rule: one is told once CONFIG, durable, names nobody who held its bank's seat `before`: until then somebody
may ask for its vote (docs/decisions/moving-a-seat.md).
"""

from trivet.keeper.bank_links import ServerLink
from trivet.quorum.leader import Leader
from trivet.quorum.membership import NOBODY


class OutOfOffice:
    """The servers that are to lay their role down under `leader`."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._servers: dict[int, ServerLink] = {}

    def add(self, server: ServerLink) -> None:
        """Note that another server holds, or is to hold, the seat of this one's bank."""
        self._servers[server.port] = server

    def due(self) -> list[ServerLink]:
        """Return the servers that are to be told now, and forget them."""
        reign = self._leader.reign
        config = reign.log.config
        if not self._servers or config is None or reign.log.config_slot > reign.marks.durable:
            return []
        told = []
        for port, server in list(self._servers.items()):
            seat = config.seats[server.base]
            if seat.port != port and seat.before != NOBODY:
                continue
            del self._servers[port]
            if seat.port != port and server.is_up:
                told.append(server)
        return told
