"""How a process gets to the servers and the keeper of its volume, wherever they run.

Rule: on this machine by the unix socket, which is cheaper than TCP; by loopback where there is none.
Rule: what is on another host is reached by TLS alone.
Rule: a server that is not known was added since: the volume's description is read again.
"""

from collections.abc import Callable

from trivet.io.link import Link, LinkLost
from trivet.io.tls import client_tls
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.journal_messages import BankMessage

LOOPBACK = "127.0.0.1"


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

    async def keeper(self, *, timeout_s: float) -> Link:
        """Return a link to the volume door of the keeper; raises LinkLost."""
        try:
            return await Link.connect(self._folder.volume_socket, self._key, timeout_s=timeout_s)
        except LinkLost as error:
            gone = isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
            if self._tls is None or not gone:
                raise
        address = (self.config.keeper, self.config.keeper_port)
        return await Link.connect(address, self._key, timeout_s=timeout_s, tls=self._tls)
