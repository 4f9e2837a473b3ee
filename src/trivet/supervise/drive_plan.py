"""What one `trivet up` is to run: which processes belong to this host, and how each is started."""

from dataclasses import dataclass
from pathlib import Path

from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.door_plan import DoorPlan
from trivet.supervise.keeper_pair import StandbyPlan


@dataclass(frozen=True, slots=True)
class DrivePlan:
    """What `trivet up` is to run; `mount_point` None: no folder; `publishes`: changes go to a broker.

    `host` is which of the volume's hosts this one is, None if the volume is all on one machine.
    """

    folder: VolumeFolder
    config: VolumeConfig
    mount_point: Path | None
    durability: str
    refresh_s: float
    supervise: bool
    door: DoorPlan | None = None
    publishes: bool = False
    read_only: bool = False
    standby: StandbyPlan | None = None
    host: str | None = None

    @property
    def has_keeper(self) -> bool:
        """Whether a keeper runs on this host."""
        return self.host is None or self.host in self.config.keeper_hosts().values()

    def own_ports(self) -> list[int]:
        """Return the ports of this host's servers."""
        ports = [port for row in self.config.ports() for port in row]
        return [port for port in ports if self.config.host_of(port) == self.host]

    def keeper_arguments(self) -> list[str] | None:
        """Return the command line of the keeper's process, behind `trivet`; None if it is on another host."""
        if not self.has_keeper:
            return None
        return self._arguments(
            ["--no-mount"] if self.mount_point is None else ["--mount", str(self.mount_point)]
        )

    def mount_arguments(self) -> list[str] | None:
        """Return that of the mount on a host without the keeper, None if there is none."""
        if self.has_keeper or self.mount_point is None:
            return None
        options = ["--read-only"] if self.read_only else []
        return ["serve", "mount", str(self.mount_point), "--state", str(self.folder.path), *options]

    def standby_arguments(self) -> list[str] | None:
        """Return that of the second keeper, None if there is to be none."""
        return None if self.standby is None else self._arguments(self.standby.mount_arguments())

    def _arguments(self, mount: list[str]) -> list[str]:
        options = ["--durability", self.durability, "--refresh", str(self.refresh_s)]
        options += ["--read-only"] if self.read_only else []
        options += ["--this-host", self.host] if self.host is not None and self.config.standby else []
        return ["serve", "keeper", "--state", str(self.folder.path), *mount, *options]
