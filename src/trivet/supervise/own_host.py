"""Which of a volume's hosts this machine is: by what it is told, else by its own names and addresses."""

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress

import psutil

from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeConfig


def own_host(config: VolumeConfig, named: str | None, certified: Sequence[str] = ()) -> str | None:
    """Return the host of `config` that this machine is, None if the volume is all on one machine.

    `named` is what somebody says that it is; it may be one of the `certified`, of which nothing runs yet.
    Raises ConfigError when that can't be, or can't be found out.
    """
    hosts = list(dict.fromkeys([*config.all_hosts(), *certified]))
    if not config.hosts:
        if named is not None:
            raise ConfigError(
                f"--this-host {named}: this volume is all on one machine; leave the option away"
            )
        return None
    if named is not None:
        if named.lower() not in hosts:
            raise ConfigError(f"--this-host {named}: the hosts of this volume are {', '.join(hosts)}")
        return named.lower()
    names = {socket.gethostname().lower(), socket.gethostname().lower().partition(".")[0]}
    found = [host for host in hosts if host in names]
    if not found:
        own = _own_addresses()
        found = [host for host in hosts if _addresses_of(host) & own]
    if len(found) != 1:
        why = "is none" if not found else f"could be {' or '.join(found)}"
        raise ConfigError(
            f"this machine {why} of this volume's hosts ({', '.join(hosts)}) by its name and addresses; say "
            "which with --this-host NAME"
        )
    return found[0]


def _own_addresses() -> set[str]:
    """Return the addresses of this machine's interfaces, without the zones of IPv6."""
    return {
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }


def _addresses_of(host: str) -> set[str]:
    with suppress(ValueError):
        return {str(ipaddress.ip_address(host))}
    with suppress(OSError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    return set()
