"""A RemoteVolume for a kernel: the drive in a folder of a process, or a host, that has no keeper.

Rule: nobody tells this kernel what to forget, so it asks: for a file each time its name is used, for folders
and attributes after KEPT_S. What was closed elsewhere is there for who opens it here.
Rule: a kernel knows the size of what is written here before the keeper does: who asks for attributes is
answered once the keeper has it. What nobody closes is handed over within STORE_EVERY_S.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Self

import msgspec

from trivet.client.keeper_link import CALL_TIMEOUT_S
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import NoMajority, TrivetError
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.attributes import PAGE_BYTES
from trivet.volume.file_numbers import FileNumbers
from trivet.volume.interface import ROOT_INO, Attributes, DirectoryEntry, KernelKeeps
from trivet.volume.name_calls import GetAttr

KEPT_S = 0.5
STORE_EVERY_S = 0.5
FIRST_WAIT_S, LAST_WAIT_S = 10.0, 2.0

log = logging.getLogger(__name__)


class MountedVolume(RemoteVolume):
    """A MountableVolume; times of access are not renewed, holes are not told apart."""

    def __init__(self, folder: VolumeFolder) -> None:
        super().__init__(folder)
        self.numbers = FileNumbers()
        self.keeps = KernelKeeps(KEPT_S, 0.0, 0.0, KEPT_S, pages=False)
        self._storing: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, folder: VolumeFolder, *, timeout_s: float = CALL_TIMEOUT_S) -> Self:
        """See RemoteVolume."""
        volume = await super().connect(folder, timeout_s=timeout_s)
        volume._storing = asyncio.create_task(volume._store_now_and_then())
        return volume

    @classmethod
    async def when_served(cls, folder: VolumeFolder) -> Self:
        """Return a client as soon as there is a keeper: hosts are started in any order."""
        while True:
            try:
                return await cls.connect(folder, timeout_s=FIRST_WAIT_S)
            except NoMajority as error:
                log.warning("waiting for the keeper: %s", error)

    async def is_served(self) -> bool:
        """Tell whether a keeper answers, within LAST_WAIT_S."""
        try:
            await self._keeper.ask(GetAttr(ROOT_INO), Attributes, timeout_s=LAST_WAIT_S)
        except NoMajority:
            return False
        return True

    async def close(self) -> None:
        """See RemoteVolume."""
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.wait([self._storing])
        await super().close()

    async def lookup(self, parent: int, name: bytes) -> Attributes:
        """Return what a name names."""
        unstored = self._unstored()  # before it is asked: what is stored meanwhile may not be in the answer
        found = await super().lookup(parent, name)
        return await self.getattr(found.ino) if found.ino in unstored else found

    async def getattr(self, ino: int) -> Attributes:
        """Return what stat(2) tells, what was written here included."""
        await self._hand_over(ino)
        return await super().getattr(ino)

    async def listing(self, ino: int, after_cookie: int, limit: int) -> Sequence[DirectoryEntry]:
        """Return up to `limit` entries behind `after_cookie`."""
        unstored = self._unstored()
        found = await super().listing(ino, after_cookie, limit)
        if not unstored:
            return found
        return [
            msgspec.structs.replace(entry, attributes=await self.getattr(entry.attributes.ino))
            if entry.attributes.ino in unstored
            else entry
            for entry in found
        ]

    async def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        """Give a file one more name, behind what was written of it."""
        await self._hand_over(ino)
        return await super().link(ino, parent, name)

    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool, exchange: bool
    ) -> None:
        """Move a name, behind what was written of the files."""
        await self._hand_over(*self._unstored())
        await super().rename(parent, name, new_parent, new_name, replace=replace, exchange=exchange)

    def hold(self, ino: int) -> None:
        """What has no name any more goes, unless a file is open."""

    def let_go(self, ino: int) -> None:
        """Nothing was held."""

    def held_bytes(self, attributes: Attributes) -> int:
        """Return its size in whole pages."""
        return -(-attributes.size // PAGE_BYTES) * PAGE_BYTES

    def is_access_due(self, ino: int) -> bool:
        """Times of access are not renewed from here."""
        return False

    def note_access(self, ino: int) -> None:
        """Times of access are not renewed from here."""

    def note_read(self, handle: int) -> None:
        """Times of access are not renewed from here."""

    def _unstored(self) -> set[int]:
        """Return the files of which something was written that the keeper does not have."""
        return {
            file.ino
            for handle, writer in self._writers.items()
            if not writer.is_clean and (file := self._files.get(handle)) is not None and file.failure is None
        }

    async def _hand_over(self, *inos: int) -> None:
        """Let the keeper have what was written to some files; what fails is told to who wrote it."""
        for handle in list(self._writers):
            file = self._files.get(handle)
            if file is not None and file.ino in inos and file.failure is None:
                with contextlib.suppress(TrivetError):
                    await self._store(handle, file)

    async def _store_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(STORE_EVERY_S)
            await asyncio.gather(*(self._hand_over(ino) for ino in self._unstored()))
