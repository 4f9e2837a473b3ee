"""Servers added to a bank of a running drive: written down, started, told to the keepers, who fill them.

Rule: what volume.json says is so; whoever is killed on the way leaves it as it was, or a drive that knows
its new servers when it begins anew.
Rule: over several hosts a server is added on the host that it is to run on; the keeper that leads writes it
down first.
Rule: where a blob lies needs no agreement: all servers of a bank are asked for it (`quorum/placement.py`).
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from trivet.bank.object_blobs import store_used
from trivet.errors import Conflict, InputError, ReplicaError
from trivet.io.control_socket import NotRunning, Remote, Report, ask
from trivet.io.keeper_asking import ask_keeper
from trivet.io.reach import Reach
from trivet.io.server_folder import place_new
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.io.volume_growth import new_ports
from trivet.quorum.membership import KEEPER, STANDBY
from trivet.quorum.replacing import hindrances
from trivet.supervise.children import ChildKeeper
from trivet.supervise.describing import Describing
from trivet.supervise.probing import ask_server
from trivet.supervise.volume_setup import check_ports
from trivet.wire.control_messages import Status
from trivet.wire.refill_messages import Replaced, Replacement

STARTED_WITHIN_S = 20.0
LOOK_S = 0.1


class _Order(msgspec.Struct):
    base: int
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    disk: str | None = None


class Adding:
    """Adds servers to the drive in `folder`; `turn` is held while servers come or are exchanged.

    `host` is which of the volume's hosts this is, None if it is all on one machine.
    """

    def __init__(
        self, folder: VolumeFolder, children: ChildKeeper, turn: asyncio.Lock, host: str | None
    ) -> None:
        self._folder = folder
        self._children = children
        self._turn = turn
        self._host = host
        self._describing = Describing(folder, children)

    async def asked(self, arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        """Carry out an order of the control socket; InputError when it makes no sense.

        Raises ReplicaError when the servers belong to the bank now and do not answer yet.
        """
        try:
            order = msgspec.convert(arguments, _Order)
        except msgspec.ValidationError as error:
            raise InputError(f"add: {error}") from error
        adding = asyncio.create_task(
            self.add(order.base, order.count, None if order.disk is None else Path(order.disk))
        )
        try:
            done = await asyncio.shield(adding)
        finally:  # who asked may have left: it is not left half done
            await asyncio.wait({adding})
        await self._wait_started([server.port for server in done.servers])
        answer: Mapping[str, Any] = msgspec.to_builtins(done)
        return answer

    async def add(self, base: int, count: int, disk: Path | None) -> Replacement:
        """Give the bank at `base` so many more servers, their folders below `disk` (None: beside the others).

        Raises InputError or ConfigError when it can't be, Conflict while the drive is not whole.
        """
        async with self._turn:
            config = await self._described()
            ports = new_ports(config, base, count)
            await asyncio.to_thread(self._refuse_stores, config, base)
            await check_ports(ports)
            await self._make_sure(base)
            made = await asyncio.to_thread(self._place, base, ports, disk)
            if self._host is None:
                grown = config.grown(base, count)
                await asyncio.to_thread(self._folder.store_config, grown)
                self._children.take_in(grown)
                await self._tell_keepers()
            else:
                asked = {"base": base, "ports": ports, "host": self._host}
                grown = msgspec.convert(await ask_keeper(self._folder, "admit", asked), VolumeConfig)
                await self._describing.take_in(grown)
            return Replacement(made)

    async def _described(self) -> VolumeConfig:
        if self._host is None:
            return await asyncio.to_thread(self._folder.read_config)
        return await self._describing.learn()

    def _refuse_stores(self, config: VolumeConfig, base: int) -> None:
        used = config.blobs.get(str(base)) or store_used(self._folder.server_path(base, base) / "segments")
        if used:
            raise InputError(f"bank {base} keeps its blobs in {used}: no server can be added to it yet")

    async def _make_sure(self, base: int) -> None:
        status = msgspec.convert(await ask_keeper(self._folder, "status"), Status)
        found = hindrances(status, None)
        if found:
            raise Conflict(
                f"bank {base} gets no server while the drive is not whole: {'; '.join(found)}. "
                "`trivet status` tells when it is"
            )

    def _place(self, base: int, ports: Sequence[int], disk: Path | None) -> list[Replaced]:
        return [Replaced(port, str(place_new(self._folder, base, port, disk))) for port in ports]

    async def _tell_keepers(self) -> None:
        """Have every keeper look at volume.json; one that begins (anew) looks when its turn comes."""
        for name in (KEEPER, STANDBY):
            try:
                await ask(VolumeFolder(self._folder.path, name).keeper_socket, "grow")
            except NotRunning:
                continue
            except Remote as error:  # one that hangs is killed by whoever watches it, and begins anew
                if error.kind not in ("Died", "Hung"):
                    raise

    async def _wait_started(self, ports: Sequence[int]) -> None:
        reach = Reach(self._folder)
        silent = list(ports)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STARTED_WITHIN_S):
                while silent:
                    silent = [port for port in silent if await ask_server(port, reach) is None]
                    await asyncio.sleep(LOOK_S if silent else 0)
        if silent:
            logs = [str(server.log_path) for server in self._children.servers if server.port in silent]
            raise ReplicaError(
                f"server {', '.join(map(str, silent))} was added and is started again and again, but does "
                f"not answer: {', '.join(logs)} may say why"
            )
