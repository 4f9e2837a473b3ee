"""A client's links to the servers of the banks: made when first needed, given up on for a while when lost.

Rule: one link a server; who asks one that is away hears so at once, until it is time to try again.
Rule: servers are added to a bank while we work: what none of those we know has may be on one of them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from trivet.errors import ConfigError, ProtocolError
from trivet.io.clock import steady_s
from trivet.io.link import Body, Link, LinkLost, Reply
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.quorum.placement import ranking
from trivet.wire.journal_messages import BankMessage, Hello

CONNECT_TIMEOUT_S = 0.9
AWAY_S = 1.0
AWAY_MAX_S = 16.0
LOOK_EVERY_S = 1.0


class BankServer:
    """The link to one server of the bank whose ports begin at `base`; its files would lie in `path`."""

    def __init__(
        self, base: int, port: int, path: Path, connect: Callable[[int, int], "asyncio.Future[Link]"]
    ) -> None:
        self.base = base
        self.port = port
        self.path = path
        self._connect = connect
        self._link: asyncio.Future[Link] | None = None
        self._away_until_s = 0.0
        self._away_s = AWAY_S

    async def ask(self, message: BankMessage, body: Body = b"", *, timeout_s: float) -> Reply:
        """Send a request and return its reply; raises LinkLost, also while the server is away."""
        if self._link is None:
            if steady_s() < self._away_until_s:
                raise LinkLost(f"server {self.port} is away")
            self._link = self._connect(self.base, self.port)
        making = self._link
        try:
            link = await asyncio.shield(making)
            reply = await link.request(message, body, timeout_s=timeout_s)
        except (LinkLost, ProtocolError) as error:
            if self._link is making:
                self.give_up()
            raise LinkLost(f"server {self.port}: {error}") from error
        self._away_s = AWAY_S
        return reply

    def give_up(self) -> None:
        """Break the link to a server that fails or hangs; it is left alone for a while, longer each time."""
        making, self._link = self._link, None
        self._away_until_s = steady_s() + self._away_s
        self._away_s = min(self._away_s * 2, AWAY_MAX_S)
        if making is not None and making.done() and not making.cancelled() and making.exception() is None:
            making.result().abort()

    def try_again(self) -> None:
        """Ask it at the next request, away or not: too few others are left."""
        self._away_until_s = 0.0

    @property
    def is_away(self) -> bool:
        """Whether it was lost a moment ago."""
        return self._link is None and steady_s() < self._away_until_s

    @property
    def is_near(self) -> bool:
        """Whether it answers by a socket of this machine."""
        making = self._link
        if making is None or not making.done() or making.cancelled() or making.exception() is not None:
            return False
        return making.result().is_local

    async def close(self) -> None:
        """Close the link."""
        making, self._link = self._link, None
        if making is not None:
            (link,) = await asyncio.gather(making, return_exceptions=True)
            if isinstance(link, Link):
                await link.close()


class BankPool:
    """All servers of a volume's banks."""

    def __init__(self, folder: VolumeFolder) -> None:
        self._reach = Reach(folder)
        self._folder = folder
        self._looked_s = steady_s()
        self.banks: list[list[BankServer]] = [[] for _ in self._reach.config.bases]
        self._take_in(self._reach.config)
        #: How many banks must have a blob before it may be named.
        self.majority = len(self.banks) // 2 + 1

    async def look_for_new(self) -> bool:
        """Take in servers that were added, looked for once in LOOK_EVERY_S; tell whether there are any."""
        if steady_s() - self._looked_s < LOOK_EVERY_S:
            return False
        self._looked_s = steady_s()
        with contextlib.suppress(ConfigError):  # it is read again soon
            return self._take_in(await asyncio.to_thread(self._folder.read_config))
        return False

    def _take_in(self, config: VolumeConfig) -> bool:
        grew = False
        for bank, row in zip(self.banks, config.ports(), strict=True):
            for port in row[len(bank) :]:
                path = self._folder.server_path(row[0], port)
                bank.append(BankServer(row[0], port, path, self._connect))
                grew = True
        return grew

    async def close(self) -> None:
        """Close every link."""
        await asyncio.gather(*(server.close() for bank in self.banks for server in bank))

    def servers_for(self, name: int, bank: int) -> Sequence[BankServer]:
        """Return the servers of `bank` in the order in which they would have the blob `name`."""
        by_port = {server.port: server for server in self.banks[bank]}
        return [by_port[port] for port in ranking(name, list(by_port))]

    def _connect(self, base: int, port: int) -> asyncio.Future[Link]:
        return asyncio.ensure_future(self._make_link(base, port))

    async def _make_link(self, base: int, port: int) -> Link:
        link = await self._reach.server(port, timeout_s=CONNECT_TIMEOUT_S)
        try:
            await link.request(Hello("blobs"), timeout_s=CONNECT_TIMEOUT_S)
        except LinkLost:
            await link.close()
            raise
        return link
