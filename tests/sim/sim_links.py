"""A keeper's connections in a run: to each bank's acceptor, wherever it sits, and to its blob store."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim_network import Answer, Connection
from sim_server import SimServer
from trivet.quorum.membership import likely_acceptor
from trivet.wire import journal_messages as m
from trivet.wire.entries import NO_EPOCH

if TYPE_CHECKING:
    from sim_keeper import SimKeeper

MOVE_AFTER_S = 5.0


@dataclass
class Seat:
    """The servers of one bank, which of them is taken for its acceptor, and the links to both roles."""

    servers: list[SimServer]
    away_since: float
    choice: int = 0
    link: Connection | None = None
    blob_link: Connection | None = None
    blob_store: str = ""
    assign: bool = False
    told: bool = False
    greeted: bool = False


class Links:
    """Keeps `keeper` connected; an acceptor that stays away is replaced by the bank's other server."""

    def __init__(self, keeper: "SimKeeper", banks: dict[int, list[SimServer]]) -> None:
        self.keeper = keeper
        self.seats = {bank: Seat(servers, keeper.world.now) for bank, servers in banks.items()}
        self.seen = [NO_EPOCH]

    def greeted(self) -> Iterator[int]:
        """Yield the banks whose acceptor said who it is."""
        return (bank for bank, seat in self.seats.items() if seat.link is not None and seat.greeted)

    def watch(self) -> None:
        """Connect what is not connected, and move roles away from servers that stay away."""
        for bank, seat in self.seats.items():
            if seat.link is None:
                self._reconsider(bank, seat)
            if seat.link is None or seat.blob_link is None:
                self._connect(bank, seat)

    def _reconsider(self, bank: int, seat: Seat) -> None:
        leader, world = self.keeper.leader, self.keeper.world
        ports = [server.port for server in seat.servers]
        if leader is None or leader.reign.log.config is None:
            if seat.told:
                return
            acceptors = [server.acceptor for server in seat.servers if server.acceptor and self._sees(server)]
            port = likely_acceptor([acceptor.identity() for acceptor in acceptors])
            seat.choice = seat.choice if port is None else ports.index(port)
            return
        other = seat.servers[1 - seat.choice]
        is_due = world.now - seat.away_since > MOVE_AFTER_S
        if is_due and other.is_up and leader.may_move(bank, self.keeper.now()):
            world.trace(f"{self.keeper.name} moves the acceptor of {bank} to {other.port}")
            leader.move(bank, other.port)
            seat.choice, seat.assign, seat.away_since = 1 - seat.choice, True, world.now

    def _sees(self, server: SimServer) -> bool:
        network, name = self.keeper.network, self.keeper.name
        return all(network.is_open(name, server.port, direction) for direction in ("to", "from"))

    def _connect(self, bank: int, seat: Seat) -> None:
        network, store, server = self.keeper.network, seat.servers[0], seat.servers[seat.choice]
        if seat.blob_link is None and store.is_up:
            seat.blob_link = Connection(
                network, self.keeper.name, store, lambda link: self._lost_blobs(bank, link)
            )
            seat.blob_link.request(m.Hello("blobs"), b"", lambda reply, _: self._greet_blobs(bank, reply))
        if seat.link is None and server.is_up:
            seat.greeted = False
            seat.link = Connection(network, self.keeper.name, server, lambda link: self._lost(bank, link))
            first = m.Assign(True) if seat.assign else m.Hello("journal")
            seat.link.request(first, b"", lambda reply, _: self._greet(bank, reply))

    def _greet(self, bank: int, reply: m.BankMessage) -> None:
        assert isinstance(reply, m.Identity)
        seat, keeper = self.seats[bank], self.keeper
        seat.greeted, seat.assign = True, False
        self.seen.append(reply.promised)
        if keeper.is_alive:
            keeper.connected(bank)

    def _greet_blobs(self, bank: int, reply: m.BankMessage) -> None:
        assert isinstance(reply, m.Identity)
        seat, keeper = self.seats[bank], self.keeper
        store = f"{reply.boot_id} {reply.incarnation}"
        if seat.blob_store not in ("", store) and keeper.leader is not None and keeper.is_alive:
            keeper.leader.on_blobs_lost(bank)
        seat.blob_store = store

    def _lost(self, bank: int, link: Connection) -> None:
        seat, keeper = self.seats[bank], self.keeper
        if seat.link is link:
            seat.link = None
            if seat.greeted:
                seat.greeted, seat.away_since = False, keeper.world.now
            if keeper.is_alive:
                keeper.lost(bank)

    def _lost_blobs(self, bank: int, link: Connection) -> None:
        seat, keeper = self.seats[bank], self.keeper
        if seat.blob_link is link:
            seat.blob_link = None
            if keeper.is_alive and keeper.leader is not None:
                keeper.leader.on_blobs_lost(bank)

    def leave(self, bank: int, port: int) -> None:
        """Turn to the server at `port`, or to the other one while nobody knows (0)."""
        seat = self.seats[bank]
        ports = [server.port for server in seat.servers]
        seat.assign = port == ports[seat.choice]
        seat.told = port != 0
        seat.choice = ports.index(port) if port else 1 - seat.choice
        if seat.link is not None:
            seat.link.close()

    def ask(self, bank: int, message: m.BankMessage, body: bytes, answer: Answer) -> bool:
        """Send a request to the acceptor of `bank`; False if there is no connection."""
        return self._request(self.seats[bank].link, message, body, answer)

    def ask_blobs(self, bank: int, message: m.BankMessage, body: bytes, answer: Answer) -> bool:
        """Send a request to the blob store of `bank`."""
        return self._request(self.seats[bank].blob_link, message, body, answer)

    def _request(self, link: Connection | None, message: m.BankMessage, body: bytes, answer: Answer) -> bool:
        if link is None:
            return False
        keeper = self.keeper
        link.request(message, body, lambda reply, data: answer(reply, data) if keeper.is_alive else None)
        return True

    def close(self) -> None:
        """Give all connections up."""
        for seat in self.seats.values():
            for link in (seat.link, seat.blob_link):
                if link is not None:
                    link.close()
