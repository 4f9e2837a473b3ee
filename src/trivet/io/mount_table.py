"""Mount points as the kernel sees them: found, probed, taken away, cut off.

Rule: nothing here touches a mounted file system from this process: a dead or hung one would hold us.
"""

import asyncio
import contextlib
import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trivet.errors import TrivetError
from trivet.io.runner import run

FILE_SYSTEM = "trivet"
READ_AHEAD_KIB = 1024
PROBE_DEADLINE_S = 5.0
UNMOUNT_DEADLINE_S = 20.0
GUARD = "trivet-guard"
_MNT_DETACH = 2
_OCTAL = re.compile(r"\\([0-7]{3})")

Health = Literal["alive", "dead", "hung"]


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One line of the mount table; `device` is "major:minor", `kind` the file system's type."""

    path: Path
    device: str
    kind: str
    source: str

    @property
    def is_ours(self) -> bool:
        """Whether a trivet made this mount."""
        return self.kind == f"fuse.{FILE_SYSTEM}"

    @property
    def is_guard(self) -> bool:
        """Whether it is the guard that lies under a drive's mount."""
        return self.source == GUARD


def find_mount(mount_point: Path) -> MountEntry | None:
    """Return what is mounted on `mount_point` (the topmost), None if nothing is."""
    wanted = os.path.join(os.path.realpath(mount_point.parent), mount_point.name)
    found = None
    for line in Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, source, *_) = before.split(" "), after.split(" ")
        path = _plain(fields[4])
        if path == wanted:
            found = MountEntry(Path(path), fields[2], kind, _plain(source))
    return found


def _plain(field: str) -> str:
    """Undo the octal escapes of the mount table (space, tab, newline, backslash)."""
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), field)


async def probe_mount(entry: MountEntry) -> Health:
    """Tell whether somebody serves a mount; asked by a process that can be killed if nobody answers."""
    done = await run(["stat", "-f", str(entry.path)], env=_plain_language(), deadline_s=PROBE_DEADLINE_S)
    if done.timed_out:
        return "hung"
    return "alive" if done.exit_code == 0 else "dead"


async def unmount(mount_point: Path, *, lazy: bool = False) -> bool:
    """Take the mount (no guard) away; False when it is in use (never with `lazy`, which only hides it)."""
    if not _is_mounted(mount_point) or (lazy and detached(mount_point)):
        return True
    if os.geteuid() == 0:
        command = ["umount", *(["--lazy"] if lazy else []), str(mount_point)]
    else:
        command = ["fusermount3", "-u", *(["-z"] if lazy else []), str(mount_point)]
    done = await run(command, env=_plain_language(), deadline_s=UNMOUNT_DEADLINE_S)
    if done.exit_code == 0 or not _is_mounted(mount_point):
        return True
    if b"busy" in done.stderr and not lazy:
        return False
    told = done.stderr.decode(errors="replace").strip() or "no answer"
    raise TrivetError(f"can't unmount {mount_point}: {told}")


def _is_mounted(mount_point: Path) -> bool:
    entry = find_mount(mount_point)
    return entry is not None and not entry.is_guard


def detached(mount_point: Path) -> bool:
    """Take a mount away without starting a process, where we may: somebody is about to mount there anew."""
    return bool(ctypes.CDLL(None).umount2(os.fsencode(mount_point), _MNT_DETACH) == 0)


async def clear_dead_mount(mount_point: Path) -> bool:
    """Take away a mount whose process is gone; False if there is none or somebody still serves it."""
    entry = find_mount(mount_point)
    if entry is None or not entry.is_ours or await probe_mount(entry) != "dead":
        return False
    return await unmount(mount_point, lazy=True)


async def abort_mount(mount_point: Path) -> None:
    """Cut the kernel off from whoever serves `mount_point`: everything waiting there gets an error."""
    entry = find_mount(mount_point)
    if entry is None:
        return
    number = int(entry.device.split(":")[1])
    switch = Path(f"/sys/fs/fuse/connections/{number}/abort")
    if await asyncio.to_thread(_written, switch, "1"):
        return
    if os.geteuid() == 0:  # fusectl is not mounted: a forced unmount aborts the connection, too
        await run(["umount", "--force", str(mount_point)], env=_plain_language(), deadline_s=PROBE_DEADLINE_S)


def set_read_ahead(entry: MountEntry) -> bool:
    """Let the kernel read ahead READ_AHEAD_KIB on this mount; False where we may not say so."""
    return _written(Path(f"/sys/class/bdi/{entry.device}/read_ahead_kb"), str(READ_AHEAD_KIB))


def _written(place: Path, text: str) -> bool:
    with contextlib.suppress(OSError):
        place.write_text(text)
        return True
    return False


def _plain_language() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}
