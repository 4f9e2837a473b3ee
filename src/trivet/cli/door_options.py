"""What `trivet up` says of the HTTP door, and what it does about a port that is taken."""

import getpass
import ipaddress
import sys
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from trivet.drive.usage_limits import DoorLimits
from trivet.errors import ConfigError, InputError
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.door_plan import DoorPlan
from trivet.supervise.volume_setup import is_taken

NoAuth = Annotated[bool, Parameter(negative="", help="No logins: everybody on this machine is you.")]
PerUserDay = Annotated[
    int | None,
    Parameter(help="Requests that each user may make a day; beyond them only reads of what is here."),
]
ErrorHandler = Annotated[
    str | None, Parameter(help="Where browsers are led beyond a limit, instead of to our page.")
]


def checked_limits(requests_per_day: int | None, error_handler: str | None) -> DoorLimits:
    """Return the limits that were asked for; InputError for such as make no sense."""
    if requests_per_day is not None and requests_per_day < 1:
        raise InputError(f"--requests-per-user-day {requests_per_day}: a number above 0")
    if error_handler is not None and urlsplit(error_handler).scheme not in ("http", "https"):
        raise InputError(f"--error-handler {error_handler}: an address such as https://help.example/limit")
    return DoorLimits(requests_per_day, error_handler)


def check_door(plan: DoorPlan) -> None:
    """Raise ConfigError when people beyond this machine could come in unprotected."""
    try:
        near = plan.host == "localhost" or ipaddress.ip_address(plan.host).is_loopback
    except ValueError as error:
        raise ConfigError(f"--host {plan.host}: an address such as 127.0.0.1 or 0.0.0.0") from error
    if (plan.tls_cert is None) != (plan.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together; give both")
    if near:
        return
    if plan.no_auth:
        raise ConfigError(
            f"--no-auth with --host {plan.host}: without logins only this machine may be served"
        )
    if plan.tls_cert is None:
        raise ConfigError(f"--host {plan.host} is beyond this machine: give --tls-cert and --tls-key, too")


def free_door(plan: DoorPlan, config: VolumeConfig, *, is_asked_for: bool) -> DoorPlan | None:
    """Return `plan` if its port is free; else None and a word on stderr, ConfigError if it was asked for."""
    if not 1 <= plan.port <= 65535:
        raise ConfigError(f"--port {plan.port}: ports go from 1 to 65535")
    check_door(plan)
    in_banks = any(plan.port in row for row in config.ports())
    if not in_banks and not is_taken(plan.port):
        return plan
    why = "belongs to a bank of this drive" if in_banks else "is in use by another program"
    if is_asked_for:
        raise ConfigError(f"port {plan.port} {why}; choose another --port, or --no-gateway")
    print(
        f"Port {plan.port} {why}, so the HTTP door stays shut; `--port N` opens it elsewhere.",
        file=sys.stderr,
    )
    return None


def door_lines(plan: DoorPlan | None, folder: VolumeFolder) -> list[str]:
    """Return what people are told of the door: its address, and how to get in."""
    if plan is None:
        return []
    if plan.no_auth:
        who = getpass.getuser()
        return [f"HTTP: {plan.address} WITHOUT LOGINS (--no-auth): everybody on this machine is {who}."]
    from trivet.gateway.people import People

    people = People(folder.gateway_path)
    try:
        code = people.first_link()
    finally:
        people.close()
    if code is None:
        return [f"HTTP: {plan.address} (`trivet user link NAME` makes a link to log in)."]
    return [f"HTTP: {plan.address}", f"Log in, once and within the hour: {plan.address}/login/{code}"]
