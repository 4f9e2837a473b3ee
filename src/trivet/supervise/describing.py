"""What the volume has, as each of its hosts knows it: the keeper that leads is asked now and then.

Rule: a volume only grows; a description with fewer servers than ours is older, whoever tells it.
"""

import asyncio
import contextlib

import msgspec

from trivet.errors import TrivetError
from trivet.io.keeper_asking import ask_keeper
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.children import ChildKeeper

EVERY_S = 2.0


class Describing:
    """Keeps the volume.json in `folder` at the newest, and has `children` look after this host's servers."""

    def __init__(self, folder: VolumeFolder, children: ChildKeeper) -> None:
        self._folder = folder
        self._children = children

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            with contextlib.suppress(TrivetError):  # nobody leads: it is asked again
                await self.learn()

    async def learn(self) -> VolumeConfig:
        """Return what the volume has; raises TrivetError where nobody can tell."""
        told = msgspec.convert(await ask_keeper(self._folder, "describe"), VolumeConfig)
        await self.take_in(told)
        return told

    async def take_in(self, told: VolumeConfig) -> None:
        """Write down what we did not know, and start what belongs to this host."""
        known = await asyncio.to_thread(self._folder.read_config)
        if told.volume != known.volume or told.size < known.size:
            return
        if told.size > known.size:
            await asyncio.to_thread(self._folder.store_config, told)
        self._children.take_in(told)
