"""How a keeper that stands by tells the one that leads that it follows: on this machine, or on another host.

Rule: who leads hears of it on its door alone, which it opens once it leads; nobody else takes it in.
"""

import asyncio
import contextlib
import os
from typing import Protocol

from trivet.errors import TrivetError
from trivet.io.control_socket import ask
from trivet.io.link import Link
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.volume_messages import KeeperFollows

TOLD_WITHIN_S = 2.0


class FollowingNews(Protocol):
    """Tells the keeper that leads how far this one has read, and what is wrong with its folder."""

    async def tell(self, slot: int, trouble: str) -> None:
        """Tell it once; raises TrivetError where nobody leads."""

    async def close(self) -> None:
        """Let go of what it takes."""


class NearNews:
    """To the keeper on this machine whose paths are those of `folder`."""

    def __init__(self, folder: VolumeFolder) -> None:
        self._socket = folder.keeper_socket

    async def tell(self, slot: int, trouble: str) -> None:
        """See FollowingNews."""
        said = {"pid": os.getpid(), "slot": slot, "trouble": trouble}
        await ask(self._socket, "follow", said, silence_s=TOLD_WITHIN_S)

    async def close(self) -> None:
        """Nothing is kept."""


class FarNews:
    """From the keeper called `name` to the one on `host`, by `reach`, over a link of its own that stays."""

    def __init__(self, folder: VolumeFolder, reach: Reach, name: str, host: str) -> None:
        self._folder = folder
        self._reach = reach
        self._name = name
        self._host = host
        self._link: Link | None = None

    async def tell(self, slot: int, trouble: str) -> None:
        """See FollowingNews."""
        if self._link is None or self._link.lost.is_set():
            self._link = await self._reach.keeper_on(self._host, timeout_s=TOLD_WITHIN_S)
        try:
            config = await asyncio.to_thread(self._folder.read_config)
            said = KeeperFollows(self._name, os.getpid(), slot, trouble, config.size)
            await self._link.request(said, timeout_s=TOLD_WITHIN_S)
        except TrivetError:
            self._link.abort()
            self._link = None
            raise

    async def close(self) -> None:
        """End the link."""
        if self._link is not None:
            with contextlib.suppress(TrivetError):
                await self._link.close()
