"""Servers of a running drive that begin anew in empty folders, and are filled from the other banks.

Rule: they are stopped only once both other banks are whole; what they had is kept until somebody removes it.
Rule: whatever happens on the way, they are started again, with what they had or without.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from trivet.errors import Conflict, InputError
from trivet.io.control_socket import Report
from trivet.io.keeper_asking import ask_keeper
from trivet.io.server_folder import exchange, new_folder
from trivet.io.volume_folder import VolumeFolder
from trivet.quorum.replacing import hindrances
from trivet.supervise.children import ChildKeeper
from trivet.wire.control_messages import Status
from trivet.wire.refill_messages import Replaced, Replacement


class _Order(msgspec.Struct):
    ports: list[int]
    disk: str | None = None


class Replacing:
    """Replaces servers of the drive in `folder`; `turn` is held while servers come or are exchanged."""

    def __init__(self, folder: VolumeFolder, children: ChildKeeper, turn: asyncio.Lock) -> None:
        self._folder = folder
        self._children = children
        self._turn = turn

    async def asked(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        """Carry out an order of the control socket; InputError when it makes no sense."""
        try:
            order = msgspec.convert(arguments, _Order)
        except msgspec.ValidationError as error:
            raise InputError(f"replace: {error}") from error
        done = await self.replace(order.ports, None if order.disk is None else Path(order.disk))
        answer: Mapping[str, Any] = msgspec.to_builtins(done)
        return answer

    async def replace(self, ports: Sequence[int], disk: Path | None) -> Replacement:
        """Let the servers on `ports`, of one bank, begin anew below `disk` (None: in the state folder).

        Raises Conflict while that would leave a single good copy of anything, InputError when it can't be.
        """
        bases = {self._children.base_of(port) for port in ports}
        if len(bases) != 1:
            raise InputError("name servers of one bank: the other two fill them")
        base = bases.pop()
        async with self._turn:
            await self._make_sure(base)
            fresh = await asyncio.to_thread(_new_folders, disk, ports)
            try:
                await self._stop(ports)
                exchanging = asyncio.create_task(asyncio.to_thread(self._exchange, base, fresh))
                try:
                    done = await asyncio.shield(exchanging)
                finally:  # who asked may have left: they must not be started in the midst of it
                    await asyncio.wait({exchanging})
            finally:
                self._children.start(ports)
            return Replacement(done)

    async def _make_sure(self, base: int) -> None:
        status = msgspec.convert(await ask_keeper(self._folder, "status"), Status)
        found = hindrances(status, base)
        if found:
            raise Conflict(
                f"bank {base} keeps what it has: it could be the last good copy, for {'; '.join(found)}. The "
                "other two banks must be whole first; `trivet status` tells when they are"
            )
        for server in self._children.servers:
            if server.by_hand is not None and self._children.base_of(server.port or 0) == base:
                raise InputError(f"server {server.port} was started by hand: end it, and try again")

    async def _stop(self, ports: Sequence[int]) -> None:
        try:
            await self._children.stop(ports)
        except TimeoutError:
            raise Conflict(
                "the server does not end, its disk may hang; nothing was changed: free it, and try again"
            ) from None

    def _exchange(self, base: int, fresh: dict[int, Path | None]) -> list[Replaced]:
        done = []
        for port, path in fresh.items():
            kept = exchange(self._folder, base, port, path)
            place = path or self._folder.server_path(base, port)
            done.append(Replaced(port, str(place), None if kept is None else str(kept)))
        return done


def _new_folders(disk: Path | None, ports: Sequence[int]) -> dict[int, Path | None]:
    return {port: None if disk is None else new_folder(disk, port) for port in ports}
