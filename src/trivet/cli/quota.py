"""`trivet quota`: how much may be below a folder, in bytes and in files."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_keeper, print_json, volume_folder
from trivet.cli.drive_paths import drive_path
from trivet.cli.sizes import parse_size
from trivet.errors import InputError
from trivet.supervise.live_view import size_text
from trivet.wire.control_messages import QuotaTable

app = App(name="quota", help="How much may be below a folder, in bytes and in files.")


@app.command(name="set")
def set_(
    path: Path,
    /,
    *,
    size: Annotated[
        str | None, Parameter(name=["--bytes", "--size"], help="The most bytes, such as 500MB or 2TB.")
    ] = None,
    files: Annotated[int | None, Parameter(help="The most files, folders and links.")] = None,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Let there be at most so much below the folder PATH; who wants more is told EDQUOT."""
    if size is None and files is None:
        raise InputError("say how much: --bytes 500MB, --files 10000, or both")
    if files is not None and files < 1:
        raise InputError(f"--files {files}: at least 1")
    limits = {"size_limit_bytes": parse_size(size), "files_limit": files}
    return _asked("set", path, state, json, limits)


@app.command
def remove(path: Path, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Take the quota of the folder PATH away."""
    return _asked("remove", path, state, json, {})


@app.command(name="list")
def list_(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Show every quota and what is used of it."""
    return _asked("list", None, state, json, {})


def _asked(action: str, path: Path | None, state: Path, json: bool, limits: dict[str, int | None]) -> int:
    folder = volume_folder(state)
    arguments = {"action": action, "path": drive_path(folder, path), **limits}
    told = ask_keeper(folder, "quota", QuotaTable, arguments)
    if json:
        print_json(told)
    elif not told.quotas:
        print("No folder has a quota; `trivet quota set FOLDER --bytes 500MB` gives it one.")
    else:
        Console(highlight=False, soft_wrap=True).print(_table(told))
    return 0


def _table(told: QuotaTable) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("folder", "used", "of", "files", "of"):
        table.add_column(title, justify="left" if title == "folder" else "right")
    for row in told.quotas:
        size = "-" if row.size_limit_bytes is None else size_text(row.size_limit_bytes)
        files = "-" if row.files_limit is None else f"{row.files_limit:,}"
        table.add_row(row.path, size_text(row.size_bytes), size, f"{row.files:,}", files)
    return table
