"""The guard under a drive's mount: what is met there while nothing is mounted, where we may (root).

Rule: everything in it fails with ENOTCONN. An empty folder would say of every file that it does not exist,
and what believes that (`rsync --delete`) destroys; a bare folder would take files that the next mount hides.
How: a FUSE file system whose one server is gone. The kernel keeps the attributes of its root, which is all
that mounting the drive over it asks for. The shapes are those of linux/fuse.h, protocol 7.31.
"""

import ctypes
import os
import select
import struct
import threading
from contextlib import suppress
from pathlib import Path

from trivet.io.mount_table import GUARD, detached, find_mount

DEADLINE_S = 5.0
_REQUEST_BYTES = 1 << 17  # the kernel refuses to hand requests to smaller buffers
_REQUEST_HEADER = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
_ANSWER_HEADER = struct.Struct("<IiQ")  # length, error, unique
_INIT, _GETATTR = 26, 3
_INIT_ANSWER = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0)
_ROOT_MODE = 0o40555
_ATTRIBUTES = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, _ROOT_MODE, 2, 0, 0, 0, 4096, 0)
_GETATTR_ANSWER = struct.pack("<QII", 1 << 31, 0, 0) + _ATTRIBUTES  # valid for that many seconds
_READ_ONLY_NO_SUID_DEV_EXEC = 1 | 2 | 4 | 8


def place_guard(mount_point: Path) -> None:
    """Put the guard on the bare folder `mount_point`; does nothing where we may not, or over a mount.

    Blocks for some milliseconds, at most DEADLINE_S: not for a loop.
    """
    if find_mount(mount_point) is not None:
        return
    with suppress(OSError):
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        try:
            if _mounted(mount_point, device) and not _root_is_known(mount_point, device):
                detached(mount_point)
        finally:
            os.close(device)  # from here on nobody serves it


def remove_guard(mount_point: Path) -> None:
    """Take the guard away, if it lies bare."""
    entry = find_mount(mount_point)
    if entry is not None and entry.is_guard:
        detached(mount_point)


def _mounted(mount_point: Path, device: int) -> bool:
    options = f"fd={device},rootmode={_ROOT_MODE:o},user_id=0,group_id=0,allow_other".encode()
    where, kind = os.fsencode(mount_point), f"fuse.{GUARD}".encode()
    mount = ctypes.CDLL(None).mount
    return bool(mount(GUARD.encode(), where, kind, _READ_ONLY_NO_SUID_DEV_EXEC, options) == 0)


def _root_is_known(mount_point: Path, device: int) -> bool:
    """Serve the kernel until it has the root's attributes; a look from a thread makes it ask for them."""
    looking = threading.Thread(target=_look, args=(mount_point,), daemon=True)
    looking.start()
    while select.select([device], [], [], DEADLINE_S)[0]:
        request = os.read(device, _REQUEST_BYTES)
        _, opcode, unique, *_ = _REQUEST_HEADER.unpack_from(request)
        if opcode in (_INIT, _GETATTR):
            answer = _INIT_ANSWER if opcode == _INIT else _GETATTR_ANSWER
            os.write(device, _ANSWER_HEADER.pack(_ANSWER_HEADER.size + len(answer), 0, unique) + answer)
        if opcode == _GETATTR:
            looking.join(DEADLINE_S)
            return True
    return False


def _look(mount_point: Path) -> None:
    with suppress(OSError):
        os.stat(mount_point)
