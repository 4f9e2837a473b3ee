"""A whole drive without processes and mount: a real keeper, and real banks behind real links, on one loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from bank_in_process import BankInProcess
from free_ports import free_bases
from trivet.bank.data_requests import Result
from trivet.io.link import Body, Peer, serve_link
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.keeper.control import handlers
from trivet.keeper.keeper import Keeper
from trivet.keeper.loaded import Loaded
from trivet.volume.interface import ROOT_INO, Caller
from trivet.wire.journal_messages import BankMessage

DEADLINE_S = 20.0


class ServedBank(BankInProcess):
    """A bank's server in this process that listens on its port."""

    is_listening = False

    async def listen(self) -> None:
        """Open the stores and take connections."""
        await self.open()
        self._serving: set[asyncio.Task[None]] = set()
        listener = socket.create_server(("127.0.0.1", self.port))
        self._server = await asyncio.start_server(self._connected, sock=listener)
        self.is_listening = True

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._speak(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def handle(message: BankMessage, body: Body, peer: Peer) -> Result:
            return self._requests.handle(message, body)

        try:
            await serve_link(reader, writer, self.key, handle)
        finally:
            writer.close()

    async def hang_up(self, *, clean: bool) -> None:
        """Stop listening and end, as a clean stop or a kill does."""
        self.is_listening = False
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await (self.stop() if clean else self.crash())


class SmallDrive:
    """Three banks of `servers` and their keeper; `banks[i]` are the servers of bank i."""

    def __init__(self, state: Path, servers: int = 1) -> None:
        folder = VolumeFolder(state)
        folder.create(VolumeConfig("00" * 8, free_bases(servers), servers))
        folder.keeper_path.mkdir()
        self.folder = folder
        self.banks = [[ServedBank(state, port) for port in row] for row in folder.read_config().ports()]
        self.keeper: Keeper

    @property
    def servers(self) -> list[ServedBank]:
        """Every server."""
        return [server for bank in self.banks for server in bank]

    @property
    def loaded(self) -> Loaded:
        """What the keeper serves."""
        assert self.keeper.loaded is not None
        return self.keeper.loaded

    async def ask(self, verb: str, **arguments: object) -> dict[str, Any]:
        """Return what a verb of the control socket answers."""
        return dict(await handlers(self.keeper)[verb](arguments, lambda progress: None))

    async def start_keeper(self, refresh_s: float = 3600.0) -> None:
        """Start a keeper and wait until it serves and has looked at everything once."""
        await self.begin_keeper(refresh_s)
        # Its first refresh and scrub are over, so that they mend nothing that a test spoils.
        await self.until(lambda: self.loaded.refresher.scrub_state().finished_age_s is not None)

    async def begin_keeper(self, refresh_s: float = 3600.0) -> None:
        """Start a keeper and wait until it serves."""
        self.keeper = Keeper(self.folder, None, refresh_s)
        await self.keeper.start()
        async with asyncio.timeout(DEADLINE_S):
            await self.keeper.take_over()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.02)

    async def write(self, name: bytes, body: bytes) -> int:
        """Write a file and return its inode, everything durable."""
        volume = self.loaded.volume
        made, handle = await volume.create(ROOT_INO, name, 0o644, Caller(0, 0))
        for at in range(0, len(body), 1 << 20):
            await volume.write(handle, at, body[at : at + (1 << 20)])
        await volume.fsync(handle)
        await volume.release(handle)
        return made.ino

    async def read(self, name: bytes) -> bytes:
        """Return what a file holds."""
        volume = self.loaded.volume
        ino = (await volume.lookup(ROOT_INO, name)).ino
        handle = await volume.open(ino, writing=False, truncate=False, sync=False)
        try:
            return bytes(await volume.read(handle, 0, 1 << 24))
        finally:
            await volume.release(handle)


@contextlib.asynccontextmanager
async def small_drive(state: Path, servers: int = 1) -> AsyncIterator[SmallDrive]:
    """A drive that serves for the time of the block."""
    drive = SmallDrive(state, servers)
    for server in drive.servers:
        await server.listen()
    await drive.start_keeper()
    try:
        yield drive
    finally:
        await drive.keeper.close()
        for server in drive.servers:
            if server.is_listening:
                await server.hang_up(clean=False)
