"""`trivet up`: three banks of servers, a keeper and a folder; in the foreground or detached."""

import logging
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import Parameter
from rich.console import Console

from trivet.cli.asking import DEFAULT_STATE, State, absolute_mount_point, keeper_place, volume_folder
from trivet.cli.blobs_option import Blobs, checked_blobs
from trivet.cli.door_options import ErrorHandler, NoAuth, PerUserDay, checked_limits, door_lines, free_door
from trivet.cli.hosts_option import ThisHost
from trivet.cli.journal_option import Journal, database_options
from trivet.cli.ports_option import Ports, bases_of
from trivet.cli.scaling_options import Scaling, ScalingOptions, scaling_plan
from trivet.cli.server_options import Amqp, Redis, checked_servers
from trivet.cli.standby_options import StandbyKeeper, StandbyOptions, standby_plan
from trivet.errors import ConfigError, InputError, NoMajority, TrivetError
from trivet.io.journal_database import claim
from trivet.io.postgres import database_plan
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.children import ChildKeeper
from trivet.supervise.database_setup import (
    keeps_journal_in_database,
    open_database_volume,
    refuse_second_keeper,
)
from trivet.supervise.detaching import Reporter, launch
from trivet.supervise.door_plan import DEFAULT_PORT, LOOPBACK, DoorPlan
from trivet.supervise.drive_plan import DrivePlan
from trivet.supervise.live_view import show_live
from trivet.supervise.own_host import own_host
from trivet.supervise.supervisor import run_drive
from trivet.supervise.volume_setup import Durability, check_fuse, only_supervisor, open_volume, place_blobs
from trivet.wire.control_messages import SHOWN_READ_ONLY

DEFAULT_MOUNT = Path("drive")
REFRESH_S = 60.0
_FIXED, _ALONE = ScalingOptions(), StandbyOptions()


def up(
    *,
    servers: Annotated[int | None, Parameter(help="Servers a bank (2 for a new drive).")] = None,
    ports: Ports = None,
    mount: Annotated[Path | None, Parameter(help="Mount on this folder (by the keeper: drive).")] = None,
    no_mount: Annotated[bool, Parameter(negative="", help="Run without a folder.")] = False,
    state: State = DEFAULT_STATE,
    durability: Annotated[Durability | None, Parameter(help="When a change counts as done (guide).")] = None,
    refresh: Annotated[float, Parameter(help="Compare all banks every so many seconds.")] = REFRESH_S,
    port: Annotated[int | None, Parameter(help="The port of the HTTP door (8080).")] = None,
    host: Annotated[str, Parameter(help="The address of the HTTP door; others need TLS.")] = LOOPBACK,
    no_gateway: Annotated[bool, Parameter(negative="", help="Run without the HTTP door.")] = False,
    tls_cert: Annotated[Path | None, Parameter(help="Serve HTTPS with this certificate ...")] = None,
    tls_key: Annotated[Path | None, Parameter(help="... and its key.")] = None,
    requests_per_user_day: PerUserDay = None,
    error_handler: ErrorHandler = None,
    detach: Annotated[bool, Parameter(negative="", help="Return once the drive is up.")] = False,
    no_auth: NoAuth = False,
    amqp: Amqp = None,
    redis: Redis = None,
    blobs: Blobs = None,
    journal: Journal = None,
    no_supervise: Annotated[bool, Parameter(negative="", help="Don't start again what has died.")] = False,
    read_only: Annotated[
        bool, Parameter(negative="", help="Mount the folder read-only; the HTTP door still writes.")
    ] = False,
    this_host: ThisHost = None,
    standby: StandbyKeeper = _ALONE,
    scaling: Scaling = _FIXED,
) -> int:
    """Bring the drive up: make it if there is none, start its processes, mount the folder."""
    if refresh <= 0:
        raise InputError(f"--refresh {refresh:g}: a number of seconds above 0")
    reporter = Reporter()
    try:
        workers = scaling_plan(scaling)
        folder = volume_folder(state)
        here, has_keeper = _own_host(folder, this_host, standby)
        where = None if no_mount else _checked_mount(mount or (DEFAULT_MOUNT if has_keeper else None))
        publishes = checked_servers(amqp, redis).amqp is not None
        config = _opened(folder, bases_of(ports), servers, durability, journal, blobs, standby)
        plan = DrivePlan(
            folder, config, where, durability or config.durability, refresh, supervise=not no_supervise,
            publishes=publishes, read_only=read_only, standby=standby_plan(standby, where), host=here,
        )  # fmt: skip
        if detach:
            with only_supervisor(folder):
                pass
        if not no_gateway and (has_keeper or port is not None):
            limits = checked_limits(requests_per_user_day, error_handler)
            asked = DoorPlan(port or DEFAULT_PORT, host, no_auth, tls_cert, tls_key, limits, workers)
            plan = replace(plan, door=free_door(asked, config, is_asked_for=port is not None))
        if detach:
            return _detached(plan)
        with only_supervisor(folder):
            return _foreground(plan, reporter)
    except TrivetError as error:
        reporter.failed(error)
        raise


def _opened(
    folder: VolumeFolder,
    bases: Sequence[int] | None,
    servers: int | None,
    durability: Durability | None,
    journal: str | None,
    blobs: Sequence[str] | None,
    standby: StandbyOptions,
) -> VolumeConfig:
    """Return the volume in `folder`, made (or found in its database) if there is none; ConfigError."""
    if keeps_journal_in_database(folder, journal):
        asked = database_options(journal, blobs)
        config = open_database_volume(folder, bases, servers, durability, asked)
        refuse_second_keeper(config, is_asked_for=standby != _ALONE)
        return config
    stores = checked_blobs(blobs)
    return place_blobs(folder, open_volume(folder, bases, servers, durability), stores)


def _own_host(folder: VolumeFolder, named: str | None, standby: StandbyOptions) -> tuple[str | None, bool]:
    """Return which of the volume's hosts this is (None: all is on one), and whether the keeper runs here.

    Raises ConfigError if this is none of them, or asked for a second keeper that runs elsewhere.
    """
    if named is None and not folder.config_path.exists():
        return None, True
    config = folder.read_config()
    here = own_host(config, named, folder.certified_hosts())
    has_keeper = here is None or here in config.keeper_hosts().values()
    if config.standby and standby != _ALONE:
        raise ConfigError(
            f"the second keeper of this drive runs on {config.standby}, as its volume.json says: leave "
            "--standby away"
        )
    if not has_keeper and standby != _ALONE:
        raise ConfigError(
            f"a second keeper is for the keeper's host, {config.keeper}: leave --standby away on {here}"
        )
    return here, has_keeper


def _checked_mount(mount: Path | None) -> Path | None:
    if mount is None:
        return None
    check_fuse()
    return absolute_mount_point(mount)


def _detached(plan: DrivePlan) -> int:
    where = ["--no-mount"] if plan.mount_point is None else ["--mount", str(plan.mount_point)]
    switches = [
        *(plan.door.switches() if plan.door else ["--no-gateway"]),
        *([] if plan.supervise else ["--no-supervise"]),
        *(["--read-only"] if plan.read_only else []),
        *(["--this-host", plan.host] if plan.host else []),
        *(plan.standby.switches() if plan.standby else []),
        *("--durability", plan.durability),
        *("--refresh", str(plan.refresh_s)),
    ]
    notes = launch(["up", "--state", str(plan.folder.path), *where, *switches], plan.folder.path / "up.log")
    print("\n".join([*notes, *ready_lines(plan)]))
    return 0


def _foreground(plan: DrivePlan, reporter: Reporter) -> int:
    if plan.config.journal:
        claim(plan.folder, plan.config)
    _log_to(plan.folder)
    console = Console(highlight=False, soft_wrap=True)
    notes: list[str] = []

    async def on_ready(children: ChildKeeper, problem: str) -> None:
        if reporter.is_awaited:
            if problem:
                reporter.failed(NoMajority("\n".join(stuck_lines(plan, problem))), running=True)
            else:
                reporter.ready(notes)
            return
        for line in [*notes, *(stuck_lines(plan, problem) if problem else ready_lines(plan))]:
            console.print(line, markup=False)
        if console.is_terminal:
            await show_live(plan.folder, children.told, console)

    if not reporter.is_awaited:
        console.print("Starting the drive ...", markup=False)
    uvloop.run(run_drive(plan, on_ready, notes.append))
    if not reporter.is_awaited:
        console.print("The drive is down; nothing is left running.", markup=False)
    return 0


def ready_lines(plan: DrivePlan) -> list[str]:
    """Return what people are told once the drive is up."""
    config, path = plan.config, plan.folder.path
    command, state = _command(plan)
    if not plan.has_keeper:
        if not plan.own_ports():
            add = f"`{command} bank add PORT{state}` gives a bank a server here"
            return [f"Nothing of the drive runs on {plan.host} yet: {add}."]
        return [
            f"{_named(plan.own_ports())} of the drive {'are' if len(plan.own_ports()) > 1 else 'is'} up on "
            f"{plan.host}; the keeper runs on {keeper_place(config)}.",
            *([f"The drive is in {plan.mount_point} while the keeper answers."] if plan.mount_point else []),
            *door_lines(plan.door, plan.folder),
            f"`{command} status{state}` shows what is seen from here, `{command} down{state}` stops it.",
        ]
    rows = [f"{row[0]}-{row[-1]}" if len(row) > 1 else str(row[0]) for row in config.ports()]
    where = f"in {plan.mount_point}" if plan.mount_point else "up; no folder is mounted (--no-mount)"
    return [
        f"The drive is {where}: {_banks(plan, rows)}.",
        *_second_keeper(plan),
        *door_lines(plan.door, plan.folder),
        f"Logs: {path}/{config.keeper_on(plan.host)}/keeper.log and {path}/bank-BASE/server-PORT/server.log",
        f"`{command} status{state}` shows how it is, `{command} down{state}` stops it.",
    ]


def _second_keeper(plan: DrivePlan) -> list[str]:
    """Return the sentence about two keepers, if there are two."""
    hosts = plan.config.keeper_hosts()
    if len(hosts) > 1:
        where = " and ".join(hosts.values())
        return [f"Its keepers run on {where}: one leads, the folder of the other is read-only."]
    return [plan.standby.ready_line()] if plan.standby else []


def _banks(plan: DrivePlan, rows: Sequence[str]) -> str:
    config = plan.config
    if config.journal:
        return f"one server on port {rows[0]}, its journal in {database_plan(config.journal).place}"
    hosts = f" of {len(config.all_hosts())} hosts" * bool(plan.host)
    return f"3 banks of {_sizes(config)} on ports {', '.join(rows)}{hosts}"


def _sizes(config: VolumeConfig) -> str:
    """Return "2 servers", or how many each bank has if some were added."""
    sizes = [len(row) for row in config.ports()]
    if len(set(sizes)) > 1:
        return f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]} servers"
    return f"{sizes[0]} server{'s' * (sizes[0] > 1)}"


def _named(ports: Sequence[int]) -> str:
    return f"Server{'s' * (len(ports) > 1)} {', '.join(map(str, ports))}"


def stuck_lines(plan: DrivePlan, problem: str) -> list[str]:
    """Return what people are told of a drive that is up and may not serve."""
    command, state = _command(plan)
    how = "takes no changes" if SHOWN_READ_ONLY in problem else "serves nothing"
    return [
        f"the drive is up but {how}: {problem}",
        f"`{command} status{state}` shows how it is, `{command} down{state}` stops it.",
    ]


def _command(plan: DrivePlan) -> tuple[str, str]:
    """Return how `trivet` was typed, and the --state that must be added."""
    here = sys.argv[0]
    typed = not shutil.which("trivet") and os.access(here, os.X_OK)
    state = "" if plan.folder.path == Path.cwd() / DEFAULT_STATE else f" --state {plan.folder.path}"
    return os.path.relpath(here) if typed else "trivet", state


def _log_to(folder: VolumeFolder) -> None:
    handler = logging.FileHandler(folder.path / "up.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
