"""The keepers of a drive as processes on this host: one, or a first and one that stands by.

Rule: the first begins alone; the second is started once the first is there, so that nobody guesses who leads.
Rule: whoever has ended is started again as the one that stands by, a moment later: the other one takes over.
Rule: who stands by ends before who leads, or it would take over from it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import TrivetError
from trivet.io.control_socket import NotRunning, ask
from trivet.io.volume_folder import VolumeFolder
from trivet.quorum.membership import KEEPER, STANDBY
from trivet.supervise.supervised_child import SupervisedChild

#: One that has died is followed by the other within this; only then it is started again.
HEAD_START_S = 1.0
FIRST_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class StandbyPlan:
    """A second keeper with the folder `mount_point`, read-only until it leads (None: it mounts nothing)."""

    mount_point: Path | None

    def switches(self) -> list[str]:
        """Return the options of `trivet up` that ask for it."""
        where = [] if self.mount_point is None else ["--standby-mount", str(self.mount_point)]
        return ["--standby", *where]

    def ready_line(self) -> str:
        """Return the sentence about it that people are told."""
        where = "" if self.mount_point is None else f"; the folder {self.mount_point} is read-only until then"
        return f"A second keeper stands by and takes over when the first is gone{where}."

    def mount_arguments(self) -> list[str]:
        """Return what its process is told of the folder."""
        return ["--no-mount"] if self.mount_point is None else ["--mount", str(self.mount_point)]


class KeeperPair:
    """The keepers as processes; `first` and `second` (None: there is none here) are their arguments.

    `name` is that of the first; it is the one of the second where that runs on another host.
    """

    def __init__(
        self,
        folder: VolumeFolder,
        first: Sequence[str] | None,
        second: Sequence[str] | None,
        name: str = KEEPER,
    ) -> None:
        self._folder = folder
        self._name = name
        self.first = None if first is None else _child(folder, name, first)
        self.second = None
        if self.first is not None and first is not None and second is not None:
            self.second = _child(folder, STANDBY, [*second, "--standby"])
            self.first.again = [*first, "--standby", "--name", KEEPER]
            for child in self.children:
                child.pause_s = HEAD_START_S

    @property
    def children(self) -> list[SupervisedChild]:
        """The processes."""
        return [child for child in (self.first, self.second) if child is not None]

    def folder_of(self, child: SupervisedChild) -> VolumeFolder:
        """Return the state folder as that one of the keepers sees it."""
        return VolumeFolder(self._folder.path, STANDBY if child is self.second else self._name)

    def last_to_end(self) -> SupervisedChild | None:
        """Return the one that leads, None without any."""
        return self.second if self.second is not None and self._folder.leader == STANDBY else self.first

    async def first_is_there(self) -> None:
        """Wait until the first keeper's process holds its place."""
        while self.first is not None:
            try:
                await ask(self.folder_of(self.first).keeper_socket, "status")
            except NotRunning:
                await asyncio.sleep(FIRST_LOOK_S)
                continue
            except TrivetError:  # it answers, at least
                return
            return


def _child(folder: VolumeFolder, name: str, arguments: Sequence[str]) -> SupervisedChild:
    log_path = VolumeFolder(folder.path, name).keeper_path / "keeper.log"
    return SupervisedChild(arguments, log_path, None, role="keeper" if name == KEEPER else "standby")
