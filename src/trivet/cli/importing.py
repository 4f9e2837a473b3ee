"""`trivet import`: a tar archive, or a tree of a store, becomes part of the drive, whole or not at all."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import uvloop
from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, print_json, volume_folder
from trivet.cli.drive_paths import drive_path
from trivet.cli.wrong_use import no_option
from trivet.client.backup.carrying import Carried, bring_in
from trivet.client.backup.store import Store
from trivet.client.backup.tar_reading import TarReader
from trivet.client.backup.tree_entry import TreeEntry
from trivet.client.remote_volume import connected
from trivet.errors import InputError
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.live_view import size_text

Overwrite = Annotated[bool, Parameter(negative="", help="Replace what is at the same paths.")]


def import_(
    archive: Annotated[Path | None, Parameter(allow_leading_hyphen=True, validator=no_option)] = None,
    /,
    *,
    store: Annotated[Path | None, Parameter(help="Take it from the store in this folder.")] = None,
    tree: Annotated[str | None, Parameter(help="Which tree of the store; the newest if left out.")] = None,
    into: Annotated[Path | None, Parameter(help="The folder of the drive to put it in; it exists.")] = None,
    overwrite: Overwrite = False,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Put what the tar file ARCHIVE (-: standard input) or a store holds into the drive, whole or not at all.

    Nobody sees anything of it before all of it is durable. Paths that exist are refused, folders joined.
    """
    folder = volume_folder(state)
    folder.read_config()
    target = drive_path(folder, into)
    if (archive is None) == (store is None):
        raise InputError("say where from: `trivet import drive.tar`, or `trivet import --store FOLDER`")
    if store is not None:
        held = Store(store)
        names = held.names()
        if tree is None and not names:
            raise InputError(f"{store} holds no tree yet")
        entries = held.read(tree or names[-1])
        carried = uvloop.run(_import(folder, entries, target, overwrite=overwrite))
    else:
        assert archive is not None
        with _opened(archive) as (raw, name):
            entries = TarReader(raw, name).entries()
            carried = uvloop.run(_import(folder, entries, target, overwrite=overwrite))
    if json:
        print_json(carried)
    else:
        print(
            f"imported {carried.files:,} files, {carried.folders:,} folders, {carried.links:,} further names,"
            f" {size_text(carried.size_bytes)}; {carried.placed:,} names put into {target}"
        )
    return 0


async def _import(
    folder: VolumeFolder, entries: AsyncIterator[TreeEntry], into: str, *, overwrite: bool
) -> Carried:
    async with connected(folder) as volume:
        return await bring_in(volume, folder, entries, into, overwrite=overwrite)


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[IO[bytes], str]]:
    if str(archive) == "-":
        yield sys.stdin.buffer, "the archive"
        return
    try:
        with archive.open("rb") as raw:
            yield raw, str(archive)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{archive} can't be read: {error.strerror}") from error
