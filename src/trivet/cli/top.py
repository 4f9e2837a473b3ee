"""`trivet top`: the live board in the terminal."""

import asyncio
import contextlib
import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, not_running, volume_folder
from trivet.errors import InputError
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.volume_folder import VolumeFolder


def top(
    *,
    state: State = DEFAULT_STATE,
    once: Annotated[bool, Parameter(negative="", help="Print one frame as text, for scripts.")] = False,
    json: AsJson = False,
) -> int:
    """Show the drive live: health, traffic, floods, transfers, repairs, processes; `q` quits, `s` sorts.

    With --once or --json it prints one frame and tells by its exit code whether all is well (0) or not (1).
    """
    folder = volume_folder(state)
    folder.read_config()
    if once or json:
        return asyncio.run(_print_once(folder, as_json=json))
    if not sys.stdout.isatty():
        raise InputError("trivet top wants a terminal; --once prints one frame, --json the same for programs")
    return _show(folder)


def _show(folder: VolumeFolder) -> int:
    from trivet.monitor.board.top import TopBoard

    asyncio.run(_check_running(folder))
    board = TopBoard(folder)
    words = board.run()
    if board.failed is not None:
        raise board.failed
    if words:
        raise NotRunning(f"{words}; `trivet up --state {folder.path}` starts it")
    return 0


async def _check_running(folder: VolumeFolder) -> None:
    """Raise NotRunning when neither the keeper nor `trivet up` listens."""
    for socket, verb in ((folder.keeper_socket, "status"), (folder.supervisor_socket, "children")):
        with contextlib.suppress(NotRunning):
            with contextlib.suppress(Remote):
                await ask(socket, verb)
            return
    raise not_running(folder)


async def _print_once(folder: VolumeFolder, *, as_json: bool) -> int:
    from rich.console import Console

    from trivet.monitor.board import panels
    from trivet.monitor.board.gathering import BoardFigures

    figures = BoardFigures(folder)
    async with figures.gathering():
        if not figures.is_running:
            raise not_running(folder)
        frame = figures.frame()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(frame)).decode())
    else:
        console = Console(highlight=False)
        console.print(panels.verdict_text(frame))
        for row in panels.ROWS:
            for name, title in row:
                shown = panels.panel(name, frame)
                if shown is not None:
                    console.print(f"\n[bold]{title}[/bold]")
                    console.print(shown)
    return 0 if frame.verdict.level == "good" else 1
