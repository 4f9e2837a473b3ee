"""Makes ready what a drive needs before its first process starts: the volume, the lock, ports, the folder.

Rule: whatever stands in the way is a ConfigError that names it and the way out; nothing is taken over or
cleaned away that is not known to be ours and dead.
"""

import asyncio
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
import psutil

from trivet.errors import ConfigError
from trivet.io.mount_guard import remove_guard
from trivet.io.mount_table import find_mount, probe_mount, unmount
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.io.volume_growth import SERVERS_MAX

DEFAULT_BASES = (7000, 8000, 9000)
DEFAULT_SERVERS = 2
VOLUME_NAME_BYTES = 8
LOOPBACK = "127.0.0.1"
#: What `trivet up` may have put into a state folder before the volume is made.
SUPERVISOR_FILES = {"up.pid", "up.log", "up.sock"}

Durability = Literal["default", "always"]


def check_bases(bases: Sequence[int], servers: int, banks: int = 3) -> None:
    """Raise ConfigError unless `banks` banks of `servers` ports each fit at `bases` without touching."""
    if not 1 <= servers <= SERVERS_MAX:
        raise ConfigError(f"--servers {servers}: a bank has 1 to {SERVERS_MAX} servers")
    if len(bases) != banks:
        raise ConfigError(f"--ports names {len(bases)} banks; a drive has three: --ports 7000,8000,9000")
    ports = [base + index for base in bases for index in range(servers)]
    if min(ports) < 1 or max(ports) > 65535:
        raise ConfigError(f"--ports {_joined(bases)}: ports go from 1 to 65535")
    if len(set(ports)) != len(ports):
        raise ConfigError(
            f"--ports {_joined(bases)}: with {servers} servers a bank they overlap; "
            f"leave at least {servers} between two of them"
        )


def make_volume(
    folder: VolumeFolder,
    bases: Sequence[int],
    servers: int,
    durability: Durability,
    hosts: Mapping[str, Any] | None = None,
) -> VolumeConfig:
    """Make a new volume in `folder`; ConfigError if there is one or something else lies there.

    `hosts` are the fields of VolumeConfig that say which process runs on which host.
    """
    check_bases(bases, servers)
    if folder.config_path.exists():
        raise ConfigError(f"{folder.path} already holds a volume; use it, or name another --state")
    refuse_other_things(folder)
    name = os.urandom(VOLUME_NAME_BYTES).hex()
    config = VolumeConfig(
        volume=name, bases=sorted(bases), servers=servers, durability=durability, **(hosts or {})
    )
    folder.create(config)
    return config


def refuse_other_things(folder: VolumeFolder) -> None:
    """Raise ConfigError when something that is no volume lies in `folder`."""
    if folder.path.exists() and {item.name for item in folder.path.iterdir()} - SUPERVISOR_FILES:
        raise ConfigError(
            f"{folder.path} is not empty and holds no volume.json; name an empty or new folder with --state"
        )


def open_volume(
    folder: VolumeFolder, bases: Sequence[int] | None, servers: int | None, durability: Durability | None
) -> VolumeConfig:
    """Return the volume in `folder`, made if there is none; what is given must be what it was made with."""
    if not folder.config_path.exists():
        return make_volume(
            folder,
            DEFAULT_BASES if bases is None else bases,
            DEFAULT_SERVERS if servers is None else servers,
            durability or "default",
        )
    config = folder.read_config()
    folder.read_key()
    way_out = "leave the option away, or name another --state for another drive"
    if servers is not None and servers != config.servers:
        raise ConfigError(
            f"{folder.path} was made with {config.servers} servers a bank, not {servers}; {way_out}"
        )
    if bases is not None and sorted(bases) != sorted(config.bases):
        raise ConfigError(
            f"{folder.path} was made with --ports {_joined(config.bases)}, not {_joined(bases)}; {way_out}"
        )
    return config


def place_blobs(folder: VolumeFolder, config: VolumeConfig, blobs: Mapping[int, str]) -> VolumeConfig:
    """Write down that banks keep their blobs in the object stores `blobs` (base port -> URL) from now on."""
    unknown = sorted(set(blobs) - set(config.bases))
    if unknown:
        raise ConfigError(f"--blobs {unknown[0]}=...: the banks of this drive are {_joined(config.bases)}")
    placed = {**config.blobs, **{str(base): url for base, url in blobs.items()}}
    if placed == config.blobs:
        return config
    config = msgspec.structs.replace(config, blobs=placed)
    folder.store_config(config)
    return config


def has_supervisor(folder: VolumeFolder) -> bool:
    """Tell whether a `trivet up` is running for the drive in `folder`."""
    try:
        with only_supervisor(folder):
            return False
    except ConfigError:
        return True


@contextmanager
def only_supervisor(folder: VolumeFolder) -> Iterator[None]:
    """Hold the drive in `folder` for this process; ConfigError that names the one who holds it."""
    path = folder.path / "up.pid"
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(number, 20).decode(errors="replace").strip() or "unknown"
            raise ConfigError(
                f"the drive in {folder.path} is already up (process {pid}); `trivet status --state "
                f"{folder.path}` shows it, `trivet down --state {folder.path}` stops it"
            ) from None
        os.ftruncate(number, 0)
        os.write(number, f"{os.getpid()}\n".encode())
        yield
        os.ftruncate(number, 0)
    finally:
        os.close(number)


async def check_ports(ports: Sequence[int]) -> None:
    """Raise ConfigError that names every one of `ports` that another program uses."""
    taken = [port for port in ports if is_taken(port)]
    if taken:
        users = await asyncio.to_thread(_users, taken)
        named = ", ".join(f"port {port}{users.get(port, '')}" for port in taken)
        raise ConfigError(
            f"in use by another program: {named}; "
            "stop it, or make this drive on other ports (--ports a,b,c with another --state)"
        )


def is_taken(port: int) -> bool:
    """Tell whether somebody listens on `port` of this machine; ConfigError if this account may not."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError as error:
            raise ConfigError(
                f"this account may not listen on port {port}; use ports from 1024 on"
            ) from error
        except OSError:
            return True
    return False


def _users(ports: Sequence[int]) -> dict[int, str]:
    """Return who listens on `ports`, as far as this account may know: port -> " (name, process 12)"."""
    found: dict[int, str] = {}
    with suppress(psutil.Error, PermissionError):
        for connection in psutil.net_connections("inet"):
            port = connection.laddr.port if connection.laddr else 0
            if connection.status == psutil.CONN_LISTEN and port in ports and connection.pid:
                with suppress(psutil.Error):
                    name = psutil.Process(connection.pid).name()
                    found[port] = f" ({name}, process {connection.pid})"
    return found


async def prepare_mount_point(mount_point: Path) -> str | None:
    """Make the folder to mount on, clearing a dead mount of ours; return what was done, None if nothing.

    Raises ConfigError when something else is mounted there or files would be hidden.
    """
    cleared = None
    remove_guard(mount_point)
    entry = find_mount(mount_point)
    if entry is not None:
        health = await probe_mount(entry)
        if not entry.is_ours or health == "alive":
            raise ConfigError(
                f"{mount_point} already has {entry.source} ({entry.kind}) mounted; "
                "stop that drive with `trivet down`, or choose another --mount"
            )
        if health == "hung":
            raise ConfigError(
                f"{mount_point} has a mount of a process that hangs; end that process (`trivet status` names "
                "it), or choose another --mount"
            )
        await unmount(mount_point, lazy=True)
        remove_guard(mount_point)
        cleared = f"cleared the stale mount that a drive had left on {mount_point}"
    await asyncio.to_thread(_make_empty_folder, mount_point)
    return cleared


def _make_empty_folder(mount_point: Path) -> None:
    try:
        mount_point.mkdir(parents=True, exist_ok=True)
        if any(mount_point.iterdir()):
            raise ConfigError(
                f"{mount_point} is not empty, and mounting would hide what is in it; "
                "move that away, or choose another --mount"
            )
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"{mount_point} is not a folder; choose another --mount") from error
    except OSError as error:
        raise ConfigError(f"can't use {mount_point}: {error.strerror}; choose another --mount") from error


def check_fuse() -> None:
    """Raise ConfigError when this machine or account can't mount."""
    device = Path("/dev/fuse")
    if not device.exists():
        raise ConfigError("/dev/fuse is missing here; `trivet up --no-mount` runs the drive without a folder")
    if not os.access(device, os.R_OK | os.W_OK):
        raise ConfigError(
            "this account may not use /dev/fuse; allow it, or run `trivet up --no-mount` without a folder"
        )
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise ConfigError(
            "the program fusermount3 is missing (Debian: the package fuse3), by which this account would "
            "mount; install it, or run `trivet up --no-mount` without a folder"
        )


def _joined(bases: Sequence[int]) -> str:
    return ",".join(map(str, bases))
