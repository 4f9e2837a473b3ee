"""Small files asked for again and again, kept by a worker; asking for the version proves them.

Rule: nothing is served from here unless the volume, asked after the request came, said that the file is at
that very version; requests that come while it is asked share the next question.
Rule: what is kept is told only to those who may read everything: it says nothing of folders above.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from errno import ENOENT, ESTALE

import msgspec

from trivet.drive.rights import Principal
from trivet.errors import FileSystemError
from trivet.volume.interface import VersionedVolume

KEPT_BYTES = 32 << 20


class HotFile(msgspec.Struct, frozen=True):
    """A file's bytes at one version, and the headers that go with them; `vendor` is the upstream it is of."""

    ino: int
    version: int
    headers: dict[str, str]
    data: bytes
    path: str = ""


class HotFiles:
    """At most KEPT_BYTES of files by id; what was asked for longest ago goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, HotFile] = OrderedDict()
        self.size_bytes = 0
        #: Whether what was asked for could be served from here: told for each question.
        self.on_asked: Callable[[bool], None] = lambda found: None
        self._asked: dict[int, asyncio.Task[int]] = {}
        self._next: dict[int, asyncio.Task[int]] = {}

    @property
    def items(self) -> int:
        """How many files are kept."""
        return len(self._kept)

    async def get(self, volume: VersionedVolume, file_id: str, who: Principal) -> HotFile | None:
        """Return the file if it is kept, has not changed, and `who` may read everything."""
        found = await self._kept_now(volume, file_id) if who.may("r", "/") else None
        self.on_asked(found is not None)
        return found

    async def _kept_now(self, volume: VersionedVolume, file_id: str) -> HotFile | None:
        found = self._kept.get(file_id)
        if found is None:
            return None
        try:
            version = await self._version(volume, found.ino)
        except FileSystemError as error:
            if error.errno not in {ENOENT, ESTALE}:
                raise
            version = -1
        if version != found.version:
            self._drop(file_id)
            return None
        self._kept.move_to_end(file_id)
        return found

    async def _version(self, volume: VersionedVolume, ino: int) -> int:
        """Return the version of `ino` as it is now or later."""
        before = self._asked.get(ino)
        waiting = self._asked if before is None else self._next
        task = waiting.get(ino)
        if task is None:
            task = waiting[ino] = asyncio.create_task(_ask_after(before, volume, ino))
            task.add_done_callback(lambda done: self._answered(ino, done))
        return await asyncio.shield(task)

    def _answered(self, ino: int, done: asyncio.Task[int]) -> None:
        if not done.cancelled():
            done.exception()  # who asked may be gone
        del self._asked[ino]
        if ino in self._next:
            self._asked[ino] = self._next.pop(ino)

    def keep(self, file_id: str, file: HotFile) -> None:
        """Keep a file."""
        self._drop(file_id)
        self._kept[file_id] = file
        self.size_bytes += len(file.data)
        while self.size_bytes > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, file_id: str) -> None:
        found = self._kept.pop(file_id, None)
        if found is not None:
            self.size_bytes -= len(found.data)


async def _ask_after(before: asyncio.Task[int] | None, volume: VersionedVolume, ino: int) -> int:
    if before is not None:
        await asyncio.wait([before])
    return await volume.version(ino)
