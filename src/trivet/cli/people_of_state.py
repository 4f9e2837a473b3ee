"""Opens the people of a drive for the verbs `user` and `token`; no process of the drive need run."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from trivet.cli.asking import volume_folder
from trivet.errors import ConfigError
from trivet.gateway.people import People
from trivet.io.control_socket import NotRunning, ask
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import Children

Below = Annotated[str, Parameter(name="--scope", help="The path inside the drive, with all below it.")]
Verbs = Annotated[str, Parameter(help="r (read) or rw (read and change).")]


@contextlib.contextmanager
def opened(state: Path) -> Iterator[People]:
    """Yield the people of the drive in `state`; raise ConfigError when it holds none."""
    folder = volume_folder(state)
    folder.read_config()
    people = People(folder.gateway_path)
    try:
        yield people
    finally:
        people.close()


def door_address(folder: VolumeFolder) -> str:
    """Return where the drive's HTTP door answers; ConfigError, which says what to do, when none is up."""
    folder.read_config()
    try:
        door = msgspec.convert(asyncio.run(ask(folder.supervisor_socket, "children")), Children).door()
    except NotRunning:
        door = None
    if door is None or door.address is None:
        raise ConfigError(
            "where people reach the drive is not known while it has no HTTP door: bring it up, or say --url"
        )
    return door.address


def day(at_s: float | None) -> str:
    """Return the Unix time `at_s` as people read it, "never" for None."""
    return "never" if at_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s))
