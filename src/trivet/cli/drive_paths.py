"""Turns a path as somebody types it into the path inside the drive."""

import os
from pathlib import Path

from trivet.cli.asking import ask_supervisor
from trivet.errors import InputError
from trivet.io.control_socket import NotRunning
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import Children
from trivet.wire.path_text import path_text


def drive_path(folder: VolumeFolder, path: Path | None) -> str:
    """Return `path` inside the drive as `path_text`; None means everything ("/").

    A path below the mount point means that file; any other absolute path counts from the drive's top.
    Nothing is resolved: the drive may not answer just now.
    """
    if path is None:
        return "/"
    try:
        mount = ask_supervisor(folder, "children", Children).mount
    except NotRunning:
        mount = None
    whole = os.path.abspath(path)
    if mount is not None and os.path.commonpath([whole, mount]) == mount:
        inside = os.path.relpath(whole, mount)
        return path_text(b"/" if inside == "." else os.fsencode(f"/{inside}"))
    if not path.is_absolute():
        raise InputError(f"{path} is not in the drive{f' ({mount})' if mount else ''}")
    return path_text(os.fsencode(path))
