"""`trivet snapshot`: the drive as it was, kept, shown, brought back."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_keeper, print_json, volume_folder
from trivet.cli.drive_paths import drive_path
from trivet.client.backup.carrying import Carried
from trivet.client.backup.restoring import restore as bring_back
from trivet.client.backup.snapshot_tree import SnapshotTree
from trivet.client.backup.store import STAMP
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.live_view import size_text
from trivet.wire.path_text import path_text
from trivet.wire.snapshot_messages import SnapshotRemoved, SnapshotTable, SnapshotTold

app = App(name="snapshot", help="The drive as it was: kept, shown, brought back.")


@app.command
def create(name: str | None = None, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Keep the drive as it is now; NAME is the time unless given. People go on working meanwhile."""
    made = _create(volume_folder(state), name or datetime.now(UTC).strftime(STAMP))
    if json:
        print_json(made)
    else:
        print(f"snapshot {made.name}: {made.files:,} files and folders, {size_text(made.size_bytes)}")
    return 0


def _create(folder: VolumeFolder, name: str) -> SnapshotTold:
    return ask_keeper(
        folder, "snapshot", SnapshotTold, {"action": "create", "name": path_text(name.encode())}
    )


@app.command(name="list")
def list_(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Show every snapshot, the oldest first."""
    told = ask_keeper(volume_folder(state), "snapshot", SnapshotTable, {"action": "list"})
    if json:
        print_json(told)
    elif not told.snapshots:
        print("There is no snapshot; `trivet snapshot create` makes one.")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("snapshot", "made", "files", "data", "its table"):
            table.add_column(title, justify="left" if title in ("snapshot", "made") else "right")
        for one in told.snapshots:
            made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.made_s))
            table.add_row(
                one.name, made, f"{one.files:,}", size_text(one.size_bytes), size_text(one.table_bytes)
            )
        Console(highlight=False, soft_wrap=True).print(table)
    return 0


@app.command
def remove(name: str, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Let go of a snapshot; what nothing else names is deleted."""
    told = ask_keeper(
        volume_folder(state),
        "snapshot",
        SnapshotRemoved,
        {"action": "remove", "name": path_text(name.encode())},
    )
    if json:
        print_json(told)
    else:
        print(f"removed snapshot {name}; {told.blobs_freed:,} blobs are deleted that nothing else names")
    return 0


@app.command
def restore(
    name: str, path: Path | None = None, /, *, state: State = DEFAULT_STATE, json: AsJson = False
) -> int:
    """Let everything, or what is at PATH, be as it was in snapshot NAME.

    A snapshot of the present is made first, so that this can be undone.
    """
    folder = volume_folder(state)
    folder.read_config()
    where = drive_path(folder, path)
    carried, before = uvloop.run(_restore(folder, path_text(name.encode()), where))
    for left, why in carried.left_out:
        print(f"left out {left}: {why}", file=sys.stderr)
    if json:
        print_json(carried)
    else:
        print(
            f"restored {where}: {carried.files:,} files, {carried.folders:,} folders,"
            f" {size_text(carried.size_bytes)}; `trivet snapshot restore {before}` undoes it"
        )
    return 1 if carried.left_out else 0


async def _restore(folder: VolumeFolder, name: str, path: str) -> tuple[Carried, str]:
    async with _opened(folder, name) as (volume, tree):
        tree.find(path)
        # To the millisecond: another may be made within the second.
        before = datetime.now(UTC).strftime("before-restore-%Y-%m-%dT%H.%M.%S.%f")[:-3] + "Z"
        await asyncio.to_thread(_create, folder, before)
        print(f"what is there now is snapshot {before}", file=sys.stderr)
        return await bring_back(volume, folder, tree, path), before


@app.command
def mount(
    name: str,
    folder: Annotated[Path, Parameter(help="An empty folder of this machine.")],
    /,
    *,
    state: State = DEFAULT_STATE,
) -> int:
    """Show a snapshot in FOLDER, read-only, until it is unmounted or this is ended with Ctrl-C."""
    drive = volume_folder(state)
    drive.read_config()
    from trivet.supervise.volume_setup import check_fuse

    check_fuse()
    folder.mkdir(parents=True, exist_ok=True)
    return uvloop.run(_mount(drive, path_text(name.encode()), folder.absolute()))


async def _mount(drive: VolumeFolder, name: str, where: Path) -> int:
    from trivet.client.backup.snapshot_volume import SnapshotVolume
    from trivet.mount.session import mounted

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with _opened(drive, name) as (volume, tree):
        shown = SnapshotVolume(tree, volume)
        async with mounted(shown, where, f"trivet:{name}", read_only=True) as session:
            print(f"snapshot {name} is in {where}; Ctrl-C or `umount {where}` ends this", flush=True)
            waiting = [asyncio.create_task(one.wait()) for one in (ended, session.unmounted)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
    return 0


@asynccontextmanager
async def _opened(folder: VolumeFolder, name: str) -> AsyncIterator[tuple[RemoteVolume, SnapshotTree]]:
    """Give a snapshot, read into memory but for its bodies."""
    async with connected(folder) as volume:
        tree = SnapshotTree(volume, name)
        try:
            await tree.load()
            yield volume, tree
        finally:
            await tree.close()
