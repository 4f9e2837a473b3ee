"""Somebody at the XML-RPC doors of servers: puts entries of their own there, and spoils what is stored.

Rule: what was put under a name that no path has is foreign: it stays as it is in that server, whatever is
repaired or filled around it, and becomes no part of the file system.
"""

from trivet.errors import ReplicaError
from whole_drive import WholeDrive
from whole_processes import BankProcess

#: Longer than any jump of the wall clock, by which an entry's end is known after a reboot.
TTL_S = 1 << 30
MARK = b"put by hand"


class Hands:
    """Puts by hand into servers of `drive`; `kept` is what (port, key) holds since."""

    def __init__(self, drive: WholeDrive) -> None:
        self.drive = drive
        self.kept: dict[tuple[int, bytes], bytes] = {}
        self._puts = 0

    def put(self, port: int, path: bytes = b"") -> None:
        """Begin to put something at the server on `port`: over the file `path`, a foreign entry without."""
        server = self.drive.servers[port]
        if server.is_alive and server.paths is not None:
            self._puts += 1
            value = MARK + b" %d" % self._puts
            server.spawn(self._put(server, path, value))

    async def _put(self, server: BankProcess, path: bytes, value: bytes) -> None:
        assert server.paths is not None
        key = path or self.drive.rng.choice((b"", b"/")) + value
        try:
            await server.paths.put(key, value, TTL_S)
        except (ReplicaError, OSError):  # where a path leads can't be told just now
            return
        if not path:
            self.kept[server.port, key] = value

    def forget(self, port: int) -> None:
        """The files of a server are gone."""
        for held in [held for held in self.kept if held[0] == port]:
            del self.kept[held]

    def what_is_wrong(self) -> str:
        """Return which foreign entry is not what it was, "" if none."""
        for (port, key), value in self.kept.items():
            place = self.drive.servers[port].place
            entry = None if place is None else place.foreign.get(key)
            if entry is None or entry.value != value:
                return f"the foreign entry {key!r} of server {port} is {entry}, {value!r} was put there"
        return ""
