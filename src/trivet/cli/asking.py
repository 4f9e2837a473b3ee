"""How the verbs about a running drive ask its keeper or supervisor, with a progress bar for long work.

Rule: progress goes to stderr and only to a terminal, so that `--json` and pipes see results alone.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from trivet.errors import ConfigError
from trivet.io import keeper_asking
from trivet.io.control_socket import NotRunning, Report, ask
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.volume_setup import has_supervisor
from trivet.wire.control_messages import Progress

DEFAULT_STATE = Path("trivet-state")

State = Annotated[Path, Parameter(name="--state", help="The folder that holds the drive's state.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Tell it as one JSON object.")]

Result = TypeVar("Result", bound=msgspec.Struct)
Asking = Callable[[str, Mapping[str, Any] | None, Report], Coroutine[Any, Any, dict[str, Any]]]


class _ItemRate(ProgressColumn):
    """Items per second."""

    def render(self, task: Any) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class ProgressBar:
    """Shows the progress lines of one request, with rate and time left."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._step = ""

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *failure: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, line: Mapping[str, Any]) -> None:
        """Take one progress line of the control socket."""
        progress = msgspec.convert(line, Progress)
        if not sys.stderr.isatty():
            return
        if self._bars is None or progress.step != self._step:
            self.__exit__()
            self._bars = _bars(in_bytes=progress.unit == "bytes")
            self._bars.start()
            self._bars.add_task(progress.step, total=None)
            self._step = progress.step
        self._bars.update(self._bars.task_ids[0], completed=progress.done, total=progress.total or None)


def _bars(*, in_bytes: bool) -> Bars:
    columns = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(), _ItemRate())
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def volume_folder(state: Path) -> VolumeFolder:
    """Return the state folder, its path absolute so that it stays the same for every process."""
    return VolumeFolder(state.absolute())


def absolute_mount_point(mount: Path) -> Path:
    """Return `mount` as an absolute path, a symlink followed; a mount there is not asked anything."""
    try:
        os.readlink(mount)
    except OSError:
        return Path(os.path.realpath(mount.absolute().parent)) / mount.absolute().name
    return Path(os.path.realpath(mount))


def ask_keeper(
    folder: VolumeFolder, verb: str, kind: type[Result], arguments: Mapping[str, Any] | None = None
) -> Result:
    """Ask the keeper of the drive in `folder`, showing progress; return its answer as `kind`."""
    return _asked(folder, partial(keeper_asking.ask_keeper, folder), verb, kind, arguments)


def ask_supervisor(
    folder: VolumeFolder, verb: str, kind: type[Result], arguments: Mapping[str, Any] | None = None
) -> Result:
    """Ask the process of `trivet up` of the drive in `folder`; return its answer as `kind`."""
    return _asked(folder, partial(ask, folder.supervisor_socket), verb, kind, arguments)


def _asked(
    folder: VolumeFolder, asking: Asking, verb: str, kind: type[Result], arguments: Mapping[str, Any] | None
) -> Result:
    folder.read_config()
    with ProgressBar() as bar:
        try:
            answer = asyncio.run(asking(verb, arguments, bar.show))
        except NotRunning as error:
            raise not_running(folder) from error
    return msgspec.convert(answer, kind)


def not_running(folder: VolumeFolder) -> ConfigError:
    """Return the error for a drive that nobody runs, or whose keeper runs on another host."""
    config = folder.read_config()
    if config.standby and folder.keeper_path.is_dir() and has_supervisor(folder):
        others = " or ".join(host for name, host in config.keeper_hosts().items() if name != folder.leader)
        return NotRunning(
            f"the keeper on this host gave up its turn, or starts: ask on {others}, or here again"
        )
    if config.hosts and has_supervisor(folder):
        return NotRunning(f"the keeper of this drive runs on {keeper_place(config)}: type this there")
    return NotRunning(
        f"the drive in {folder.path} is not running; `trivet up --state {folder.path}` starts it"
    )


def keeper_place(config: VolumeConfig) -> str:
    """Return where the keeper of a volume over several hosts runs: "alpha", or "alpha or beta"."""
    return " or ".join(config.keeper_hosts().values())


def print_json(result: msgspec.Struct) -> None:
    """Print `result` as one JSON object, indented for people."""
    print(msgspec.json.format(msgspec.json.encode(result)).decode())
