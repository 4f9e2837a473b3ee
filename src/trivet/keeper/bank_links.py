"""The keeper's links to every server of every bank: kept up, watched, and told about.

Rule: a server is up only after it said who it is over both links; one that stops answering is hung, its links
are dropped, and it is asked again until it answers.
Rule: while too few other banks answer, one that is silent but connected is waited for as slow disks are: on a
machine that has no time for them all are silent. A connection that breaks is believed at once.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from trivet.errors import ProtocolError
from trivet.io.clock import steady_s, wall_s
from trivet.io.link import Body, Link, LinkLost, NoAnswer, NotTrusted, Reply
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.keeper.clock_rates import ClockRate, clock_notes
from trivet.wire.bank_messages import ServerStat, Stat, Touched
from trivet.wire.journal_messages import BankMessage, Hello, Identity, Refusal

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 1.0
RETRY_S = 0.1
#: Who shows a wrong certificate shows the same one a moment later.
DISTRUST_S = 1.0
STAT_EVERY_S = 0.5
HUNG_AFTER_S = 1.0
PROMPT_S = 0.5
PATIENT_CONNECT_S = 5.0
MAJORITY = 2
DAY_S = 86_400
#: Certificates made on one day end on one day, and with them everything.
WARNED_BEFORE_S = 30 * DAY_S

ServerState = Literal["up", "hung", "down"]


class FleetListener(Protocol):
    """Who is told what happens to servers; called on the loop, must not block."""

    def server_up(self, server: "ServerLink") -> None:
        """The links to `server` stand and its identity is fresh."""

    def server_down(self, server: "ServerLink") -> None:
        """The links to `server` are gone."""

    def touched(self, server: "ServerLink", path: bytes) -> None:
        """Somebody changed what `server` stores of `path`."""


@dataclass(slots=True)
class ServerLink:
    """One server: its links while it is up, and the last that it said of itself.

    `bank` counts the banks from 0, `base` is the first port of the bank's servers, `socket` the path of the
    unix socket on which a server of this machine listens, `asked_at_s` is since when it owes its figures,
    `others` counts the other banks that answer; `distrust` says why what answers there is not believed.
    """

    bank: int
    base: int
    port: int
    socket: Path
    state: ServerState = "down"
    identity: Identity | None = None
    stat: ServerStat | None = None
    journal: Link | None = None
    blobs: Link | None = None
    generation: int = field(default=0)
    clock: ClockRate = field(default_factory=ClockRate)
    asked_at_s: float | None = None
    others: Callable[[], int] = lambda: MAJORITY
    distrust: str = ""
    certificate_ends_s: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether requests can be sent."""
        return self.state == "up"

    @property
    def is_near(self) -> bool:
        """Whether the server's own folder is on this machine."""
        return self.is_up and self.blobs is not None and self.blobs.is_local

    def is_silent(self, longer_than_s: float) -> bool:
        """Whether it has owed us an answer for `longer_than_s`."""
        return self.asked_at_s is not None and steady_s() - self.asked_at_s > longer_than_s

    async def ask_journal(
        self, message: BankMessage, body: Body = b"", *, timeout_s: float, enough: int = MAJORITY
    ) -> Reply:
        """Send a journal request and return its reply; raises LinkLost while the server is not up.

        After `timeout_s` without an answer it waits on while fewer than `enough` other banks answer.
        """
        return await self._ask(self.journal, message, body, timeout_s, enough)

    async def ask_blobs(
        self, message: BankMessage, body: Body = b"", *, timeout_s: float, enough: int = MAJORITY
    ) -> Reply:
        """Send a data request and return its reply, as `ask_journal` does."""
        return await self._ask(self.blobs, message, body, timeout_s, enough)

    async def _ask(
        self, link: Link | None, message: BankMessage, body: Body, timeout_s: float, enough: int
    ) -> Reply:
        if link is None:
            raise LinkLost(f"server {self.port} is {self.state}")
        return await link.request(
            message, body, timeout_s=timeout_s, is_needed=lambda: self.others() < enough
        )

    def give_up(self) -> None:
        """Break the links of a server that left a reader waiting, if enough other banks answer."""
        if self.others() >= MAJORITY:
            self.drop()

    def drop(self) -> None:
        """Break the links of a server that stopped answering; the fleet then asks it again."""
        for link in (self.journal, self.blobs):
            if link is not None:
                link.abort()


class Fleet:
    """All servers of the volume, `banks[i]` those of bank i in port order."""

    def __init__(self, folder: VolumeFolder, listener: FleetListener) -> None:
        config = folder.read_config()
        self.banks: list[list[ServerLink]] = [[] for _ in config.bases]
        self.folder = folder
        #: How many banks a change must reach.
        self.majority = len(self.banks) // 2 + 1
        self.may_be_followed = bool(config.journal)
        self._volume = config.volume
        self.reach = Reach(folder)
        self._listener = listener
        self._tasks: list[asyncio.Task[None]] = []
        self._take_in(config)

    def can_store(self, server: ServerLink) -> bool:
        """Tell whether a server is up, and, where a volume has no other, what lies elsewhere with it."""
        is_cut = self.may_be_followed and server.stat is not None and bool(server.stat.trouble)
        return server.is_up and not is_cut

    @property
    def servers(self) -> Iterator[ServerLink]:
        """Every server, bank by bank."""
        return (server for bank in self.banks for server in bank)

    def _answering_beside(self, bank: int) -> int:
        """Count the banks but `bank` whose servers all answer promptly."""
        return sum(
            all(server.is_up and not server.is_silent(PROMPT_S) for server in servers)
            for number, servers in enumerate(self.banks)
            if number != bank
        )

    def notes(self) -> list[str]:
        """Return a sentence for each server that is not believed, and each clock that runs wrong."""
        distrust = [server.distrust for server in self.servers if server.distrust]
        ending = [
            f"the certificate of server {server.port}'s host expires in {left_s / DAY_S:.0f} days: "
            "`trivet volume certify` makes a new one"
            for server in self.servers
            if server.certificate_ends_s is not None
            and (left_s := server.certificate_ends_s - wall_s()) < WARNED_BEFORE_S
        ]
        rates = {server.port: server.clock.rate() for server in self.servers if server.is_up}
        return [*distrust, *ending, *clock_notes(rates)]

    def server_at(self, port: int) -> ServerLink:
        """Return the server that listens on `port`."""
        return next(server for server in self.servers if server.port == port)

    def bank_at(self, base: int) -> list[ServerLink]:
        """Return the servers of the bank whose ports begin at `base`."""
        return next(bank for bank in self.banks if bank[0].port == base)

    def start(self) -> None:
        """Begin to connect; from now on the listener is called."""
        self._link_to(self.servers)

    async def grow(self) -> None:
        """Link to servers that were added to the volume since it was last looked at."""
        self._link_to(self._take_in(await asyncio.to_thread(self.folder.read_config)))

    def _take_in(self, config: VolumeConfig) -> list[ServerLink]:
        """Add what `config` knows and we do not to the `banks`, and return it."""
        new = [
            ServerLink(bank, row[0], port, self.folder.server_socket(row[0], port))
            for bank, row in enumerate(config.ports())
            for port in row[len(self.banks[bank]) :]
        ]
        for server in new:
            server.others = functools.partial(self._answering_beside, server.bank)
            self.banks[server.bank].append(server)
        return new

    def _link_to(self, servers: Iterable[ServerLink]) -> None:
        self._tasks += [asyncio.create_task(self._keep_linked(server)) for server in servers]

    async def close(self) -> None:
        """Drop all links and stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_linked(self, server: ServerLink) -> None:
        while True:
            try:
                await self._link(server)
                await self._watch(server)
            except NotTrusted as error:
                if str(error) != server.distrust:
                    log.warning("server %s: %s", server.port, error)
                server.distrust = str(error)
                await asyncio.sleep(DISTRUST_S)
            except LinkLost as error:
                server.distrust = ""
                log.debug("server %s: %s", server.port, error)
            except ProtocolError as error:
                log.warning("server %s: %s", server.port, error)
            finally:
                await self._unlink(server)
            await asyncio.sleep(RETRY_S)

    async def _link(self, server: ServerLink) -> None:
        def on_event(message: BankMessage) -> None:
            if isinstance(message, Touched):
                self._listener.touched(server, message.path)

        server.journal = await self._connect(server, on_event)
        server.blobs = await self._connect(server, on_event)
        try:
            await server.ask_blobs(Hello("blobs"), timeout_s=CONNECT_TIMEOUT_S)
            identity, _ = await server.ask_journal(Hello("journal"), timeout_s=CONNECT_TIMEOUT_S)
        except NoAnswer:
            server.state = "hung"
            raise
        if isinstance(identity, Refusal):
            raise ProtocolError(f"server {server.port} refused the hello: {identity.message}")
        assert isinstance(identity, Identity)
        if identity.volume != self._volume:
            raise ProtocolError(
                f"server {server.port} belongs to volume {identity.volume}, not {self._volume}"
            )
        server.identity = identity
        server.generation += 1
        server.state, server.distrust = "up", ""
        server.certificate_ends_s = server.journal.certificate_ends_s
        log.info("server %s is up: %s, head %s", server.port, identity.standing, identity.head)
        self._listener.server_up(server)

    async def _connect(self, server: ServerLink, on_event: Callable[[BankMessage], None]) -> Link:
        timeout_s = CONNECT_TIMEOUT_S if server.others() >= MAJORITY else PATIENT_CONNECT_S
        return await self.reach.server(server.port, timeout_s=timeout_s, on_event=on_event)

    async def _watch(self, server: ServerLink) -> None:
        """Ask for figures again and again until the server stops answering; raises LinkLost."""
        assert server.journal is not None
        while True:
            asked_s = server.asked_at_s = steady_s()
            try:
                stat, _ = await server.ask_blobs(Stat(), timeout_s=HUNG_AFTER_S)
            except LinkLost as error:
                server.state = "hung" if isinstance(error, NoAnswer) else "down"
                raise
            server.asked_at_s = None
            if isinstance(stat, ServerStat):
                server.stat = stat
                server.clock.note(asked_s, steady_s(), stat.clock_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STAT_EVERY_S):
                    await server.journal.lost.wait()
                    server.state = "down"
                    raise LinkLost("the journal link is gone")

    async def _unlink(self, server: ServerLink) -> None:
        was_up = server.journal is not None and server.identity is not None
        links = [link for link in (server.journal, server.blobs) if link is not None]
        if server.state == "hung":  # it takes nothing any more: nobody need wait until that has left
            server.drop()
        server.journal = server.blobs = server.asked_at_s = None
        if server.state == "up" or not links:
            server.state = "down"
        for link in links:
            await link.close()
        if was_up:
            server.identity = None
            log.info("server %s is %s", server.port, server.state)
            self._listener.server_down(server)
