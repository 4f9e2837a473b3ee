"""One mount from beginning to end: made, served, taken away clean.

Rule: a process serves one mount at a time, because pyfuse3 keeps its session in its module.
Rule: unmounting goes through the kernel while we still serve, so that what programs mapped and changed is
written first; only a mount that stays busy is detached lazily, and then cut off.
Rule: a dead mount stays until the moment it is renewed: what is written meanwhile must fail, not land in the
bare folder and be hidden.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pyfuse3

from trivet.errors import TrivetError
from trivet.io.away_files import Bring
from trivet.io.mount_table import (
    FILE_SYSTEM,
    abort_mount,
    clear_dead_mount,
    find_mount,
    set_read_ahead,
    unmount,
)
from trivet.mount import event_loop
from trivet.mount.forgetting import Forgetting
from trivet.mount.operations import VolumeOperations
from trivet.volume.file_numbers import FileNumbers
from trivet.volume.interface import MountableVolume

BUSY_TRIES = 5
BUSY_PAUSE_S = 0.2
WORKERS_MAX = 64
#: What pyfuse3 says when there is a session, but no mount.
MOUNT_FAILED = "fuse_session_mount failed"

log = logging.getLogger(__name__)


class MountSession:
    """A running mount."""

    def __init__(self, mount_point: Path, numbers: FileNumbers) -> None:
        self.mount_point = mount_point
        self._numbers = numbers
        self.unmounted = asyncio.Event()
        self.is_abandoned = False
        self._forgetting = Forgetting()
        self.forget_soon = self._forgetting.forget_soon

    async def forget(self, inodes: Collection[int], names: Collection[tuple[int, bytes]]) -> None:
        """See KernelCache."""
        if not self.unmounted.is_set():
            await self._forgetting.forget([self._numbers.of(ino) for ino in inodes], names)

    async def cut_off(self) -> None:
        """See KernelCache."""
        if not self.unmounted.is_set():
            await abort_mount(self.mount_point)

    def abandon(self) -> None:
        """Have the block's end stop serving at once: who waits gets an error, the dead mount stays."""
        self.is_abandoned = True

    def close(self) -> None:
        """Let go of what `forget` needs."""
        self._forgetting.close()


@asynccontextmanager
async def mounted(
    volume: MountableVolume,
    mount_point: Path,
    source: str,
    bring: Bring | None = None,
    *,
    read_only: bool = False,
) -> AsyncIterator[MountSession]:
    """Mount `volume` on the directory `mount_point` while the block runs; `source` is what `df` shows,
    `bring` fetches the body of a file that is away, `read_only` has the kernel refuse what changes anything.

    `unmounted` of the session is set when somebody took the mount away. Raises TrivetError if it can't be
    made. A bug in an operation ends the block with its AssertionError.
    """
    event_loop.install()
    options = {"default_permissions", f"fsname={source}", f"subtype={FILE_SYSTEM}"}
    if os.geteuid() == 0:
        options |= {"allow_other", "suid", "dev"}  # what root mounts is a file system like any other
    if read_only:
        options.add("ro")
    session = MountSession(mount_point, volume.numbers)
    operations = VolumeOperations(volume, session.forget_soon, bring)
    await clear_dead_mount(mount_point)
    try:
        pyfuse3.init(operations, str(mount_point), options)
    except RuntimeError as error:
        if str(error) == MOUNT_FAILED:
            pyfuse3.close(unmount=False)  # a process can make 1024 sessions that it does not close
        raise TrivetError(
            f"can't mount on {mount_point}: {error} (is /dev/fuse there and may you use it?)"
        ) from error
    failure: TrivetError | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(_serve(session))
            await operations.started.wait()
            entry = find_mount(mount_point)
            if entry is not None:  # only now: the kernel's own answer to the first request resets it
                set_read_ahead(entry)
            try:
                yield session
            except TrivetError as error:  # expected: told as it is, not inside a group
                failure = error
            finally:
                if session.is_abandoned:
                    serving.cancel()
                    await asyncio.wait([serving])
                if not serving.done():  # a bug in an operation: nobody serves any more
                    await _take_away(session)
                    await serving
    finally:
        session.close()
        # The kernel fails what is left once nobody holds the session's descriptor.
        pyfuse3.close(unmount=not (session.unmounted.is_set() or session.is_abandoned))
        if not session.is_abandoned:
            await unmount(mount_point, lazy=True)  # libfuse leaves a mount that was cut off where it is
    if failure is not None:
        raise failure


async def _serve(session: MountSession) -> None:
    await pyfuse3.main(min_tasks=1, max_tasks=WORKERS_MAX)
    session.unmounted.set()


async def _take_away(session: MountSession) -> None:
    """Unmount; after BUSY_TRIES detach a mount that somebody keeps busy and end serving it."""
    for _ in range(BUSY_TRIES):
        if session.unmounted.is_set() or await unmount(session.mount_point):
            return
        await asyncio.sleep(BUSY_PAUSE_S)
    log.warning("%s is in use; it was taken away all the same", session.mount_point)
    await unmount(session.mount_point, lazy=True)
    pyfuse3.terminate()
