"""The folder of a bank's server, exchanged for an empty one; what the server had is kept beside it.

Rule: it is one rename at a time: whoever is killed between two leaves the old folder, or the new one, or what
`finish_exchanges` makes the new one of.
Rule: a disk that is dead is not asked: what lies on it is only named by links in the state folder.
"""

import os
from itertools import count
from pathlib import Path

from trivet.errors import ConfigError, InputError
from trivet.io.disk import sync_folder
from trivet.io.volume_folder import VolumeFolder


def new_folder(disk: Path, port: int) -> Path:
    """Make and return the empty folder of the server on `port` below `disk`; InputError if it can't be."""
    if not disk.is_dir():
        raise InputError(f"{disk} is no folder: is the disk mounted?")
    made = disk / f"server-{port}"
    try:
        made.mkdir(mode=0o700, exist_ok=True)
        held = next(made.iterdir(), None)
    except OSError as error:
        raise InputError(f"{made} can't be used: {error.strerror}") from error
    if held is not None:
        raise InputError(f"{made} is not empty ({held.name}): name another folder, or empty it")
    return made


def place_new(folder: VolumeFolder, base: int, port: int, disk: Path | None) -> Path:
    """Return the folder of a server that is to be added: a new one below `disk`, or beside the bank's others.

    Raises InputError when something lies there already, ConfigError as `exchange` does.
    """
    place = folder.server_path(base, port)
    try:
        held = next(place.iterdir(), None) if _is_there(place) else None
        if held is not None:
            raise InputError(f"{place} is not empty ({held.name}), and a new server's must be: move it away")
        _discard(place)
    except OSError as error:
        raise ConfigError(f"{place} can't be used: {error.strerror}") from error
    if disk is None:
        return place
    made = new_folder(disk, port)
    exchange(folder, base, port, made)
    return made


def exchange(folder: VolumeFolder, base: int, port: int, fresh: Path | None) -> Path | None:
    """Give the server on `port` the empty folder `fresh` (None: one in the state folder).

    Nothing may run in its folder. Returns where that is kept now, None if there was none.
    Raises ConfigError when the disk does not let itself be changed.
    """
    try:
        _hold_bank_here(folder, base)
        place = folder.server_path(base, port)
        place.parent.mkdir(parents=True, exist_ok=True)
        new = _new(place)
        _discard(new)
        if fresh is None:
            new.mkdir(mode=0o700)
        else:
            new.symlink_to(fresh)
        kept = None
        if _is_there(place):
            names = (place.with_name(f"{place.name}.replaced-{number}") for number in count(1))
            kept = next(name for name in names if not _is_there(name))
            place.rename(kept)
        new.rename(place)
        sync_folder(place.parent)
    except OSError as error:
        raise ConfigError(
            f"{error.filename} can't be changed: {error.strerror}; if a disk is mounted there, `trivet stop "
            f"{port}`, mount the new one in its place and `trivet start {port}`"
        ) from error
    return kept


def finish_exchanges(folder: VolumeFolder) -> list[Path]:
    """Finish what a kill interrupted; return the folders that are new now."""
    config = folder.read_config()
    finished = []
    for base, row in zip(config.bases, config.ports(), strict=True):
        for place in (folder.server_path(base, port) for port in row):
            new = _new(place)
            if not _is_there(new):
                continue
            if _is_there(place):
                _discard(new)
            else:
                new.rename(place)
                sync_folder(place.parent)
                finished.append(place)
    return finished


def _hold_bank_here(folder: VolumeFolder, base: int) -> None:
    """Make a bank's folder that is a link to another disk one of links to that disk, a link a server."""
    bank = folder.server_path(base, base).parent
    if not bank.is_symlink():
        return
    there = Path(os.path.realpath(bank))
    if there.is_relative_to(os.path.realpath(folder.path)):
        return
    here = folder.path / f"servers-{base}"
    here.mkdir(mode=0o700, exist_ok=True)
    for port in folder.read_config().ports()[folder.read_config().bank_of(base)]:
        name = folder.server_path(base, port).name
        _discard(here / name)
        (here / name).symlink_to(there / name)
    sync_folder(here)
    new = _new(bank)
    _discard(new)
    new.symlink_to(here.name)
    new.rename(bank)
    sync_folder(folder.path)


def _new(place: Path) -> Path:
    return place.with_name(place.name + ".new")


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _discard(path: Path) -> None:
    """Remove a link or an empty folder, if there is one."""
    if path.is_symlink():
        path.unlink()
    elif _is_there(path):
        path.rmdir()
