"""Readers, writers, flushes and packing at once on one file: nobody reads what is older than he may."""

import asyncio
import random

import pytest

from memory_ports import MemoryBanks
from trivet.keeper import blob_writing, flushing, packing, write_path
from trivet.keeper.page_cache import PageCache
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller
from virtual_time import VirtualTimeLoop

UNIT = 512
PAGES = 300
STEPS = 80


class Register:
    """One file seen as units that each hold a number; every unit has one writer, so its numbers only grow."""

    def __init__(self, seed: int, counts: tuple[int, ...]) -> None:
        self.counts = counts
        self.rng = random.Random(seed)
        self.banks = MemoryBanks(rng=self.rng)
        self.volume = self.banks.fresh()
        self.started = [0] * (PAGES * 8)
        self.done = [0] * (PAGES * 8)

    async def write_some(self, handle: int, writer: int) -> None:
        """Write runs of units that belong to `writer`, a fourth of the file each."""
        share = len(self.started) // 4
        for number in range(1, STEPS):
            count = self.rng.choice(self.counts)
            first = writer * share + self.rng.randrange(share - count)
            units = range(first, first + count)
            for unit in units:
                self.started[unit] = number
            await self.volume.write(handle, first * UNIT, number.to_bytes(4, "big") * (UNIT // 4) * count)
            for unit in units:
                self.done[unit] = number
            await self.rest()

    async def read_some(self, handle: int) -> None:
        """Read runs of units; each must hold a number between the last done and the last started."""
        for _step in range(STEPS * 2):
            count = self.rng.choice((1, 8, 100, 600))
            first = self.rng.randrange(len(self.started) - count)
            least = self.done[first : first + count]
            body = await self.volume.read(handle, first * UNIT, count * UNIT)
            assert len(body) == count * UNIT
            for at in range(count):
                unit = body[at * UNIT : (at + 1) * UNIT]
                number = int.from_bytes(unit[:4], "big")
                assert unit == unit[:4] * (UNIT // 4), "a unit was torn"
                assert least[at] <= number <= self.started[first + at], "an old unit was read"
            await self.rest()

    async def sync_some(self, handle: int) -> None:
        """Flush and sync in between."""
        for _step in range(STEPS):
            await self.volume.fsync(handle)
            await self.rest()

    async def rest(self) -> None:
        """Let others go on, sometimes for long."""
        await asyncio.sleep(self.rng.choice((0, 0, 0, 0.001, 0.3)))

    async def run(self) -> None:
        """Let everybody work at once, then compare what is stored."""
        await self.volume.start()
        made, handle = await self.volume.create(ROOT_INO, b"shared", 0o644, Caller(0, 0))
        await self.volume.setattr(made.ino, AttributeChanges(size=len(self.started) * UNIT))
        writers = [self.write_some(handle, writer) for writer in range(4)]
        readers = [self.read_some(handle) for _reader in range(3)]
        await asyncio.gather(*writers, *readers, self.sync_some(handle), self.sync_some(handle))
        await self.volume.fsync(handle)
        expected = b"".join(number.to_bytes(4, "big") * (UNIT // 4) for number in self.done)
        assert await self.volume.read(handle, 0, len(expected)) == expected
        await self.volume.close()
        self.banks.audit()
        space, problems = self.banks.loaded()
        assert problems == []
        again = self.banks.copied().volume(space)
        handle = await again.open(made.ino, writing=False, truncate=False, sync=False)
        assert await again.read(handle, 0, len(expected)) == expected


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("cache_bytes", [16 << 20, 100 << 10])
@pytest.mark.parametrize("counts", [(1, 1, 8, 8, 64, 200), (1, 1, 2, 8)])
@pytest.mark.parametrize("limits", ["usual", "low"])
def test_nobody_reads_what_is_older_than_he_may(
    seed: int, cache_bytes: int, counts: tuple[int, ...], limits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PageCache.__init__, "__defaults__", (cache_bytes,))
    if limits == "low":
        for module in (flushing, packing):
            monkeypatch.setattr(module, "PACK_FROM_PAGES", 30)
        monkeypatch.setattr(blob_writing, "MAX_PIECES", 6)
        monkeypatch.setattr(write_path, "_EARLY_FLUSH_BYTES", 100_000)
    loop = VirtualTimeLoop()

    async def run() -> None:
        await Register(seed, counts).run()

    loop.run_until_complete(run())
    loop.close()
