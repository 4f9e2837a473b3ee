"""kill -9 of the keeper and of one bank right after a step, and a look at everything that was acknowledged.

Rule: what must be there is known before the kill, from what was written, not from what the drive tells.
"""

import asyncio
import hashlib
import os
import random
import signal
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

from trivet.cli.status import drive_status
from trivet.errors import TrivetError
from trivet.io.volume_folder import VolumeFolder

#: What a path must hold, as a BLAKE2b digest; None where nothing may be.
Expected = Mapping[Path, bytes | None]
Acknowledged = Callable[[Expected], None]
BACK_WITHIN_S = 120.0
LOOK_S = 0.1
BODY_BYTES = 4096


def nothing_follows(expected: Expected) -> None:
    """Let a step go on."""


def digest_of(data: bytes) -> bytes:
    """Return the digest of what a file should hold."""
    return hashlib.blake2b(data).digest()


def digest_in(path: Path) -> bytes:
    """Return the digest of what a file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def unpacked(tar: Path, top: Path) -> dict[Path, bytes | None]:
    """Return what the files of `tar` hold, where they lie below `top`."""
    with tarfile.open(tar) as archive:
        bodies = ((one.name, archive.extractfile(one)) for one in archive if one.isfile())
        return {top / name: digest_of(body.read()) for name, body in bodies if body is not None}


def body_of(folder: Path) -> bytes:
    """Return what the files in `folder` hold."""
    return random.Random(folder.name).randbytes(BODY_BYTES)


class Killer:
    """Kills the keeper and one bank of the drive in `state` whenever a step says what it has acknowledged."""

    def __init__(self, state: Path, mount: Path) -> None:
        self._folder, self._mount = VolumeFolder(state), mount
        self._state = state
        self._bases = self._folder.read_config().bases
        self.kills = self.checked = 0

    def __call__(self, expected: Expected) -> None:
        """Kill, wait until the drive is whole again, and compare; OSError if anything differs."""
        victims = [*self._processes("keeper"), *self._processes("bank", self._bases[self.kills % 3])]
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
        began = time.monotonic()
        psutil.wait_procs(victims, timeout=BACK_WITHIN_S)
        self.kills += 1
        while not self._is_whole():
            if time.monotonic() - began > BACK_WITHIN_S:
                raise TimeoutError("the drive did not become whole again")
            time.sleep(LOOK_S)
        wrong = [path for path, digest in expected.items() if _digest_or_none(path) != digest]
        if wrong:
            raise OSError(f"{len(wrong)} of {len(expected)} acknowledged are not so any more: {wrong[:3]}")
        self.checked += len(expected)
        print(
            f"  killed; whole again after {time.monotonic() - began:.1f} s; {len(expected):,} right",
            flush=True,
        )

    def _processes(self, kind: str, port: int | None = None) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if kind in words and str(self._state) in words and (port is None or str(port) in words):
                yield process

    def _is_whole(self) -> bool:
        try:
            os.stat(self._mount)
            told: dict[str, Any] = msgspec.to_builtins(asyncio.run(drive_status(self._folder)))
        except (OSError, TrivetError):
            return False
        return bool(told["healthy"])


def _digest_or_none(path: Path) -> bytes | None:
    try:
        return digest_in(path)
    except FileNotFoundError:
        return None
