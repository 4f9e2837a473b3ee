"""A crash at any entry leaves a prefix: a tree that fits together, files that hold only what was appended."""

import asyncio
import random

import pytest

from memory_ports import MemoryBanks, load
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.blob_names import BlobNames
from trivet.volume.extents import blobs_of
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller
from virtual_time import VirtualTimeLoop

ME = Caller(0, 0)
PATTERN = random.Random(9).randbytes(12 << 20)
SIZES = (1, 100, 4096, 5000, 70_000, 400_000)


class Appender:
    """Appends the pattern to a few files, renaming, linking and unlinking them as it goes."""

    def __init__(self, volume: LocalVolume, rng: random.Random) -> None:
        self.volume = volume
        self.rng = rng
        self.names: dict[bytes, tuple[int, int]] = {}
        self.handles: dict[int, int] = {}
        self.made = 0

    async def step(self) -> None:
        """Do one thing."""
        kinds = [
            "create",
            "append",
            "append",
            "append",
            "flush",
            "fsync",
            "chmod",
            "rename",
            "link",
            "unlink",
        ]
        kind = self.rng.choice(kinds) if self.names else "create"
        if kind == "create":
            self.made += 1
            made, handle = await self.volume.create(ROOT_INO, b"f%d" % self.made, 0o644, ME)
            self.names[b"f%d" % self.made] = made.ino, handle
            return
        name = self.rng.choice(sorted(self.names))
        ino, handle = self.names[name]
        if kind == "append":
            size = (await self.volume.getattr(ino)).size
            await self.volume.write(handle, size, PATTERN[size : size + self.rng.choice(SIZES)])
        elif kind == "flush":
            await self.volume.flush(handle)
        elif kind == "fsync":
            await self.volume.fsync(handle)
        elif kind == "chmod":
            await self.volume.setattr(ino, AttributeChanges(mode=self.rng.choice((0o600, 0o644))))
        elif kind == "unlink":
            del self.names[name]
            await self.volume.unlink(ROOT_INO, name)
        else:
            self.made += 1
            new = b"f%d" % self.made
            self.names[new] = ino, handle
            if kind == "rename":
                del self.names[name]
                await self.volume.rename(ROOT_INO, name, ROOT_INO, new, replace=True, exchange=False)
            else:
                await self.volume.link(ino, ROOT_INO, new)


@pytest.mark.parametrize("seed", range(8))
def test_every_prefix_of_history_is_a_whole_volume(seed: int) -> None:
    rng = random.Random(seed)
    loop = VirtualTimeLoop()
    banks = MemoryBanks(rng=rng)

    async def work() -> None:
        volume = banks.fresh()
        await volume.start()
        users = [Appender(volume, rng) for _user in range(3)]
        for user in users:
            user.made = users.index(user) * 10_000

        async def use(user: Appender) -> None:
            for _step in range(60):
                await user.step()
                await asyncio.sleep(rng.choice((0, 0, 0.01, 0.5)))

        await asyncio.gather(*map(use, users))
        await volume.close()
        banks.audit()

    loop.run_until_complete(work())
    check_every_prefix(loop, banks)


def test_a_large_file_that_is_flushed_early_grows_without_holes() -> None:
    rng = random.Random(1)
    loop = VirtualTimeLoop()
    banks = MemoryBanks(rng=rng)

    async def work() -> None:
        volume = banks.fresh()
        await volume.start()
        made, handle = await volume.create(ROOT_INO, b"large", 0o644, ME)
        step = 300_000
        for size in range(0, len(PATTERN), step):
            await volume.write(handle, size, PATTERN[size : size + step])
            await volume.setattr(made.ino, AttributeChanges(mode=rng.choice((0o600, 0o644))))
            await asyncio.sleep(rng.choice((0, 0.06)))
        await volume.close()
        banks.audit()

    loop.run_until_complete(work())
    assert len(banks.entries) > 10
    check_every_prefix(loop, banks)


def check_every_prefix(loop: VirtualTimeLoop, banks: MemoryBanks) -> None:
    """Check what a keeper would find after each entry."""
    rows: dict[bytes, bytes] = {}
    for entry in banks.entries:
        for key, value in entry.changes.records.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        loop.run_until_complete(check_prefix(banks, dict(rows)))
    loop.close()


async def check_prefix(banks: MemoryBanks, rows: dict[bytes, bytes]) -> None:
    """Assert that a keeper that starts with `rows` finds a volume that fits, with right bytes."""
    space, problems = load(BlobNames(2), rows)
    assert problems == []
    for key, value in rows.items():
        if key.startswith(b"e/"):
            assert all(ref.name in banks.blobs for ref in blobs_of(value))
    crashed = banks.copied()
    crashed.rows = {key: (1, value) for key, value in rows.items()}
    volume = crashed.volume(space)
    for name, ino in space.directories[ROOT_INO].items():
        handle = await volume.open(ino, writing=False, truncate=False, sync=False)
        body = await volume.read(handle, 0, 1 << 24)
        assert len(body) == space.inode(ino).size
        assert body == PATTERN[: len(body)], name
