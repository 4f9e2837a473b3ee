"""`trivet volume init|certify|standby`: makes a volume's description and key, on one host or for several."""

import datetime
import shlex
from pathlib import Path
from types import ModuleType
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from trivet.cli.asking import DEFAULT_STATE, State, volume_folder
from trivet.cli.hosts_option import (
    Banks,
    KeeperHost,
    Spread,
    StandbyHost,
    checked_host,
    shared_words,
    spread_of,
)
from trivet.cli.ports_option import Ports, bases_of
from trivet.errors import ConfigError, InputError
from trivet.io.volume_folder import PAIR_FORMAT, VolumeFolder
from trivet.supervise.volume_setup import (
    DEFAULT_BASES,
    DEFAULT_SERVERS,
    Durability,
    has_supervisor,
    make_volume,
)

app = App(name="volume", help="Make the description and the key of a drive.")


@app.command
def init(
    *,
    servers: Annotated[
        int | None, Parameter(help="Servers a bank (2; with --bank as many as hosts).")
    ] = None,
    ports: Ports = None,
    bank: Banks = None,
    keeper: KeeperHost = None,
    standby: StandbyHost = None,
    durability: Durability = "default",
    state: State = DEFAULT_STATE,
) -> int:
    """Make a new volume in the state folder; `trivet up` does this by itself for one host.

    With --bank the folder is for several hosts: it holds their certificates, too, and is copied to each.
    """
    folder = volume_folder(state)
    spread = spread_of(bank, keeper, servers, standby)
    if spread is None:
        count = DEFAULT_SERVERS if servers is None else servers
        config = make_volume(folder, bases_of(ports) or DEFAULT_BASES, count, durability)
        print(f"made volume {config.volume} in {folder.path}; its key is {folder.key_path} (keep a copy)")
        return 0
    if ports is not None:
        raise InputError("--bank PORT=HOST names the ports, too: leave --ports away")
    certificates = _certificates()
    if folder.authority_key_path.exists():
        raise ConfigError(
            f"{folder.authority_key_path} is there already: the key of another volume's authority; move it "
            "away, or name another --state"
        )
    config = make_volume(folder, spread.bases, spread.servers, durability, spread.fields())
    now = datetime.datetime.now(datetime.UTC)
    certificates.make_authority(folder, config.volume, now)
    for host in config.all_hosts():
        certificates.certify(folder, host, folder.authority_key_path, now)
    print("\n".join(_what_next(folder, spread, config.all_hosts())))
    return 0


@app.command
def certify(
    host: str,
    /,
    *,
    authority_key: Annotated[Path | None, Parameter(help="The authority's key (STATE.ca.key).")] = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Make a new certificate for HOST, where the authority's key is; copy STATE/tls to that host then."""
    folder = volume_folder(state)
    if not folder.read_config().hosts:
        raise ConfigError(f"the volume in {folder.path} is all on this machine: it needs no certificates")
    name = checked_host(host)
    key = authority_key or folder.authority_key_path
    _certificates().certify(folder, name, key, datetime.datetime.now(datetime.UTC))
    print(
        f"made {folder.certificate_path(name)} and its key; copy both to the folder tls of the state folder "
        f"on {name}, and start the drive's processes there anew"
    )
    return 0


@app.command
def standby(host: str, /, *, state: State = DEFAULT_STATE) -> int:
    """Give a drive over several hosts a second keeper on HOST, which takes over when the first is gone."""
    folder = volume_folder(state)
    config, name = folder.read_config(), checked_host(host)
    if not config.hosts:
        raise ConfigError(
            f"the volume in {folder.path} is all on this machine: `trivet up --standby` runs a second keeper"
        )
    if name in (config.keeper, config.standby):
        raise ConfigError(f"a keeper of this volume runs on {name} already")
    if config.standby:
        raise ConfigError(f"this volume has two keepers, on {config.keeper} and {config.standby}")
    if has_supervisor(folder):
        raise ConfigError(f"the drive is up here: `trivet down --state {folder.path}` first")
    folder.store_config(msgspec.structs.replace(config, standby=name, format=PAIR_FORMAT))
    missing = name not in folder.certified_hosts()
    print(
        f"The second keeper of this drive runs on {name} now. Copy {folder.config_path} to every host\n"
        + f"(and to {name} the whole folder, after `trivet volume certify {name}`).\n" * missing
        + f"Then type `trivet down` and `trivet up` on {config.keeper}, and after that on {name}."
    )
    return 0


def _certificates() -> ModuleType:
    """Return the module that makes certificates; ConfigError where its library is missing."""
    try:
        from trivet.io import certificates
    except ImportError as error:
        raise ConfigError("certificates for hosts need `pip install trivet[hosts]`") from error
    return certificates


def _what_next(folder: VolumeFolder, spread: Spread, hosts: list[str]) -> list[str]:
    """Return what to copy where, and what to type there."""
    path, name = folder.path, shlex.quote(folder.path.name)
    copies = [f"  rsync -a {shlex.quote(str(path))}/ {_remote(host)}:{name}/" for host in hosts]
    width = max(map(len, hosts))
    return [
        f"Made a volume for {len(hosts)} hosts in {path}.",
        "Copy this folder to each of them, as the user the drive is to run as:",
        *copies,
        "Then type on each of them, there:",
        f"  trivet up --state {name}",
        "which starts what belongs to that host:",
        *(f"  {host:<{width}}  {_part(spread, host)}" for host in hosts),
        f"Ports {', '.join(sorted({*spread.hosts, str(spread.keeper_port)}))} must be open between them.",
        *shared_words(spread),
        f"Keep a copy of {folder.key_path}; and keep {folder.authority_key_path}, which makes certificates, "
        "off the hosts: `trivet volume certify` needs it.",
    ]


def _remote(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _part(spread: Spread, host: str) -> str:
    ports = [port for port, where in spread.hosts.items() if where == host]
    keeper = ["the keeper, the folder and the HTTP door"] * (host == spread.keeper)
    servers = [f"server{'s' * (len(ports) > 1)} {', '.join(ports)}"] * bool(ports)
    standby = ["the keeper that stands by, its folder and an HTTP door"] * (host == spread.standby)
    return "; ".join([*servers, *keeper, *standby])
