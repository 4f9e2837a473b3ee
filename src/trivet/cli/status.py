"""`trivet status`: what is well and what is not, for people or as JSON."""

import asyncio
import contextlib

import msgspec
from rich.console import Console

from trivet.cli.asking import (
    DEFAULT_STATE,
    AsJson,
    State,
    keeper_place,
    not_running,
    print_json,
    volume_folder,
)
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.keeper_asking import ask_keeper
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.live_view import bank_table, summary_lines
from trivet.supervise.probing import ask_server
from trivet.wire.control_messages import BankStatus, Children, ServerStatus, Status


def status(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Show banks, servers, healing and what is not well; exit code 0 only when everything is whole."""
    told = asyncio.run(drive_status(volume_folder(state)))
    if json:
        print_json(told)
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(bank_table(told))
        for line in summary_lines(told):
            console.print(line)
    return 0 if told.healthy else 1


async def drive_status(folder: VolumeFolder) -> Status:
    """Return the keeper's status, servers stopped on purpose marked; without a keeper what can be seen."""
    folder.read_config()
    children = None
    with contextlib.suppress(NotRunning, Remote):
        children = msgspec.convert(await ask(folder.supervisor_socket, "children"), Children)
    try:
        told = msgspec.convert(await ask_keeper(folder, "status"), Status)
    except NotRunning as error:
        if children is None:
            raise not_running(folder) from error
        is_elsewhere = children is not None and not any(
            one.role in ("keeper", "standby") for one in children.children
        )
        told = await _status_without_keeper(folder, "the keeper is not running", is_elsewhere=is_elsewhere)
    except Remote as error:
        told = await _status_without_keeper(folder, str(error))
    return told if children is None else _with_stopped(told, children)


async def _status_without_keeper(folder: VolumeFolder, why: str, *, is_elsewhere: bool = False) -> Status:
    config, reach = folder.read_config(), Reach(folder)

    async def look(port: int) -> ServerStatus:
        stat = await ask_server(port, reach)
        if stat is None:
            return ServerStatus(port, "down", host=config.host_of(port))
        return ServerStatus(
            port=port,
            state="full" if stat.full else "up",
            pid=stat.pid,
            blobs=stat.blobs,
            records=stat.records,
            foreign=stat.foreign,
            bytes=stat.size_bytes,
            host=config.host_of(port),
        )

    banks = [
        BankStatus(base, list(await asyncio.gather(*map(look, row))))
        for base, row in zip(config.bases, config.ports(), strict=True)
    ]
    if is_elsewhere:
        note = f"the keeper runs on {keeper_place(config)}, where `trivet status` tells more"
        return Status(config.volume, False, banks, notes=[note])
    return Status(config.volume, False, banks, notes=[f"{why}: the folder can't be used until it is back"])


def _with_stopped(status: Status, children: Children) -> Status:
    stopped = {child.port for child in children.children if child.state == "stopped"}

    def marked(server: ServerStatus) -> ServerStatus:
        if server.port in stopped and server.state == "down":
            return msgspec.structs.replace(server, state="stopped")
        return server

    banks = [BankStatus(bank.base, [marked(server) for server in bank.servers]) for bank in status.banks]
    door = children.door()
    return msgspec.structs.replace(status, banks=banks, gateway=door)
