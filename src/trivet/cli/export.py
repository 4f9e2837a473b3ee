"""`trivet export`: the drive, or a folder of it, as a tar stream or into a store.

Rule: the archive goes to standard output, everything said to standard error.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, State, volume_folder
from trivet.cli.drive_paths import drive_path
from trivet.client.backup.carrying import at_path
from trivet.client.backup.snapshot_tree import SnapshotTree
from trivet.client.backup.store import STAMP, Store
from trivet.client.backup.tar_writing import TarWriter
from trivet.client.backup.tree_entry import TreeEntry
from trivet.client.backup.tree_reading import TreeReader
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.errors import InputError
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.live_view import size_text
from trivet.wire.path_text import path_bytes, path_text


def export(
    path: Path | None = None,
    /,
    *,
    store: Annotated[
        Path | None, Parameter(help="Write to the store in this folder, not to standard output.")
    ] = None,
    tree: Annotated[
        str | None, Parameter(help="What it is called in the store; the time if left out.")
    ] = None,
    snapshot: Annotated[str | None, Parameter(help="Take it from this snapshot.")] = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Write the drive, or what is at PATH in it, to standard output as a tar archive, or to a store.

    Any tar program reads the archive: owners, times to the nanosecond, links, holes, attributes are in it.
    A store is a folder that keeps many trees; bytes that it has already are not written again.
    """
    if store is None and sys.stdout.isatty():
        raise InputError("the archive goes to standard output: `trivet export > drive.tar`")
    if store is None and tree is not None:
        raise InputError("--tree names a tree of a store: say which, with --store FOLDER")
    folder = volume_folder(state)
    folder.read_config()
    where = drive_path(folder, path)
    named = None if snapshot is None else path_text(snapshot.encode())
    to = None if store is None else (Store(store), tree or datetime.now(UTC).strftime(STAMP))
    left_out, said = uvloop.run(_export(folder, where, named, to))
    for name, why in left_out:
        print(f"left out {path_text(name)}: {why}", file=sys.stderr)
    print(said, file=sys.stderr)
    return 1 if left_out else 0


async def _export(
    folder: VolumeFolder, path: str, snapshot: str | None, to: tuple[Store, str] | None
) -> tuple[list[tuple[bytes, str]], str]:
    """Carry it out; return (what was left out, what is said of the rest)."""
    async with connected(folder) as volume, _tree(volume, folder, path, snapshot) as (entries, left_out):
        if to is not None:
            told = await to[0].write(to[1], entries)
            return left_out, (
                f"tree {told.name}: {told.files:,} names; {told.pieces_new:,} new pieces,"
                f" {size_text(told.bytes_new)}; {told.pieces_known:,} were there"
            )
        writer = TarWriter(_write)
        await writer.write_all(entries)
        await asyncio.to_thread(sys.stdout.buffer.flush)
        said = f"exported {writer.files:,} files, {size_text(writer.size_bytes)}"
        return left_out + writer.left_out, said


async def _write(data: bytes) -> None:
    await asyncio.to_thread(sys.stdout.buffer.write, data)


@asynccontextmanager
async def _tree(
    volume: RemoteVolume, folder: VolumeFolder, path: str, snapshot: str | None
) -> AsyncIterator[tuple[AsyncIterator[TreeEntry], list[tuple[bytes, str]]]]:
    """Give what is at `path`, now or in a snapshot, and the list that what is left out will be in."""
    if snapshot is not None:
        held = SnapshotTree(volume, snapshot)
        try:
            await held.load()
            yield held.walk(path), held.left_out
        finally:
            await held.close()
        return
    top = await at_path(volume, path)
    reader = TreeReader(volume, folder)
    yield reader.walk(top, path_bytes(path).rstrip(b"/").rpartition(b"/")[2]), reader.left_out
