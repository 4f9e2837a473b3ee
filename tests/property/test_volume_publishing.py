"""Publishing versions of one file while others read it: reads and crashes show whole versions only."""

import asyncio
import random

import pytest

from memory_ports import MemoryBanks, load
from trivet.errors import Conflict
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.blob_names import BlobNames
from trivet.volume.interface import PRIVATE_INO, ROOT_INO, Caller
from trivet.volume.private import make_private
from virtual_time import VirtualTimeLoop

ME = Caller(0, 0)
SIZES = (4, 4000, 20_000, 65_536, 70_000, 1_200_000)


def body_of(number: int, size: int) -> bytes:
    """Return the body of one version: its number, over and over."""
    return number.to_bytes(4, "big") * (size // 4)


def check_whole(body: bytes) -> int:
    """Assert that a body is one version; return its number."""
    assert len(body) in SIZES
    assert body == body[:4] * (len(body) // 4), "a mixture of versions"
    return int.from_bytes(body[:4], "big")


class Publishers:
    """Writers that publish versions of one file, readers of it, and what they saw."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.banks = MemoryBanks(rng=self.rng)
        self.volume: LocalVolume = self.banks.fresh()
        self.conflicts = 0
        self.published = [0]
        self.target = 0

    async def stage(self, name: bytes, number: int) -> int:
        """Make a file that holds version `number`."""
        made, handle = await self.volume.create(PRIVATE_INO, name, 0o600, ME)
        await self.volume.write(handle, 0, body_of(number, self.rng.choice(SIZES)))
        await self.volume.flush(handle)
        await self.volume.release(handle)
        return made.ino

    async def publish_some(self, writer: int) -> None:
        """Publish new versions over whatever is there, or nothing if somebody was faster."""
        for step in range(12):
            number = writer * 1000 + step + 1
            name = b"%d" % number
            version = await self.volume.version(self.target)
            staged = await self.stage(name, number)
            await self.rest()
            try:
                await self.volume.publish(staged, self.target, version)
                self.published.append(number)
                check_whole(await self.read_all(staged))
            except Conflict:
                self.conflicts += 1
            await self.volume.unlink(PRIVATE_INO, name)

    async def read_all(self, ino: int) -> bytes:
        """Read a file in one piece."""
        handle = await self.volume.open(ino, writing=False, truncate=False, sync=False)
        body = await self.volume.read(handle, 0, 1 << 22)
        await self.volume.release(handle)
        return body

    async def read_some(self) -> None:
        """Read whole, and piece by piece from a snapshot."""
        for _step in range(30):
            check_whole(await self.read_all(self.target))
            held = await self.volume.open_snapshot(self.target)
            body = b""
            while part := await self.volume.read(held.handle, len(body), self.rng.choice((4096, 300_001))):
                body += part
                await self.rest()
            await self.volume.release(held.handle)
            assert len(body) == held.attributes.size
            check_whole(body)

    async def rest(self) -> None:
        """Let others go on."""
        await asyncio.sleep(self.rng.choice((0, 0, 0.001, 0.2)))

    async def run(self) -> None:
        """Let everybody work at once."""
        make_private(self.volume.space, 0, 0, 1)
        await self.volume.start()
        self.target = await self.stage(b"shared", 0)
        await self.volume.rename(PRIVATE_INO, b"shared", ROOT_INO, b"f", replace=False, exchange=False)
        writers = [self.publish_some(writer) for writer in range(1, 5)]
        await asyncio.gather(*writers, *(self.read_some() for _reader in range(3)))
        assert check_whole(await self.read_all(self.target)) == self.published[-1]
        assert not len(self.volume.space.pins)
        await self.volume.close()
        self.banks.audit()


@pytest.mark.parametrize("seed", range(6))
def test_readers_and_crashes_see_whole_versions(seed: int) -> None:
    loop = VirtualTimeLoop()
    made: list[Publishers] = []

    async def run() -> None:
        made.append(Publishers(seed))
        await made[0].run()

    loop.run_until_complete(run())
    publishers = made[0]
    assert len(publishers.published) > 10
    assert publishers.conflicts > 5
    rows: dict[bytes, bytes] = {}
    numbers = []
    for entry in publishers.banks.entries:
        for key, value in entry.changes.records.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        numbers.append(loop.run_until_complete(number_after_crash(publishers.banks, dict(rows))))
    told = [number for at, number in enumerate(numbers) if number >= 0 and numbers[at - 1] != number]
    assert told == publishers.published
    loop.close()


async def number_after_crash(banks: MemoryBanks, rows: dict[bytes, bytes]) -> int:
    """Return the version a keeper that starts with `rows` finds, -1 before the file is there."""
    space, problems = load(BlobNames(2), rows)
    assert problems == []
    ino = space.directories.get(ROOT_INO, {}).get(b"f")
    if ino is None:
        return -1
    crashed = banks.copied()
    crashed.rows = {key: (1, value) for key, value in rows.items()}
    volume = crashed.volume(space)
    handle = await volume.open(ino, writing=False, truncate=False, sync=False)
    return check_whole(await volume.read(handle, 0, 1 << 22))
