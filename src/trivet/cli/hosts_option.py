"""`--bank 9000=HOSTA,HOSTB`, `--keeper HOST:PORT`, `--standby HOST`: where a volume's processes run."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from trivet.errors import InputError
from trivet.io.volume_folder import FORMAT, PAIR_FORMAT

DEFAULT_KEEPER_PORT = 6900

Banks = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        help="Put a bank on another host: PORT=HOST, or PORT=HOST,HOST... for a server on each; three times.",
    ),
]
KeeperHost = Annotated[
    str | None,
    Parameter(
        help=f"The host of the keeper, HOST or HOST:PORT ({DEFAULT_KEEPER_PORT}); else the first one named."
    ),
]
StandbyHost = Annotated[
    str | None, Parameter(help="The host of a second keeper, which takes over when the first is gone.")
]
ThisHost = Annotated[
    str | None, Parameter(help="Which of the volume's hosts this machine is, if its addresses don't say so.")
]
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))*")


@dataclass(frozen=True, slots=True)
class Spread:
    """Which server runs where: `hosts` maps each port to its host; the keepers' hosts and their port."""

    bases: list[int]
    servers: int
    hosts: dict[str, str]
    keeper: str
    keeper_port: int
    standby: str = ""

    def fields(self) -> dict[str, Any]:
        """Return what the volume's description says of it."""
        return {
            "hosts": self.hosts,
            "keeper": self.keeper,
            "keeper_port": self.keeper_port,
            "standby": self.standby,
            "format": PAIR_FORMAT if self.standby else FORMAT,
        }


def spread_of(
    banks: Sequence[str] | None, keeper: str | None, servers: int | None, standby: str | None = None
) -> Spread | None:
    """Return what the options say, None without them; InputError that says how to write them."""
    if not banks:
        for option, host in (("--keeper", keeper), ("--standby", standby)):
            if host is not None:
                raise InputError(f"{option} HOST goes with --bank PORT=HOST, which says where the banks are")
        return None
    rows = dict(_bank(word) for word in banks)
    if len(banks) != 3 or len(rows) != 3:
        raise InputError(
            "a drive has three banks, each with its port: --bank 7000=HOST --bank 8000=HOST --bank 9000=HOST"
        )
    longest = max(map(len, rows.values()))
    count = longest if servers is None else servers
    hosts: dict[str, str] = {}
    for base, row in rows.items():
        if len(row) not in (1, count):
            raise InputError(
                f"--bank {base}={','.join(row)} names {len(row)} hosts, but a bank has {count} servers: name "
                f"one host for all of them, or {count}"
            )
        named = row * count if len(row) == 1 else row
        hosts |= {str(base + index): host for index, host in enumerate(named)}
    where, port = _keeper(keeper, next(iter(hosts.values())))
    if str(port) in hosts:
        raise InputError(f"--keeper {where}:{port}: that port is a bank's; name another one")
    second = "" if standby is None else checked_host(standby.strip("[]"))
    if second == where:
        raise InputError(
            f"--standby {standby}: the first keeper runs there; name another host, or leave it away (`trivet "
            "up --standby` runs two keepers on one host)"
        )
    return Spread(sorted(rows), count, hosts, where, port, second)


def shared_words(spread: Spread) -> list[str]:
    """Return a sentence for each host whose loss would take two banks away."""
    by_host: dict[str, set[int]] = {}
    for port, host in spread.hosts.items():
        base = max(base for base in spread.bases if base <= int(port))
        by_host.setdefault(host, set()).add(base)
    return [
        f"Beware: {host} has servers of banks {' and '.join(map(str, sorted(bases)))}: without it nothing "
        "can be changed."
        for host, bases in by_host.items()
        if len(bases) > 1
    ]


def checked_host(word: str) -> str:
    """Return a host's name or address as it is written down; InputError if it is neither."""
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        pass
    if _NAME.fullmatch(word.lower()) is None:
        raise InputError(f"{word!r} is neither the name of a host nor an address")
    return word.lower()


def _bank(word: str) -> tuple[int, list[str]]:
    base, equals, hosts = word.partition("=")
    if not equals or not base.isdecimal():
        raise InputError(f"--bank {word}: write the bank's first port and its hosts, like 9000=alpha,beta")
    return int(base), [checked_host(host.strip()) for host in hosts.split(",")]


def _keeper(word: str | None, first: str) -> tuple[str, int]:
    if word is None:
        return first, DEFAULT_KEEPER_PORT
    host, colon, port = word.rpartition(":")
    if not colon or (":" in host and not word.startswith("[")):  # an IPv6 address without a port
        return checked_host(word.strip("[]")), DEFAULT_KEEPER_PORT
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise InputError(f"--keeper {word}: write HOST or HOST:PORT")
    return checked_host(host.strip("[]")), int(port)
