"""The keeper's process from start to end: lock, control socket, takeover, door, clean stop.

Rule: the control socket answers from the first moment on, so that people hear why nothing is served yet.
Rule: a bug ends the process; the supervisor starts it again and nothing acknowledged is lost.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from trivet.errors import TrivetError
from trivet.io.control_socket import Handler, serve_control
from trivet.io.tls import server_tls
from trivet.io.volume_folder import VolumeFolder
from trivet.keeper.control import handlers
from trivet.keeper.door_aside import DoorAside
from trivet.keeper.keeper import Keeper
from trivet.keeper.loaded import Loaded
from trivet.keeper.seat import Seat
from trivet.keeper.stores import Durability
from trivet.keeper.volume_door import FarDoor, OutsideBlobs, VolumeDoor, open_door
from trivet.volume.interface import KernelCache, MountableVolume
from trivet.wire.control_messages import NOT_MOUNTED

log = logging.getLogger(__name__)

#: What serves the volume to the kernel, and hands back the kernel's cache, None without one.
Door = Callable[[MountableVolume], AbstractAsyncContextManager[KernelCache | None]]
BUG_EXIT_CODE = 70
_SWITCH_INTERVAL_S = 0.0005


class EarlyView(Protocol):
    """What shows the volume to the kernel, read-only, while `keeper` does not lead."""

    def begin(self, keeper: Keeper) -> None:
        """Show it from now on, as soon as it can be; the keeper's notes say why it can't."""

    async def leave(self) -> None:
        """Show it no longer and wait for nobody: the door comes in its place."""

    async def close(self) -> None:
        """Leave nothing behind."""


async def keep(
    seat: Seat, door: Door, view: EarlyView | None, *, durability: Durability | None, refresh_s: float
) -> int:
    """Serve the volume of `seat` through `door` until SIGTERM or SIGINT; return the exit code.

    Until its `door` opens it is shown in `view` (None: nowhere).
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_die)
    folder = seat.folder
    await seat.take()
    try:
        keeper = Keeper(folder, durability, refresh_s, seat)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, keeper.ended.set)
        await keeper.start()
        try:
            verbs = handlers(keeper)
            async with serve_control(folder.keeper_socket, verbs):
                await _serve(keeper, door, view, folder, verbs)
        finally:
            await keeper.close()
    finally:
        seat.let_go()
    return 3 if keeper.is_deposed else 0


async def _serve(
    keeper: Keeper, door: Door, view: EarlyView | None, folder: VolumeFolder, verbs: Mapping[str, Handler]
) -> None:
    keeper.notes["door"] = NOT_MOUNTED
    config = keeper.config
    host = config.host_of_keeper(keeper.name)
    far = FarDoor(config.keeper_port, server_tls(folder, host)) if host else None
    ended = asyncio.create_task(keeper.ended.wait())
    taking_over = asyncio.create_task(keeper.take_over())
    if view is not None:
        view.begin(keeper)
    try:
        await asyncio.wait({ended, taking_over}, return_when=asyncio.FIRST_COMPLETED)
        if not taking_over.done():
            return
        await taking_over
        assert keeper.loaded is not None
        if view is not None:  # only now: nothing can have been changed that it does not show
            await view.leave()
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        gc.disable()  # what the hot paths make has no cycles; a collection would stall everybody
        async with (
            door(keeper.loaded.volume) as cache,
            open_door(_volume_door(keeper, keeper.loaded, cache, verbs), folder.volume_socket, far),
        ):
            del keeper.notes["door"]
            await ended
            if keeper.is_deposed and cache is not None:
                await cache.cut_off()
    finally:
        for task in (ended, taking_over):
            task.cancel()
        with contextlib.suppress(TrivetError):
            await asyncio.gather(ended, taking_over, return_exceptions=True)
        if view is not None:
            await view.close()


def _volume_door(
    keeper: Keeper, loaded: Loaded, cache: KernelCache | None, verbs: Mapping[str, Handler]
) -> VolumeDoor:
    assert keeper.shell is not None
    blobs = OutsideBlobs(loaded.journal, loaded.queue, loaded.blobs)
    epoch = keeper.shell.leader.reign.epoch.number
    companion = loaded.companion
    aside = DoorAside(verbs, companion.follows_from_afar)
    return VolumeDoor(loaded.volume, epoch, keeper.key, blobs, cache, companion.may_answer, aside.answer)


def _die(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.critical("a bug: %s", context.get("message"), exc_info=error)
    if isinstance(error, Exception):
        logging.shutdown()
        os._exit(BUG_EXIT_CODE)
