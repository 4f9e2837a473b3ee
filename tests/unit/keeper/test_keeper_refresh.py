"""The refresh beside the repair queue: what one of them mended meanwhile does not end the other."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from trivet.keeper.refresh import Refresher
from trivet.volume.blob_names import BlobNames
from trivet.volume.namespace import Namespace


class MendedMeanwhile:
    """A repair queue in which everything is mended while the refresh compares."""

    def __init__(self) -> None:
        server = SimpleNamespace(base=7000, port=7000, is_up=True, generation=1)
        self.fleet = SimpleNamespace(banks=[[server]], servers=[])
        self.space = Namespace(BlobNames(1))
        self.open: dict[Any, Any] = {(7000, "/f", (), "blob"): SimpleNamespace(why="missing")}
        self.blobs = self
        self.refreshes = 0

    def acceptor(self, base: int) -> None:
        """No records are compared."""

    async def flaws_by_listing(self, bank: object, named: object, *, collect_orphans: bool) -> dict[Any, Any]:
        """Find nothing; by now the queue mended what was open."""
        self.refreshes += 1
        self.open.clear()
        return {}

    async def mend_blobs(self, flaws: object, named: object, paths: object) -> list[Any]:
        """Mend nothing."""
        return []


async def test_what_was_mended_meanwhile_does_not_end_the_refresh() -> None:
    queue = MendedMeanwhile()
    journal = SimpleNamespace(durable_slot=0, index=range(0), freed_through=lambda slot: [])
    refresher = Refresher(queue, journal, 0.02)  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while queue.refreshes < 3:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    await refresher.close()


def test_the_more_records_there_are_the_rarer_they_are_compared() -> None:
    """A million files are three million records; a bank may spend a twentieth of a processor on them."""
    paused: dict[int, float] = {}
    for records in (1000, 300_000, 3_000_000):
        refresher = Refresher.__new__(Refresher)
        refresher._period_s = 60.0
        refresher._journal = SimpleNamespace(index=range(records))  # type: ignore[assignment]
        paused[records] = refresher._pause_s
    assert paused == {1000: 60.0, 300_000: 60.0, 3_000_000: pytest.approx(480.0)}
