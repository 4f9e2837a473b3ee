"""The folder of a keeper that stands by: the drive as any client sees it, read-only, until it leads.

Rule: whoever takes over waits for nobody who reads here: serving ends at once, programs get an error. The
dead mount stays until the keeper's own is put in its place: nothing is to be written into the bare folder.
Rule: without it a keeper stands by all the same, and says why it can't be read.
"""

import asyncio
import contextlib
import getpass
import logging
from functools import partial
from pathlib import Path

from trivet.client.mounted_volume import MountedVolume
from trivet.errors import TrivetError
from trivet.io.away_files import AwayFiles
from trivet.io.mount_guard import place_guard, remove_guard
from trivet.io.mount_table import unmount
from trivet.io.volume_folder import VolumeFolder
from trivet.keeper.owned_task import own_task
from trivet.keeper.standing_by import STANDBY_FOLDER
from trivet.supervise.volume_setup import has_supervisor

AGAIN_S = 2.0
LAST_WORDS_S = 1.0

log = logging.getLogger(__name__)


class StandbyFolder:
    """A StandbyView of the drive in the state folder `state`, in the folder `where`; `df` shows `source`."""

    def __init__(self, state: Path, where: Path, source: str) -> None:
        self._folder = VolumeFolder(state)  # that of the keeper that leads
        self._where = where
        self._source = source
        self._showing: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def begin(self, notes: dict[str, str]) -> None:
        """See StandbyView."""
        self._showing = own_task(self._show_always(notes))

    async def leave(self) -> None:
        """See StandbyView; the mount is dead when this returns, and is there still."""
        showing, self._showing = self._showing, None
        if showing is not None:
            showing.cancel()
            await asyncio.wait([showing])

    async def close(self) -> None:
        """Take the folder away, unless somebody else serves it now."""
        is_mine = self._showing is not None
        await self.leave()
        if is_mine:
            await unmount(self._where, lazy=True)
            if not has_supervisor(self._folder):
                remove_guard(self._where)
        if self._closing:
            _done, late = await asyncio.wait(self._closing, timeout=LAST_WORDS_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _show_always(self, notes: dict[str, str]) -> None:
        """Show it, again a moment after it failed or somebody unmounted it."""
        try:
            while True:
                try:
                    await self._show(notes)
                    why = "somebody unmounted it"
                except TrivetError as error:
                    why = str(error)
                said = f"the folder of the keeper that stands by, {self._where}, can't be read: {why}"
                if notes.get(STANDBY_FOLDER) != said:
                    log.warning("%s", said)
                notes[STANDBY_FOLDER] = said
                await asyncio.sleep(AGAIN_S)
        finally:
            notes.pop(STANDBY_FOLDER, None)

    async def _show(self, notes: dict[str, str]) -> None:
        """Serve the folder until somebody unmounts it; raises TrivetError if it can't be mounted."""
        from trivet.mount.session import mounted

        volume = await MountedVolume.when_served(self._folder)
        try:
            # Who unmounts by hand may take the guard, too: a takeover would bare the folder for a moment.
            await asyncio.to_thread(place_guard, self._where)
            bring = partial(AwayFiles(self._folder).bring, user=getpass.getuser())
            async with mounted(volume, self._where, self._source, bring, read_only=True) as session:
                notes.pop(STANDBY_FOLDER, None)
                try:
                    await session.unmounted.wait()
                finally:
                    session.abandon()
        finally:  # not awaited: it may have something to tell a keeper that is not there yet
            closing = own_task(_close(volume))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


async def _close(volume: MountedVolume) -> None:
    with contextlib.suppress(TrivetError):
        await volume.close()
