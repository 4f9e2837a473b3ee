"""How a process gets to the servers and the keeper of its volume, wherever they run.

Rule: on this machine by the unix socket, which is cheaper than TCP; by loopback where there is none.
Rule: what is on another host is reached by TLS alone.
Rule: of two keepers on two hosts only the one that leads opens its door: whichever lets us in is it.
Rule: a server that is not known was added since: the volume's description is read again.
"""

import asyncio
from collections.abc import Callable, Sequence

from trivet.io.link import Link, LinkLost
from trivet.io.tls import client_tls
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.journal_messages import BankMessage

LOOPBACK = "127.0.0.1"
#: A host that acknowledges nothing for so long leads no more: another one is asked. Less than a lease.
KEEPER_GONE_S = 4.0


class Reach:
    """Makes links within the volume in `folder`; ConfigError when its key or authority can't be used."""

    def __init__(self, folder: VolumeFolder) -> None:
        self._folder = folder
        self.config = folder.read_config()
        self._key = folder.read_key()
        self._tls = client_tls(folder) if self.config.hosts else None

    async def server(
        self,
        port: int,
        *,
        timeout_s: float,
        on_event: Callable[[BankMessage], None] = lambda message: None,
    ) -> Link:
        """Return a link to the server on `port`; raises LinkLost."""
        if all(port not in row for row in self.config.ports()):
            self.config = self._folder.read_config()
        base = self.config.bases[self.config.bank_of(port)]
        path = self._folder.server_socket(base, port)
        try:
            return await Link.connect(path, self._key, timeout_s=timeout_s, on_event=on_event)
        except LinkLost as error:
            if not isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
                raise
        address = (self.config.host_of(port) or LOOPBACK, port)
        return await Link.connect(address, self._key, timeout_s=timeout_s, on_event=on_event, tls=self._tls)

    async def keeper(
        self, *, timeout_s: float, on_event: Callable[[BankMessage], None] = lambda message: None
    ) -> Link:
        """Return a link to the volume door of the keeper; raises LinkLost."""
        path = self._folder.volume_socket
        try:
            return await Link.connect(path, self._key, timeout_s=timeout_s, on_event=on_event)
        except LinkLost as error:
            gone = isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
            if self._tls is None or not gone:
                raise
        return await _first([
            asyncio.create_task(self.keeper_on(host, timeout_s=timeout_s, on_event=on_event))
            for host in self.config.keeper_hosts().values()
        ])  # fmt: skip

    async def keeper_on(
        self, host: str, *, timeout_s: float, on_event: Callable[[BankMessage], None] = lambda message: None
    ) -> Link:
        """Return a link to the volume door of the keeper on `host`, another one; raises LinkLost."""
        return await Link.connect(
            (host, self.config.keeper_port), self._key, timeout_s=timeout_s, on_event=on_event,
            tls=self._tls, gone_after_s=KEEPER_GONE_S,
        )  # fmt: skip


async def _first(asking: Sequence[asyncio.Task[Link]]) -> Link:
    """Return the first link that comes about, and end the others; raises LinkLost if none does."""
    lost, kept = LinkLost("nobody is asked"), None
    try:
        for answer in asyncio.as_completed(asking):
            try:
                kept = await answer
            except LinkLost as error:
                lost = error
                continue
            return kept
        raise lost
    finally:
        for task in asking:
            task.cancel()
        for late in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(late, Link) and late is not kept:
                late.abort()
