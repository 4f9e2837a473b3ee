"""What has changed lately: one watch on the volume a worker, shared by all who wait.

Rule: who waits learns of a change by its slot; nothing is kept here, so a slow one misses nothing.
"""

import asyncio

from trivet.volume.interface import VersionedVolume

WAIT_S = 20.0


class ChangesFeed:
    """Wakes those who wait for changes of `volume`; `run` is its life."""

    def __init__(self, volume: VersionedVolume) -> None:
        self._volume = volume
        self._news = asyncio.Condition()
        self.slot = 0

    async def run(self) -> None:
        """Watch the volume until cancelled."""
        self.slot = await self._volume.newest_slot()
        while True:
            if not await self._volume.wait_changed(self.slot, WAIT_S):
                continue
            async with self._news:
                self.slot = await self._volume.newest_slot()
                self._news.notify_all()

    async def wait_behind(self, slot: int, timeout_s: float) -> bool:
        """Wait until something behind `slot` may have changed; False if it has not in time."""
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: self.slot > slot)
        except TimeoutError:
            return False
        return True
