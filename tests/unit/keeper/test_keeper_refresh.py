"""The refresh beside the repair queue: what one of them mended meanwhile does not end the other."""

import asyncio
from types import SimpleNamespace
from typing import Any

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
    journal = SimpleNamespace(durable_slot=0, freed_through=lambda slot: [])
    refresher = Refresher(queue, journal, 0.02)  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while queue.refreshes < 3:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    await refresher.close()
