"""The option `--ports a,b,c`: the base port of each bank."""

from typing import Annotated

from cyclopts import Parameter

from trivet.errors import InputError

Ports = Annotated[str | None, Parameter(help="The banks' base ports, like 7000,8000,9000.")]


def bases_of(ports: str | None) -> list[int] | None:
    """Return the base ports that `ports` names, None for None; InputError if it is no list of numbers."""
    if ports is None:
        return None
    try:
        return [int(part) for part in ports.split(",")]
    except ValueError:
        raise InputError(f"--ports {ports}: write three numbers like 7000,8000,9000") from None
