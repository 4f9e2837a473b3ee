"""`trivet bank`: servers that are added, or begin anew, while people work, and how fast they are filled.

Rule: the order is carried out by `trivet up` and the keeper; who waits here only watches, and may go.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from trivet.cli.asking import (
    DEFAULT_STATE,
    AsJson,
    ProgressBar,
    State,
    ask_keeper,
    ask_supervisor,
    print_json,
    volume_folder,
)
from trivet.cli.start_stop import OneServer, ports_meant
from trivet.cli.status import drive_status
from trivet.errors import InputError, ReplicaError
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.live_view import size_text
from trivet.wire.control_messages import Progress, ServerStatus, Status
from trivet.wire.refill_messages import Filled, RefillLimit, Replaced, Replacement

app = App(name="bank", help="Add and replace servers while people work; bound how fast they are filled.")

_POLL_S = 0.3
_STILL_S = 120.0
_MEGABYTE = 1_000_000

Disk = Annotated[
    Path | None,
    Parameter(name="--path", help="A folder on another disk; each server gets a new one in it."),
]
Wait = Annotated[bool, Parameter(name="--wait", negative="", help="Return once they hold everything again.")]


@app.command
def add(
    base: int,
    /,
    *,
    count: Annotated[int, Parameter(name="--count", help="How many servers.")] = 1,
    path: Disk = None,
    wait: Annotated[
        bool, Parameter(name="--wait", negative="", help="Return once they hold their share.")
    ] = False,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Give the bank with base port BASE one more server, on the next port, and move its share there."""
    if count < 1:
        raise InputError("--count is a number of servers above 0")
    folder = volume_folder(state)
    disk = None if path is None else str(path.absolute())
    asked = {"base": base, "count": count, "disk": disk}

    def told(one: Replaced) -> str:
        return f"server {one.port} belongs to bank {base} now; it keeps its files in {one.folder}"

    return _order(folder, "add", asked, told, ("moved there", "what belongs there"), wait=wait, json=json)


@app.command
def replace(
    port: int,
    /,
    *,
    path: Disk = None,
    server: OneServer = False,
    wait: Wait = False,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Let the bank with base PORT, or the one server on PORT, begin anew in an empty folder and be filled."""
    folder = volume_folder(state)
    ports = ports_meant(folder.read_config(), port, only_server=server)
    disk = None if path is None else str(path.absolute())
    asked = {"ports": ports, "disk": disk}

    def told(one: Replaced) -> str:
        kept = f"; what it had is kept in {one.kept}" if one.kept else ""
        return f"server {one.port} begins anew in {one.folder}{kept}"

    return _order(folder, "replace", asked, told, ("filled in", "everything again"), wait=wait, json=json)


@app.command
def limit(megabytes_s: float | None = None, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Tell, or set, how many megabytes a second are written to servers that lack them, all together."""
    if megabytes_s is not None and not 0 < megabytes_s < 1e6:
        raise InputError("the limit is a number of MB/s above 0")
    asked = None if megabytes_s is None else max(1, int(megabytes_s * _MEGABYTE))
    told = ask_keeper(volume_folder(state), "refill", RefillLimit, {"limit_bytes_s": asked})
    if json:
        print_json(told)
    else:
        print(f"Servers are filled with at most {size_text(told.limit_bytes_s)}/s.")
    return 0


def _order(
    folder: VolumeFolder, verb: str, asked: Mapping[str, object], told: Callable[[Replaced], str],
    words: tuple[str, str], *, wait: bool, json: bool,
) -> int:  # fmt: skip
    """Have the supervisor carry out `verb`, tell of each server and, after a `wait`, what they hold then.

    `words` say what is done meanwhile ("filled in") and what they hold in the end ("everything again").
    """
    doing, held = words
    began_s = time.monotonic()
    made = ask_supervisor(folder, verb, Replacement, asked).servers
    if not json:
        for one in made:
            print(told(one), flush=True)
    filled = _wait_filled(folder, made, began_s) if wait else Filled(made, done=False)
    if json:
        print_json(filled)
    elif wait:
        print(f"{_names(made)} {held} after {filled.took_s:.1f} s")
    else:
        print(f"`trivet status` shows how much is {doing}, how fast, and how long it will take")
    return 0


def _names(made: list[Replaced]) -> str:
    ports = ", ".join(str(one.port) for one in made)
    return f"server {ports} holds" if len(made) == 1 else f"servers {ports} hold"


def _wait_filled(folder: VolumeFolder, made: list[Replaced], began_s: float) -> Filled:
    """Watch until all servers of `made` hold everything; ReplicaError when nothing moves for long."""
    ports = {one.port for one in made}
    seen: object = None
    moved_s = time.monotonic()
    with ProgressBar() as bar:
        while True:
            status = asyncio.run(drive_status(folder))
            servers = [one for bank in status.banks for one in bank.servers if one.port in ports]
            # A keeper that began meanwhile knows nothing of them before it has compared everything.
            is_known = status.refresh_age_s is not None and len(servers) == len(ports)
            if is_known and all(_is_whole(one, status) for one in servers):
                return Filled(made, done=True, took_s=time.monotonic() - began_s)
            progress = _progress(servers, status)
            if progress != seen:
                seen, moved_s = progress, time.monotonic()
            bar.show(msgspec.to_builtins(progress))
            if time.monotonic() - moved_s > _STILL_S:
                raise ReplicaError(f"{progress.step}, and nothing moves; `trivet status` says more")
            time.sleep(_POLL_S)


def _is_whole(server: ServerStatus, status: Status) -> bool:
    is_filled = status.refill is None or server.port not in status.refill.servers
    return server.state == "up" and server.compared and not server.divergent and is_filled


def _progress(servers: list[ServerStatus], status: Status) -> Progress:
    refill = status.refill
    if refill is not None and any(server.port in refill.servers for server in servers):
        return Progress("filling", refill.done_bytes, refill.total_bytes, "bytes")
    late = next((server for server in servers if server.state != "up"), None)
    if late is not None:
        return Progress(f"server {late.port} is {late.state}", 0, 0)
    return Progress("being compared", 0, 0)
