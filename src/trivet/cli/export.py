"""`trivet export`: the drive, or a folder of it, as a tar stream.

Rule: the archive goes to standard output, everything said to standard error.
"""

import asyncio
import sys
from pathlib import Path
from typing import IO

import uvloop

from trivet.cli.asking import DEFAULT_STATE, State, volume_folder
from trivet.cli.drive_paths import drive_path
from trivet.client.backup.carrying import at_path
from trivet.client.backup.tar_writing import TarWriter
from trivet.client.backup.tree_reading import TreeReader
from trivet.client.remote_volume import connected
from trivet.errors import InputError
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.live_view import size_text
from trivet.wire.path_text import path_bytes, path_text


def export(path: Path | None = None, /, *, state: State = DEFAULT_STATE) -> int:
    """Write the drive, or what is at PATH in it, to standard output as a tar archive.

    Any tar program reads it: owners, times to the nanosecond, hard links, holes and attributes are in it.
    """
    if sys.stdout.isatty():
        raise InputError("the archive goes to standard output: `trivet export > drive.tar`")
    folder = volume_folder(state)
    folder.read_config()
    return uvloop.run(_export(folder, drive_path(folder, path), sys.stdout.buffer))


async def _export(folder: VolumeFolder, path: str, out: IO[bytes]) -> int:
    async def write(data: bytes) -> None:
        await asyncio.to_thread(out.write, data)

    async with connected(folder) as volume:
        top = await at_path(volume, path)
        reader = TreeReader(volume, folder)
        writer = TarWriter(write)
        await writer.write_all(reader.walk(top, path_bytes(path).rstrip(b"/").rpartition(b"/")[2]))
    await asyncio.to_thread(out.flush)
    left_out = reader.left_out + writer.left_out
    for name, why in left_out:
        print(f"left out {path_text(name)}: {why}", file=sys.stderr)
    print(f"exported {writer.files:,} files, {size_text(writer.size_bytes)}", file=sys.stderr)
    return 1 if left_out else 0
