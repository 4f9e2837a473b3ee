"""Servers of other hosts that are to belong to the volume: the keeper that leads writes them down first.

Rule: one place says which ports come next; every host reads from it what the volume has.
Rule: the keeper that may follow knows of a server before anything lies there.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import Conflict, InputError
from trivet.io.volume_folder import VolumeConfig
from trivet.io.volume_growth import new_ports
from trivet.keeper.bank_links import Fleet
from trivet.keeper.companion import Companion


class _Admission(msgspec.Struct):
    """The servers on `ports` of `host`, for the bank at `base`."""

    base: int
    ports: list[int]
    host: str


class Admitting:
    """Lets servers into the volume of `fleet`, one order after the other."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._turn = asyncio.Lock()

    async def described(self) -> VolumeConfig:
        """Return what the volume has."""
        return await asyncio.to_thread(self._fleet.folder.read_config)

    async def admit(self, arguments: Mapping[str, Any], companion: Companion) -> VolumeConfig:
        """Let servers in; return what the volume has then.

        Raises InputError or Conflict if they can't be, Conflict also while `companion`, on another host, does
        not hear of it.
        """
        try:
            asked = msgspec.convert(arguments, _Admission)
        except msgspec.ValidationError as error:
            raise InputError(f"admit: {error}") from error
        async with self._turn:
            config = await self.described()
            if not config.hosts:
                raise InputError("this drive is on one machine: its servers are added there")
            if new_ports(config, asked.base, len(asked.ports)) != asked.ports:
                raise Conflict("another server was added just now: try again")
            companion.must_hear()
            grown = config.grown(asked.base, len(asked.ports), asked.host)
            await asyncio.to_thread(self._fleet.folder.store_config, grown)
            await self._fleet.grow()
            await companion.heard_of(grown.size)
            return grown
