"""One open file of a RemoteVolume: its handle at the keeper, kept through reconnects where that is right.

Rule: a handle of an ended session is opened anew; not if it is a snapshot, and not silently if something was
written since the last flush: that may be lost, and who flushes must hear so.
"""

import asyncio
from contextlib import suppress
from errno import ESTALE
from typing import TypeVar

import msgspec

from trivet.client.keeper_link import KeeperLink, StaleHandle
from trivet.errors import FileSystemError, OutcomeUnknown, TrivetError
from trivet.io.link import Body
from trivet.volume.body_calls import Open, ReadPlan, Release
from trivet.volume.call_types import Call

Result = TypeVar("Result")


class RemoteFile:
    """`plan` is a snapshot's where it is known, None for a file as it changes; `ahead` are MiBs of a
    snapshot that were asked for before they are read.
    """

    def __init__(
        self,
        keeper: KeeperLink,
        ino: int,
        handle: int,
        *,
        writing: bool = False,
        sync: bool = False,
        plan: ReadPlan | None = None,
    ) -> None:
        self.ino = ino
        self.handle = handle
        self.is_snapshot = plan is not None
        self.plan = plan
        self.plan_from_mib = 0
        self.next_offset = 0
        self.ahead: dict[int, asyncio.Task[bytes | bytearray | memoryview]] = {}
        self.sync = sync
        self.has_unflushed = False
        self.failure: TrivetError | None = None
        self.lock = asyncio.Lock()
        self._keeper = keeper
        self._writing = writing
        self._generation = keeper.generation

    async def move(self, call: Call, data: Body = b"") -> tuple[bytes, Body]:
        """Carry out a call that names this file's handle (which `call.handle` must be)."""
        try:
            return await self._keeper.move(call, data, generation=self._generation)
        except StaleHandle as error:
            if self.is_snapshot:
                raise FileSystemError(ESTALE, "the keeper that held this snapshot has ended") from error
            if self.has_unflushed:
                self.failure = OutcomeUnknown(
                    "the keeper ended: what was written since the last flush is lost"
                )
                raise self.failure from error
            await self._open_anew()
        again = msgspec.structs.replace(call, handle=self.handle)
        return await self._keeper.move(again, data, generation=self._generation)

    async def drop_ahead(self) -> None:
        """Give up what was asked for and not read."""
        ahead, self.ahead = list(self.ahead.values()), {}
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)

    async def ask(self, call: Call, result: type[Result]) -> Result:
        """Carry out such a call and return its result."""
        found, _data = await self.move(call)
        return msgspec.msgpack.decode(found, type=result)

    async def release(self) -> None:
        """Let go of the handle; an ended session has done so."""
        with suppress(StaleHandle):
            await self._keeper.move(Release(self.handle), b"", generation=self._generation)

    async def _open_anew(self) -> None:
        self.handle = await self._keeper.ask(Open(self.ino, self._writing, False, self.sync), int)
        self._generation = self._keeper.generation
