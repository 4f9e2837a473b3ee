"""Large bodies: packed in the background, cut and deleted piece by piece, survived by a crash in between."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from memory_ports import MemoryBanks, load
from trivet.keeper.local_volume import LocalVolume
from trivet.volume import layout, tombstones
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES
from trivet.volume.blob_names import BlobNames
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller
from trivet.wire.records import inode_key, orphan_key

ME = Caller(0, 0)
TOMBSTONES = {tombstones.PREFIX + bytes((0, place)) for place in range(9)}


@pytest.fixture
async def banks() -> MemoryBanks:
    """Banks in memory that answer at once."""
    return MemoryBanks()


@pytest.fixture
async def volume(banks: MemoryBanks) -> AsyncIterator[LocalVolume]:
    """An empty volume at work; at the end its banks must fit together."""
    volume = banks.fresh()
    await volume.start()
    yield volume
    await volume.close()
    banks.audit()
    assert banks.loaded()[1] == []


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nothing announces what the background does
            await asyncio.sleep(0.01)


async def sparse_file(volume: LocalVolume, name: bytes, mibs: int) -> tuple[int, int]:
    """Make a file with 65 KiB in a blob in every MiB."""
    made, handle = await volume.create(ROOT_INO, name, 0o644, ME)
    for mib in range(mibs):
        await volume.write(handle, mib * MIB_BYTES, b"%d|" % mib * 20_000)
    await volume.fsync(handle)
    return made.ino, handle


async def test_a_log_written_in_small_steps_is_packed(volume: LocalVolume, banks: MemoryBanks) -> None:
    made, handle = await volume.create(ROOT_INO, b"log", 0o644, ME)
    text = random.Random(1).randbytes(2 * MIB_BYTES + 1000)
    for at in range(0, len(text), 3000):
        await volume.write(handle, at, text[at : at + 3000])
        await volume.fsync(handle)
    await until(lambda: volume.space.inode(made.ino).later_pages < 64)
    assert await volume.read(handle, 0, len(text)) == text
    pieces = [len(volume.space.layout.pieces(made.ino, mib)) for mib in range(2)]
    assert all(1 <= count <= 8 for count in pieces)
    rows = sum(key.startswith(b"b/") for key in banks.rows)
    assert rows == len(volume.space.layout.pages(volume.space.inode(made.ino))) < 130


async def test_a_large_body_is_cut_in_steps(
    volume: LocalVolume, banks: MemoryBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SLICE_RECORDS", 4)
    ino, handle = await sparse_file(volume, b"large", 30)
    before = len(banks.entries)
    await volume.setattr(ino, AttributeChanges(size=5 * MIB_BYTES + 10))
    await volume.fsync(handle)
    steps = banks.entries[before:]
    assert len(steps) > 5
    assert all(len(step.changes.records) <= 8 for step in steps)
    assert await volume.read(handle, 5 * MIB_BYTES, 100) == b"5|" * 5
    assert (await volume.getattr(ino)).size == 5 * MIB_BYTES + 10


async def test_a_large_body_is_deleted_piece_by_piece(
    volume: LocalVolume, banks: MemoryBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SLICE_RECORDS", 4)
    ino, handle = await sparse_file(volume, b"large", 30)
    for page in range(100):
        await volume.write(handle, page * 3 * PAGE_BYTES, b"small")
        await volume.fsync(handle)
    await volume.release(handle)
    before = len(banks.entries)
    await volume.unlink(ROOT_INO, b"large")
    assert orphan_key(ino) in banks.rows
    halfway = {key: value for key, (_slot, value) in banks.rows.items()}
    await until(lambda: not volume.space.doomed)
    await volume.fsyncdir(ROOT_INO)
    assert set(banks.rows) - TOMBSTONES == {inode_key(ROOT_INO)}
    assert all(len(entry.changes.records) <= 12 for entry in banks.entries[before:])
    assert set(banks.blobs) == banks.freed
    assert ino not in volume.space.inodes

    crashed = banks.copied()
    crashed.rows = {key: (1, value) for key, value in halfway.items()}
    space, problems = load(BlobNames(2), halfway)
    assert problems == []
    again = crashed.volume(space)
    await again.start()
    await until(lambda: not space.doomed)
    await again.close()
    assert set(crashed.rows) - TOMBSTONES == {inode_key(ROOT_INO)}


async def test_a_file_deleted_while_it_is_flushed_leaves_nothing(banks: MemoryBanks) -> None:
    banks.rng = random.Random(2)
    volume = banks.fresh()
    await volume.start()
    made, handle = await volume.create(ROOT_INO, b"a", 0o644, ME)
    await volume.write(handle, 0, b"x" * (3 * MIB_BYTES))
    flushing = asyncio.ensure_future(volume.fsync(handle))
    await asyncio.sleep(0)
    await volume.release(handle)
    await volume.unlink(ROOT_INO, b"a")
    await flushing
    await volume.close()
    assert made.ino not in volume.space.inodes
    assert set(banks.blobs) <= banks.freed
    assert volume.space.dirty.cost_bytes == 0
    banks.audit()


async def test_a_truncation_waits_for_a_flush_under_way(banks: MemoryBanks) -> None:
    banks.rng = random.Random(3)
    volume = banks.fresh()
    await volume.start()
    made, handle = await volume.create(ROOT_INO, b"a", 0o644, ME)
    await volume.write(handle, 0, b"x" * (3 * MIB_BYTES))
    flushing = asyncio.ensure_future(volume.fsync(handle))
    await asyncio.sleep(0)
    await volume.write(handle, 10, b"new")
    await volume.setattr(made.ino, AttributeChanges(size=100_000))
    await flushing
    await volume.fsync(handle)
    assert await volume.read(handle, 0, MIB_BYTES) == b"x" * 10 + b"new" + b"x" * 99_987
    await volume.close()
    banks.audit()
