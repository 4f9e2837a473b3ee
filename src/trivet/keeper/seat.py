"""Which of a volume's two keepers this process is, said by locks that one living process can hold.

Rule: a keeper serves only under a name whose lock it holds; who holds the other name's lock as well knows
that nobody lives who could be reading under it, and need not wait for a lease.
Rule: who begins a reign says so in `leader`, by which everybody else on this host finds it.
Rule: a lock says nothing of another host. Of two keepers on two hosts each begins by standing by, none takes
the other for dead, and `leader` names the one that runs here.
"""

import asyncio
import contextlib
import fcntl
import os
from io import TextIOWrapper
from pathlib import Path

from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.quorum.membership import KEEPER, STANDBY

LOOK_AGAIN_S = 0.1


class Seat:
    """The keeper called `name` of the volume in `folder`; one that `stands_by` waits until it is its turn.

    `other_host` is where the other one runs, None if that is this machine.
    """

    def __init__(
        self,
        folder: VolumeFolder,
        name: str = KEEPER,
        *,
        stands_by: bool = False,
        other_host: str | None = None,
    ) -> None:
        self.name = name
        self.other = STANDBY if name == KEEPER else KEEPER
        self.other_host = other_host
        self.stands_by = stands_by or other_host is not None
        self.folder = VolumeFolder(folder.path, name)
        self.other_folder = VolumeFolder(folder.path, self.other)
        self._locks: dict[str, TextIOWrapper] = {}

    @classmethod
    def on_host(cls, folder: VolumeFolder, config: VolumeConfig, host: str | None) -> "Seat":
        """Return that of the keeper on `host`, one of two on two hosts; ConfigError if none runs there."""
        hosts = config.keeper_hosts()
        if host not in hosts.values():
            raise ConfigError(
                f"the keepers of this volume run on {' and '.join(hosts.values())}, not on {host}"
            )
        name = config.keeper_on(host)
        return cls(folder, name, other_host=hosts[STANDBY if name == KEEPER else KEEPER])

    @property
    def has_other(self) -> bool:
        """Whether this volume ever had two keepers."""
        if self.other_host is not None:
            return True
        return self.name != KEEPER or self.other_folder.keeper_path.is_dir()

    @property
    def mark_paths(self) -> list[Path]:
        """Where the high-water marks of this host's keepers are kept: this one's first."""
        has_both = self.has_other and self.other_host is None
        folders = [self.folder, self.other_folder] if has_both else [self.folder]
        return [folder.keeper_path / "high_water" for folder in folders]

    @property
    def other_is_dead(self) -> bool:
        """Whether this process holds the other name, too."""
        return self.other in self._locks

    async def take(self) -> None:
        """Take the name; who stands by waits for it, anybody else who can't have it gets ConfigError."""
        while not self._lock(self.folder):
            if not self.stands_by:
                raise ConfigError(f"another keeper already serves {self.folder.path}; `trivet down` stops it")
            await asyncio.sleep(LOOK_AGAIN_S)
        if self.other_host is not None:
            self.lead()
        if self.stands_by:
            return
        if self.has_other and not self.take_other():
            self.let_go()
            raise ConfigError(
                f"the other keeper of {self.folder.path} lives; beside it one can only stand by: "
                "`trivet serve keeper --standby`"
            )
        self.lead()

    def take_other(self) -> bool:
        """Take the other name, too; False while somebody lives under it, or may."""
        return self.other_host is None and self._lock(self.other_folder)

    def let_go_other(self) -> None:
        """Let somebody else have the other name: the log says by now who reigns."""
        if self.other in self._locks:
            self._locks.pop(self.other).close()

    def let_go(self) -> None:
        """Let go of everything."""
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()

    def lead(self) -> None:
        """Have everybody on this host turn to this keeper."""
        link = self.folder.leader_link
        if self.folder.leader == self.name and (self.name == KEEPER or link.is_symlink()):
            return
        new = link.with_name("leader.new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        os.symlink(self.name, new)
        new.replace(link)

    def _lock(self, folder: VolumeFolder) -> bool:
        name = self.name if folder is self.folder else self.other
        if name in self._locks:
            return True
        folder.keeper_path.mkdir(parents=True, exist_ok=True)
        file = (folder.keeper_path / "lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._locks[name] = file
        return True
