"""What a worker's boards share: one child that counts as long as anybody looks, and its newest frame.

Rule: the worker passes frames on as bytes; it counts nothing, so that its loop serves people.
Rule: one frame is kept, the newest: whoever reads slowly misses frames, and nothing piles up anywhere.
Rule: the child is started with the first who looks and ended some seconds after the last; it ends with us.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from trivet.errors import TrivetError
from trivet.io import runner
from trivet.wire.board_frames import FramePair

#: How long the child goes on when nobody looks any more: a page that is loaded anew finds it.
LINGER_S = 10.0
AGAIN_S = 1.0
PARTING_S = 2.0
LINE_BYTES = 4 << 20

log = logging.getLogger(__name__)


class BoardFeed:
    """The newest frame of the drive whose child is started by `argv`."""

    def __init__(self, argv: Sequence[str], linger_s: float = LINGER_S) -> None:
        self._argv = list(argv)
        self._linger_s = linger_s
        self._lookers = 0
        self._frame: FramePair | None = None
        self._number = 0
        self._news = asyncio.Condition()
        self._running: asyncio.Task[None] | None = None
        self._parting: set[asyncio.Task[None]] = set()
        self._ending: asyncio.TimerHandle | None = None
        self._rest = b""

    @property
    def is_counting(self) -> bool:
        """Whether the child is wanted now."""
        return self._running is not None

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Have frames made as long as the block runs."""
        self._lookers += 1
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._lookers -= 1
            if not self._lookers and self._running is not None:
                self._ending = asyncio.get_running_loop().call_later(self._linger_s, self._part)

    async def newest(self, after: int) -> tuple[int, FramePair]:
        """Return the newest frame and its number as soon as that is more than `after`."""
        async with self._news:
            await self._news.wait_for(lambda: self._frame is not None and self._number > after)
            assert self._frame is not None
            return self._number, self._frame

    async def close(self) -> None:
        """End the child."""
        if self._ending is not None:
            self._ending.cancel()
        self._part()
        if self._parting:
            await asyncio.wait(self._parting)

    def _part(self) -> None:
        """Have the child end; whoever looks from now on starts another."""
        if self._running is not None:
            self._running.cancel()
            self._parting.add(self._running)
            self._running.add_done_callback(self._parting.discard)
        self._running = self._ending = self._frame = None

    async def _run(self) -> None:
        while True:
            await self._count()
            await asyncio.sleep(AGAIN_S)

    async def _count(self) -> None:
        """Run the child to its end; it is not meant to end by itself."""
        self._rest = b""
        env = {**os.environ, "PYTHONSAFEPATH": "1"}
        try:
            async with runner.start(self._argv, env=env, sink=self._take, parting_s=PARTING_S) as child:
                end = await child.wait()
            log.warning("the board's process ended: %s", end.stderr[-2000:].decode(errors="replace"))
        except TrivetError as error:
            log.warning("the board's process could not be started: %s", error)

    async def _take(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            raise AssertionError("a frame of the board has no end")
        if lines:
            self._frame = msgspec.json.decode(lines[-1], type=FramePair)
            self._number += 1
            async with self._news:
                self._news.notify_all()


def board_feed(state: Path) -> BoardFeed:
    """Return the feed of the drive whose state folder is `state`."""
    return BoardFeed([sys.executable, "-m", "trivet", "serve", "board", "--state", str(state)])
