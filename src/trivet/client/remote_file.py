"""One open file of a RemoteVolume: its handle at the keeper, kept through reconnects where that is right.

Rule: a handle of an ended session is opened anew, and what was written since the last flush is written again;
not if it is a snapshot.
"""

import asyncio
from contextlib import suppress
from errno import ESTALE
from typing import TypeVar

import msgspec

from trivet.client.keeper_link import KeeperLink, StaleHandle
from trivet.client.unflushed import Unflushed
from trivet.errors import FileSystemError, TrivetError
from trivet.io.link import Body
from trivet.volume.body_calls import Flush, Open, ReadPlan, Release, Write
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
        self.unflushed = Unflushed(keeper.held)
        self.failure: TrivetError | None = None
        self.lock = asyncio.Lock()
        self._keeper = keeper
        self._writing = writing
        self._generation = keeper.generation
        self._resuming = asyncio.Lock()

    async def move(self, call: Call, data: Body = b"") -> tuple[bytes, Body]:
        """Carry out a call that names this file's handle (which `call.handle` must be)."""
        while True:
            try:
                return await self._keeper.move(call, data, generation=self._generation)
            except StaleHandle as error:
                if self.is_snapshot:
                    raise FileSystemError(ESTALE, "the keeper that held this snapshot has ended") from error
            with suppress(StaleHandle):  # the keeper after that one has ended, too
                await self._open_anew()
            call = msgspec.structs.replace(call, handle=self.handle)

    async def flush(self) -> None:
        """What was handed over, and the file's name, are acked."""
        count = len(self.unflushed.writes)
        await self.ask(Flush(self.handle), type(None))
        self.unflushed.forget(count)

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
        self.unflushed.forget()
        with suppress(StaleHandle):
            await self._keeper.move(Release(self.handle), b"", generation=self._generation)

    async def _open_anew(self) -> None:
        async with self._resuming:
            if self._generation == self._keeper.generation:
                return
            handle = await self._keeper.ask(Open(self.ino, self._writing, False, self.sync), int)
            generation = self._keeper.generation
            for offset, data in self.unflushed.writes:
                await self._keeper.move(Write(handle, offset), data, generation=generation)
            self.handle, self._generation = handle, generation
