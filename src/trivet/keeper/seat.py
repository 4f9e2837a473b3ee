"""Which of a volume's two keepers this process is, said by locks that one living process can hold.

Rule: a keeper serves only under a name whose lock it holds; who holds the other name's lock as well knows
that nobody lives who could be reading under it, and need not wait for a lease.
Rule: who begins a reign says so in `leader`, by which everybody else finds it.
"""

import asyncio
import contextlib
import fcntl
import os
from io import TextIOWrapper
from pathlib import Path

from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeFolder
from trivet.quorum.membership import KEEPER, STANDBY

LOOK_AGAIN_S = 0.1


class Seat:
    """The keeper called `name` of the volume in `folder`; one that `stands_by` waits until it is its turn."""

    def __init__(self, folder: VolumeFolder, name: str = KEEPER, *, stands_by: bool = False) -> None:
        self.name = name
        self.other = STANDBY if name == KEEPER else KEEPER
        self.stands_by = stands_by
        self.folder = VolumeFolder(folder.path, name)
        self.other_folder = VolumeFolder(folder.path, self.other)
        self._locks: dict[str, TextIOWrapper] = {}

    @property
    def has_other(self) -> bool:
        """Whether this volume ever had two keepers."""
        return self.name != KEEPER or self.other_folder.keeper_path.is_dir()

    @property
    def mark_paths(self) -> list[Path]:
        """Where the high-water marks are kept: this keeper's first."""
        folders = [self.folder, self.other_folder] if self.has_other else [self.folder]
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
        """Take the other name, too; False while somebody lives under it."""
        return self._lock(self.other_folder)

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
        """Have everybody turn to this keeper."""
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
