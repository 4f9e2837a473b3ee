"""The folder of a keeper that does not lead yet: the drive, read-only, until it does.

Of one that stands by it is the drive as any client sees it; of one that waits for a person to say whether
banks that were rolled back are to count, the drive as they hold it.

Rule: whoever takes over waits for nobody who reads here: serving ends at once, programs get an error. The
dead mount stays until the keeper's own is put in its place: nothing is to be written into the bare folder.
Rule: without it a keeper goes on all the same, and says why it can't be read.
"""

import asyncio
import contextlib
import getpass
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from trivet.client.mounted_volume import MountedVolume
from trivet.errors import TrivetError
from trivet.io.away_files import AwayFiles
from trivet.io.mount_guard import place_guard, remove_guard
from trivet.io.mount_table import unmount
from trivet.io.volume_folder import VolumeFolder
from trivet.keeper.keeper import Keeper
from trivet.keeper.owned_task import own_task
from trivet.keeper.standing_by import STANDBY_FOLDER
from trivet.quorum.leader_log import LeaderLog
from trivet.supervise.volume_setup import has_supervisor
from trivet.volume.interface import MountableVolume
from trivet.wire.control_messages import SHOWN_READ_ONLY

AGAIN_S = 2.0
LAST_WORDS_S = 1.0
OLD_STATE = "old state"

#: What rolled back banks hold, and what is set as soon as it is something else, or nothing.
_Found = tuple[LeaderLog, asyncio.Event]

log = logging.getLogger(__name__)


class _Shown(NamedTuple):
    """What is to be read, until `is_over`; `note` says so meanwhile, "" if nobody has to be told."""

    volume: MountableVolume
    is_over: asyncio.Event
    note: str


class EarlyFolder:
    """An EarlyView of the drive in the state folder `state`, in the folder `where`; `df` shows `source`.

    `stands_by`: that of a keeper that follows another one.
    """

    def __init__(self, state: Path, where: Path, source: str, *, stands_by: bool) -> None:
        self._folder = VolumeFolder(state)  # that of the keeper that leads
        self._where = where
        self._source = source
        self._stands_by = stands_by
        self._showing: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def begin(self, keeper: Keeper) -> None:
        """See EarlyView."""
        self._showing = own_task(self._show_always(keeper))

    async def leave(self) -> None:
        """See EarlyView; the mount is dead when this returns, and is there still."""
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

    async def _show_always(self, keeper: Keeper) -> None:
        """Show it, again a moment after it failed or somebody unmounted it."""
        key, what = OLD_STATE, f"the drive as its banks hold it, in {self._where},"
        if self._stands_by:
            key, what = STANDBY_FOLDER, f"the folder of the keeper that stands by, {self._where},"
        notes = keeper.notes
        try:
            while True:
                try:
                    why = await self._show(keeper, key)
                except TrivetError as error:
                    why = str(error)
                said = f"{what} can't be read: {why}"
                if why and notes.get(key) != said:
                    log.warning("%s", said)
                    notes[key] = said
                await asyncio.sleep(AGAIN_S if why else 0)
        finally:
            notes.pop(key, None)

    async def _show(self, keeper: Keeper, key: str) -> str:
        """Serve the folder until that is over; return why it ended too early, or raise TrivetError."""
        from trivet.mount.session import mounted

        async with self._shown(keeper) as shown:
            # Who unmounts by hand may take the guard, too: a takeover would bare the folder for a moment.
            await asyncio.to_thread(place_guard, self._where)
            bring = partial(AwayFiles(self._folder).bring, user=getpass.getuser())
            async with mounted(shown.volume, self._where, self._source, bring, read_only=True) as session:
                keeper.notes.pop(key, None)
                if shown.note:
                    keeper.notes[key] = shown.note
                try:
                    await _first_of(session.unmounted, shown.is_over)
                    return "" if shown.is_over.is_set() else "somebody unmounted it"
                finally:
                    keeper.notes.pop(key, None)
                    session.abandon()

    @asynccontextmanager
    async def _shown(self, keeper: Keeper) -> AsyncIterator[_Shown]:
        """Give the drive of another keeper that leads, or that of rolled back banks once they are found."""
        found = asyncio.create_task(keeper.rolled_back.found())
        try:
            volume = await self._served_before(found) if self._stands_by else None
            if volume is None:
                given = _rolled_back(keeper, self._where, *await found)
            else:
                given = self._followed(volume, found)
            async with given as shown:
                yield shown
        finally:
            found.cancel()

    async def _served_before(self, found: asyncio.Task[_Found]) -> MountedVolume | None:
        """Return the volume as any client has it, as soon as a keeper leads; None if `found` ends first."""
        connecting = asyncio.create_task(MountedVolume.when_served(self._folder))
        try:
            await asyncio.wait({connecting, found}, return_when=asyncio.FIRST_COMPLETED)
            return await connecting if connecting.done() else None
        finally:
            connecting.cancel()
            await asyncio.wait([connecting])

    @asynccontextmanager
    async def _followed(self, volume: MountedVolume, found: asyncio.Task[_Found]) -> AsyncIterator[_Shown]:
        """Give the `volume` of the keeper that leads, until there is something else to be `found`."""
        is_over = asyncio.Event()
        found.add_done_callback(lambda _: is_over.set())
        try:
            yield _Shown(volume, is_over, "")
        finally:  # not awaited: it may have something to tell a keeper that is not there yet
            closing = own_task(_close(volume))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


@asynccontextmanager
async def _rolled_back(
    keeper: Keeper, where: Path, held: LeaderLog, is_over: asyncio.Event
) -> AsyncIterator[_Shown]:
    """Give the volume as banks hold it that were rolled back."""
    async with keeper.as_rolled_back(held) as volume:
        note = f"until then {where} {SHOWN_READ_ONLY}, as it was at slot {held.head}"
        yield _Shown(volume, is_over, note)


async def _first_of(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _close(volume: MountedVolume) -> None:
    with contextlib.suppress(TrivetError):
        await volume.close()
