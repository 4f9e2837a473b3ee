"""`trivet health`: is all well with the drive; or a log of any processes of this machine."""

import asyncio
import contextlib
import json as json_module
import sys
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, volume_folder
from trivet.cli.repair import span_s
from trivet.cli.status import drive_status
from trivet.errors import InputError, TrivetError
from trivet.io.clock import steady_s, wall_s
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.figures_reading import read_series
from trivet.io.volume_folder import VolumeFolder
from trivet.monitor.process_log import Choice, ProcessLog, counters_of
from trivet.monitor.process_series import series_table
from trivet.supervise.health_words import machine_line, problems, process_table, verdict_lines
from trivet.wire.control_messages import Status
from trivet.wire.health_messages import SERIES_MAX_S, DriveFigures

LEAST_EVERY_S = 0.1

_Words = Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())]


def health(
    *,
    watch: Annotated[bool, Parameter(negative="", help="Go on telling, once a second.")] = False,
    process: Annotated[_Words, Parameter(help="Log processes whose name holds this; several may.")] = None,
    pid: Annotated[
        list[int] | None, Parameter(consume_multiple=True, negative=(), help="Log these processes.")
    ] = None,
    counter: Annotated[_Words, Parameter(help="Only these counters (all).")] = None,
    filter_: Annotated[
        _Words, Parameter(name="--filter", help="Only processes with this in name or command line.")
    ] = None,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="Log every process.")] = False,
    every: Annotated[float | None, Parameter(help="Seconds between two looks (1).")] = None,
    for_s: Annotated[float | None, Parameter(name="--for", help="Stop after so many seconds.")] = None,
    table: Annotated[bool, Parameter(negative="", help="A table, not JSON lines, of a log.")] = False,
    since: Annotated[
        str | None, Parameter(help="What the drive's processes used in the last 90s, 15m, 2h, 30d.")
    ] = None,
    json: AsJson = False,
    state: State = DEFAULT_STATE,
) -> int:
    """Say whether all is well with the drive (exit code 1 if not), or log processes of this machine.

    With --process, --pid, --filter, --counter or --all any processes are logged, one line of JSON a look.
    With --since the past of the drive's processes is told, also of a drive that is stopped.
    """
    every_s = 1.0 if every is None else every
    if not LEAST_EVERY_S <= every_s <= 86400:
        raise InputError(f"--every {every_s:g}: from {LEAST_EVERY_S:g} to 86400 seconds")
    if for_s is not None and not for_s > 0:
        raise InputError(f"--for {for_s:g}: a number of seconds above 0")
    if process or pid or counter or filter_ or all_:
        if since is not None:
            raise InputError("--since is for the drive's own processes; a log of others begins now")
        if watch:
            raise InputError("--watch is for the drive; a log goes on anyhow (--for ends it)")
        choice = Choice(process or [], pid or [], filter_ or [])
        log = ProcessLog(choice, counters_of(counter or []))
        return asyncio.run(_log(log, choice, every_s, for_s, as_table=table and not json))
    if table:
        raise InputError("--table is for a log of processes: add --process NAME, --pid N or --all")
    folder = volume_folder(state)
    if since is not None:
        if watch:
            raise InputError("--since tells the past and --watch the present: one of them")
        return _past(folder, span_s(since), as_json=json)
    if watch:
        return asyncio.run(_watch(folder, every_s, for_s, as_json=json))
    told, figures = asyncio.run(_asked(folder))
    found = problems(told, figures)
    if json:
        print(msgspec.json.format(_as_json(found, told, figures)).decode())
    else:
        Console(highlight=False, soft_wrap=True).print(_drawn(found, figures))
    return 1 if found else 0


def _past(folder: VolumeFolder, back_s: float, *, as_json: bool) -> int:
    """Print what the processes used in the last `back_s` seconds."""
    if not 0 < back_s <= SERIES_MAX_S:
        raise InputError(f"--since: up to {SERIES_MAX_S // 86400}d are kept")
    now_s = wall_s()
    series = read_series(folder.figures_path, now_s - back_s, now_s)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(series)).decode())
    elif not series.at_s:
        print("Nothing is kept of that time: `trivet up` writes down what its processes use every 10 s.")
    else:
        Console(highlight=False, soft_wrap=True).print(series_table(series))
    return 0


async def _asked(folder: VolumeFolder) -> tuple[Status, DriveFigures | None]:
    status = await drive_status(folder)
    figures = None
    with contextlib.suppress(NotRunning, Remote):
        figures = msgspec.convert(await ask(folder.supervisor_socket, "processes"), DriveFigures)
    return status, figures


def _as_json(found: list[str], status: Status, figures: DriveFigures | None) -> bytes:
    return msgspec.json.encode({"well": not found, "problems": found, "status": status, "figures": figures})


def _drawn(found: list[str], figures: DriveFigures | None) -> RenderableType:
    parts: list[RenderableType] = list(verdict_lines(found))
    if figures is not None:
        parts += [machine_line(figures), "", process_table(figures.processes)]
    return Group(*parts)


async def _watch(folder: VolumeFolder, every_s: float, for_s: float | None, *, as_json: bool) -> int:
    """Tell again and again; what can't be asked is told, too, and asked again."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    until_s = None if for_s is None else steady_s() + for_s
    found: list[str] = []
    with contextlib.ExitStack() as stack:
        is_live = console.is_terminal and not as_json
        live = stack.enter_context(Live(console=console, auto_refresh=False)) if is_live else None
        while True:
            status = figures = None
            try:
                status, figures = await _asked(folder)
                found = problems(status, figures)
            except TrivetError as error:
                found = [str(error)]
            drawn = _drawn(found, figures)
            if live is not None:
                live.update(drawn, refresh=True)
            elif as_json:
                told = {"well": not found, "problems": found, "status": status, "figures": figures}
                print(msgspec.json.encode(told).decode(), flush=True)
            else:
                console.print(drawn)
            if until_s is not None and steady_s() + every_s > until_s:
                return 1 if found else 0
            await asyncio.sleep(every_s)


async def _log(
    log: ProcessLog, choice: Choice, every_s: float, for_s: float | None, *, as_table: bool
) -> int:
    """Print a look every `every_s`; ends when all processes that were named by pid have ended."""
    began_s = due_s = steady_s()
    console = Console(highlight=False)
    while True:
        look = await asyncio.to_thread(log.look)
        if choice.pids and not choice.names and not look["processes"]:
            print(f"trivet: process {', '.join(map(str, choice.pids))} does not run", file=sys.stderr)
            return 0 if due_s > began_s else 3
        if as_table:
            console.print(_table(look))
        else:
            print(json_module.dumps(look, ensure_ascii=False), flush=True)
        due_s = max(due_s + every_s, steady_s())
        if for_s is not None and due_s - began_s > for_s:
            return 0
        await asyncio.sleep(due_s - steady_s())


def _table(look: dict[str, Any]) -> RenderableType:
    machine = look["machine"]
    cpu = machine["cpu_percent"]
    head = f"{look['timestamp']}  CPU {'-' if cpu is None else f'{cpu:.0f} %'}, memory "
    head += f"{machine['memory_percent']:.0f} %"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in look["processes"][0] if look["processes"] else ():
        table.add_column(name, justify="left" if name in ("caption", "description") else "right")
    for row in look["processes"]:
        table.add_row(*(_cell(value) for value in row.values()))
    return Group(head, table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int) and abs(value) > 99_999:
        return f"{value:,}"
    return str(value)
