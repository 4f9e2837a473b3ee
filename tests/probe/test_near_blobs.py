"""Blobs read straight from the segment files of real servers: never unverified, never instead of repair."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bank_process import BankProcess, random_blob
from free_ports import free_bases
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.keeper.bank_links import Fleet, ServerLink
from trivet.keeper.blob_service import BlobService
from trivet.wire.bank_messages import DeleteBlobs
from trivet.wire.blobs import BlobRef

PIECE = 16 << 10


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, 20 s at most."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  what is waited for happens in another process
            await asyncio.sleep(0.01)


def open_files() -> set[str]:
    """Return what this process has open."""
    return {str(path.resolve()) for path in Path("/proc/self/fd").iterdir()}


class Silent:
    """A listener that needs to hear nothing."""

    def server_up(self, server: ServerLink) -> None:
        pass

    def server_down(self, server: ServerLink) -> None:
        pass

    def touched(self, server: ServerLink, path: bytes) -> None:
        pass


class Banks:
    """Three servers, the keeper's links to them, and what was told of bad copies."""

    def __init__(self, state: Path) -> None:
        folder = VolumeFolder(state)
        folder.create(VolumeConfig("00" * 8, free_bases(), 1))
        self.servers = [BankProcess(state, base) for base in folder.read_config().bases]
        for server in self.servers:
            server.start()
        self.fleet = Fleet(folder, Silent())
        self.fleet.start()
        self.bad: list[tuple[int, int]] = []
        self.stored: set[tuple[int, int]] = set()
        names = iter(range(1, 100))
        self.blobs = BlobService(
            self.fleet,
            lambda: next(names),
            lambda name, bank: self.stored.add((name, bank)),
            lambda ref, server: self.bad.append((ref.name, server.port)),
        )

    async def all_up(self) -> None:
        await until(lambda: all(server.is_near for server in self.fleet.servers))

    async def put(self, *bodies: bytes) -> list[BlobRef]:
        """Store bodies and wait until all banks have them."""
        refs = [await self.blobs.put(self.blobs.new_name(), body) for body in bodies]
        for ref, body in zip(refs, bodies, strict=True):
            await until(lambda ref=ref: sum(name == ref.name for name, _ in self.stored) == len(self.servers))
            assert await self.blobs.read(ref, 0, len(body)) == body
        return refs

    async def located(self, ref: BlobRef) -> int:
        """Return the bank whose copy is read from its file now."""
        await until(lambda: self.blobs._near.bank_of(ref.name) is not None)
        bank = self.blobs._near.bank_of(ref.name)
        assert bank is not None
        return bank

    def segment(self, bank: int) -> Path:
        return self.servers[bank].own / "segments" / "00000001.segment"


@pytest.fixture
async def banks(tmp_path: Path) -> AsyncIterator[Banks]:
    banks = Banks(tmp_path)
    await banks.all_up()
    yield banks
    await banks.blobs.close()
    await banks.fleet.close()
    for server in banks.servers:
        server.end()


async def test_a_known_blob_is_read_though_no_server_answers(banks: Banks) -> None:
    small, large = random_blob(3 * PIECE + 7), random_blob(1 << 20)
    for ref, body in zip(await banks.put(small, large), (small, large), strict=True):
        await banks.located(ref)
        for server in banks.servers:
            os.kill(server.pid, signal.SIGSTOP)
        try:
            read = banks.blobs.copies_read
            assert await banks.blobs.read(ref, PIECE + 5, 100) == body[PIECE + 5 : PIECE + 105]
            assert await banks.blobs.read(ref, 0, len(body)) == body
            assert banks.blobs.copies_read == read + 2, "every copy read is counted"
        finally:
            for server in banks.servers:
                os.kill(server.pid, signal.SIGCONT)
        await banks.all_up()


async def test_a_damaged_copy_is_never_believed_and_is_reported(banks: Banks) -> None:
    body = random_blob(4 * PIECE)
    [ref] = await banks.put(body)
    bank = await banks.located(ref)
    with banks.segment(bank).open("r+b") as file:
        at = file.read().index(body[PIECE : PIECE + 64])
        file.seek(at)
        file.write(b"wrong")
    assert await banks.blobs.read(ref, PIECE, 64) == body[PIECE : PIECE + 64]
    assert banks.bad == [(ref.name, banks.servers[bank].port)]


async def test_a_place_whose_blob_is_gone_costs_one_question(banks: Banks) -> None:
    body = random_blob(4 * PIECE)
    [ref] = await banks.put(body)
    bank = await banks.located(ref)
    server = next(server for server in banks.fleet.servers if server.bank == bank)
    await server.ask_blobs(DeleteBlobs([ref.name]), timeout_s=10)
    assert await banks.blobs.read(ref, 0, len(body)) == body
    assert banks.bad == [(ref.name, server.port)]


async def test_files_nobody_reads_are_let_go(banks: Banks) -> None:
    [ref] = await banks.put(random_blob(PIECE))
    bank = await banks.located(ref)
    assert await banks.blobs.read(ref, 0, 1)
    path = str(banks.segment(bank).resolve())
    assert path in open_files()
    await until(lambda: path not in open_files())
