"""Blob names that the keeper lent to this client, and what this client has to tell of blobs.

Rule: names are lent for one session; what is left of another session's loan is thrown away.
Rule: reports are gathered for a moment; what can't be told soon is left to the keeper's own refresh.
"""

import asyncio
from contextlib import suppress

from trivet.client.keeper_link import KeeperLink
from trivet.errors import TrivetError
from trivet.volume.body_calls import BadCopies, BlobsStored, TakeNames
from trivet.volume.call_types import NAMES_MAX

GATHER_S = 0.02
REPORT_TIMEOUT_S = 2.0
REPORTS_MAX = 4096


class LentNames:
    """Hands out names one by one, asking for more when they run out."""

    def __init__(self, keeper: KeeperLink) -> None:
        self._keeper = keeper
        self._next = 0
        self._end = 0
        self._generation = 0
        self._asking = asyncio.Lock()

    async def take(self) -> int:
        """Return a name nobody had before."""
        async with self._asking:
            if self._next == self._end or self._generation != self._keeper.generation:
                self._next = await self._keeper.ask(TakeNames(NAMES_MAX), int)
                self._end = self._next + NAMES_MAX
                self._generation = self._keeper.generation
            name = self._next
            self._next += 1
            return name


class BlobReports:
    """Tells the keeper of third copies and of bad ones."""

    def __init__(self, keeper: KeeperLink) -> None:
        self._keeper = keeper
        self._late: dict[tuple[int, bool], list[int]] = {}
        self._bad: dict[int, list[int]] = {}
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    def late(self, name: int, base: int, well: bool) -> None:
        """Note that the bank at `base` now has a blob, or could not be given it."""
        self._note(self._late.setdefault((base, well), []), name)

    def bad(self, name: int, base: int) -> None:
        """Note that the bank at `base` had no good copy of a blob."""
        self._note(self._bad.setdefault(base, []), name)

    async def close(self) -> None:
        """Tell what is left."""
        if self._task is not None:
            await self._task

    def _note(self, names: list[int], name: int) -> None:
        if self._count < REPORTS_MAX:
            names.append(name)
            self._count += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._count:
            await asyncio.sleep(GATHER_S)
            late, bad = self._late, self._bad
            self._late, self._bad, self._count = {}, {}, 0
            with suppress(TrivetError):
                for (base, well), names in late.items():
                    for at in range(0, len(names), NAMES_MAX):
                        part = names[at : at + NAMES_MAX]
                        await self._keeper.ask(
                            BlobsStored(base, part, well), type(None), timeout_s=REPORT_TIMEOUT_S
                        )
                for base, names in bad.items():
                    part = names[:NAMES_MAX]
                    await self._keeper.ask(BadCopies(base, part), type(None), timeout_s=REPORT_TIMEOUT_S)
