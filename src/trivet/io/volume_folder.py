"""The state folder of a volume: what it is, its key, and where each process keeps its things.

Rule: nobody but the owner may read the key; a key file that others can read is refused, not repaired.
"""

import os
import stat
from pathlib import Path

import msgspec

from trivet.errors import ConfigError
from trivet.quorum.membership import KEEPER, STANDBY
from trivet.wire.auth import KEY_BYTES

FORMAT = 1
#: Of a volume to which servers were added: a trivet that knows nothing of them must not serve it.
GROWN_FORMAT = 2
#: Of a volume whose keepers run on two hosts: one that knows nothing of the other must not lead.
PAIR_FORMAT = 3


class VolumeConfig(msgspec.Struct, frozen=True):
    """What `volume.json` says: three bases of ports, so many servers from each base on.

    `added` maps the base port of a bank to how many more servers it was given since, on the next ports.
    `blobs` maps the base port of a bank to the URL of the object store it keeps its blobs in. `hosts` maps
    the port of every server to the host it runs on, and `keeper` is that of the keeper, who serves the volume
    to other hosts on `keeper_port`; `standby` is that of a second one, "" if there is none on another host.
    Without hosts everything is on this machine. `journal` is the URL of the database that keeps the journal
    of a volume with one bank, "" for the volumes with three.
    """

    volume: str
    bases: list[int]
    servers: int
    durability: str = "default"
    format: int = FORMAT
    blobs: dict[str, str] = {}
    hosts: dict[str, str] = {}
    keeper: str = ""
    keeper_port: int = 0
    journal: str = ""
    added: dict[str, int] = {}
    standby: str = ""

    def ports(self) -> list[list[int]]:
        """Return the ports of each bank, in bank order."""
        return [
            [base + index for index in range(self.servers + self.added.get(str(base), 0))]
            for base in self.bases
        ]

    @property
    def size(self) -> int:
        """How many servers there are."""
        return sum(map(len, self.ports()))

    def grown(self, base: int, count: int, host: str | None = None) -> "VolumeConfig":
        """Return this description with `count` more servers in the bank at `base`, on `host` (None: here)."""
        added = {**self.added, str(base): self.added.get(str(base), 0) + count}
        grown = msgspec.structs.replace(self, added=added, format=max(self.format, GROWN_FORMAT))
        if host is None:
            return grown
        new = {str(port): host for row in grown.ports() for port in row if str(port) not in self.hosts}
        return msgspec.structs.replace(grown, hosts={**self.hosts, **new})

    def bank_of(self, port: int) -> int:
        """Return the number (0, 1, 2) of the bank that `port` belongs to, or raise ConfigError."""
        for bank, ports in enumerate(self.ports()):
            if port in ports:
                return bank
        known = ", ".join(str(p) for ports in self.ports() for p in ports)
        raise ConfigError(f"port {port} is none of this volume's servers ({known})")

    def host_of(self, port: int) -> str | None:
        """Return the host that the server on `port` runs on, None if that is this machine."""
        return self.hosts.get(str(port))

    def all_hosts(self) -> list[str]:
        """Return every host once, the keepers' last; none if everything is on this machine."""
        return list(dict.fromkeys([*self.hosts.values(), *self.keeper_hosts().values()]))

    def keeper_hosts(self) -> dict[str, str]:
        """Return the host of each keeper by its name; empty if everything is on this machine."""
        hosts = {KEEPER: self.keeper, STANDBY: self.standby}
        return {name: host for name, host in hosts.items() if host}

    def host_of_keeper(self, name: str) -> str | None:
        """Return the host that the keeper called `name` runs on, None if that is this machine."""
        return self.keeper_hosts().get(name, self.keeper) or None

    def keeper_on(self, host: str | None) -> str:
        """Return the name of the keeper that begins on `host` (None: this machine), if one does."""
        return STANDBY if host is not None and host == self.standby else KEEPER


class VolumeFolder:
    """Paths below one `--state` folder, and the files that say what the volume is.

    `keeper` is the one of a volume's two keepers whose paths are meant; without it the one that leads.
    """

    def __init__(self, path: Path, keeper: str | None = None) -> None:
        self.path = path
        self._keeper = keeper

    @property
    def config_path(self) -> Path:
        """Where the volume is described."""
        return self.path / "volume.json"

    @property
    def key_path(self) -> Path:
        """Where the volume key is kept."""
        return self.path / "volume.key"

    @property
    def authority_path(self) -> Path:
        """The certificate of the authority that every host of the volume trusts, and no other."""
        return self.path / "tls" / "ca.pem"

    def certified_hosts(self) -> list[str]:
        """Return the hosts whose certificates and keys lie here."""
        return sorted(path.stem for path in self.authority_path.parent.glob("*.key"))

    @property
    def authority_key_path(self) -> Path:
        """Where the authority's key is made: beside the folder, which is copied to hosts."""
        return self.path.with_name(f"{self.path.name}.ca.key")

    def certificate_path(self, host: str) -> Path:
        """Return where the certificate of `host` lies."""
        return self.path / "tls" / f"{host}.pem"

    def host_key_path(self, host: str) -> Path:
        """Return where the key of that certificate lies."""
        return self.path / "tls" / f"{host}.key"

    @property
    def leader_link(self) -> Path:
        """The link to the folder of the keeper that leads; without a standby there is none."""
        return self.path / "leader"

    @property
    def leader(self) -> str:
        """The name of the keeper that leads, or led last; its folder bears it."""
        try:
            return os.readlink(self.leader_link)
        except OSError:
            return KEEPER

    @property
    def keeper_path(self) -> Path:
        """The keeper's folder."""
        return self.path / (self._keeper or self.leader)

    @property
    def keeper_socket(self) -> Path:
        """Where the keeper answers control requests."""
        return self.keeper_path / "keeper.sock"

    @property
    def mount_path(self) -> Path:
        """The folder of a mount on a host without the keeper."""
        return self.path / "mount"

    @property
    def gateway_path(self) -> Path:
        """The folder of the HTTP door."""
        return self.path / "gateway"

    def worker_socket(self, number: int) -> Path:
        """Return where the door's worker `number` answers the supervisor."""
        return self.gateway_path / f"worker-{number}.sock"

    def worker_log(self, number: int) -> Path:
        """Return the log of the door's worker `number` (0: one started by hand)."""
        return self.gateway_path / ("gateway.log" if number < 2 else f"gateway-{number}.log")

    @property
    def metrics_path(self) -> Path:
        """Where the door's workers count what /metrics tells."""
        return self.gateway_path / "metrics"

    @property
    def volume_socket(self) -> Path:
        """Where the keeper serves the volume to other processes of this machine."""
        return self.keeper_path / "volume.sock"

    @property
    def upstream_path(self) -> Path:
        """The folder of what stands between the drive and a vendor."""
        return self.path / "upstream"

    @property
    def upstream_socket(self) -> Path:
        """Where the upstream's process answers."""
        return self.upstream_path / "upstream.sock"

    @property
    def supervisor_socket(self) -> Path:
        """Where `trivet up` answers control requests."""
        return self.path / "up.sock"

    @property
    def figures_path(self) -> Path:
        """The series of what the drive's processes used."""
        return self.path / "processes.sqlite"

    def server_path(self, base: int, port: int) -> Path:
        """Return the folder of the server on `port`, of the bank with this `base`."""
        return self.path / f"bank-{base}" / f"server-{port}"

    def server_socket(self, base: int, port: int) -> Path:
        """Return where the server on `port` listens for the processes of its own machine."""
        return self.server_path(base, port) / "link.sock"

    def read_config(self) -> VolumeConfig:
        """Return what the volume is, or raise ConfigError that says how to get one."""
        try:
            config = msgspec.json.decode(self.config_path.read_bytes(), type=VolumeConfig)
        except FileNotFoundError as error:
            raise ConfigError(
                f"{self.path} holds no volume; `trivet up --state {self.path}` makes one"
            ) from error
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{self.config_path} can't be read: {error}") from error
        if not FORMAT <= config.format <= PAIR_FORMAT:
            raise ConfigError(
                f"{self.path} has the state format {config.format}, this trivet knows up to {PAIR_FORMAT}; "
                "use the trivet that made it, or another --state"
            )
        return config

    def read_key(self) -> bytes:
        """Return the volume key, or raise ConfigError when it is missing, short or readable by others."""
        try:
            mode = self.key_path.stat().st_mode
            key = self.key_path.read_bytes()
        except OSError as error:
            raise ConfigError(f"the volume key {self.key_path} can't be read: {error.strerror}") from error
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"others can read {self.key_path}; `chmod 600 {self.key_path}` and make sure of the key"
            )
        if len(key) != KEY_BYTES:
            raise ConfigError(
                f"{self.key_path} holds {len(key)} bytes instead of {KEY_BYTES}: restore it from a backup"
            )
        return key

    def create(self, config: VolumeConfig, key: bytes | None = None) -> None:
        """Write a volume's description and its `key` (a new one: random); the folder must not hold one yet.

        A folder that is made for it is its owner's alone: records hold names and small files.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key or os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        self.store_config(config)

    def store_config(self, config: VolumeConfig) -> None:
        """Write the volume's description, in place of what it was; ConfigError if the disk refuses it."""
        try:
            write_synced(self.config_path, msgspec.json.format(msgspec.json.encode(config)) + b"\n")
        except OSError as error:
            raise ConfigError(f"{self.config_path} can't be written: {error.strerror}") from error


def write_synced(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step that survives a power loss."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
