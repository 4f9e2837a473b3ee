"""LocalVolume: what waits for what, in time and in memory, and what happens when the banks fail."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Callable

import pytest

from memory_ports import MemoryBanks
from trivet.errors import NoMajority, NoSpace
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.attributes import MIB_BYTES
from trivet.volume.dirty_chunk import Chunk
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller

ME = Caller(0, 0, 0o022)


@pytest.fixture
async def banks() -> MemoryBanks:
    """Banks in memory that answer at once."""
    return MemoryBanks()


@pytest.fixture
async def volume(banks: MemoryBanks) -> AsyncIterator[LocalVolume]:
    """An empty volume at work."""
    volume = banks.fresh()
    await volume.start()
    yield volume
    banks.failing = False
    await volume.close()
    banks.audit()
    assert banks.loaded()[1] == []


async def new_file(volume: LocalVolume, name: bytes, data: bytes = b"") -> tuple[int, int]:
    """Make, fill and flush a file; return (inode number, handle)."""
    made, handle = await volume.create(ROOT_INO, name, 0o666, ME)
    if data:
        await volume.write(handle, 0, data)
    await volume.flush(handle)
    return made.ino, handle


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nothing announces what the background does
            await asyncio.sleep(0.01)


async def test_attribute_changes_are_stored_within_50_ms(volume: LocalVolume, banks: MemoryBanks) -> None:
    ino, _handle = await new_file(volume, b"a")
    await volume.setattr(ino, AttributeChanges(mode=0o600, mtime_ns=5))
    await until(lambda: banks.loaded()[0].inode(ino).mode & 0o777 == 0o600)
    assert banks.loaded()[0].inode(ino).mtime_ns == 5


async def test_writers_wait_for_room_and_memory_stays_bounded() -> None:
    banks = MemoryBanks(rng=random.Random(3))
    volume = banks.fresh()
    await volume.start()
    _ino, handle = await new_file(volume, b"a")
    part = random.Random(4).randbytes(MIB_BYTES)
    for mib in range(64):
        await volume.write(handle, mib * MIB_BYTES, part)
        assert volume.space.dirty.cost_bytes <= 33 * MIB_BYTES
    await volume.fsync(handle)
    assert await volume.read(handle, 63 * MIB_BYTES, MIB_BYTES) == part
    await volume.close()
    banks.audit()


async def test_failed_flushes_are_told_and_lose_nothing(volume: LocalVolume, banks: MemoryBanks) -> None:
    _ino, handle = await new_file(volume, b"a")
    await volume.write(handle, 0, b"x" * 300_000)
    banks.failing = True
    with pytest.raises(NoMajority):
        await volume.flush(handle)
    assert await volume.read(handle, 299_999, 5) == b"x"
    await volume.write(handle, 10, b"later")
    banks.failing = False
    await volume.flush(handle)
    assert (await volume.read(handle, 9, 7)) == b"xlaterx"


async def test_old_dirty_data_is_stored_in_the_background(volume: LocalVolume, banks: MemoryBanks) -> None:
    ino, handle = await new_file(volume, b"a")
    await volume.write(handle, 0, b"x" * 100)
    await until(lambda: ino not in list(volume.space.dirty))
    assert banks.loaded()[0].inode(ino).size == 100


async def test_what_a_background_flush_failed_with_is_told_once(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    _ino, handle = await new_file(volume, b"a")
    await volume.write(handle, 0, b"x" * 100)
    banks.failing = True
    await until(lambda: bool(volume._writes._errors))
    banks.failing = False
    with pytest.raises(NoMajority):
        await volume.fsync(handle)
    await volume.fsync(handle)


async def test_always_means_durable_before_it_returns() -> None:
    banks = MemoryBanks(durability="always", rng=random.Random(5))
    volume = banks.fresh()
    await volume.start()
    made, handle = await volume.create(ROOT_INO, b"a", 0o666, ME)
    for operation in (
        volume.write(handle, 0, b"x" * 100),
        volume.write(handle, 0, b"x" * 100_000),
        volume.setattr(made.ino, AttributeChanges(mode=0o600)),
        volume.mkdir(ROOT_INO, b"d", 0o777, ME),
        volume.unlink(ROOT_INO, b"a"),
    ):
        entries = len(banks.entries)
        await operation
        assert len(banks.entries) > entries
        assert all(entry.is_durable for entry in banks.entries)
    await volume.release(handle)
    await volume.close()


async def test_synchronous_handles_are_durable_after_each_write() -> None:
    banks = MemoryBanks(rng=random.Random(6))
    volume = banks.fresh()
    await volume.start()
    made, first = await volume.create(ROOT_INO, b"a", 0o666, ME)
    handle = await volume.open(made.ino, writing=True, truncate=False, sync=True)
    await volume.write(handle, 0, b"x")
    assert banks.entries[-1].is_durable
    assert banks.loaded()[0].inode(made.ino).size == 1
    await volume.release(first)
    await volume.close()


async def test_full_banks_are_told_at_once_and_nothing_is_lost(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    _ino, handle = await new_file(volume, b"a")
    banks.full = True
    for mib in range(31):
        await volume.write(handle, mib * MIB_BYTES, bytes([mib]) * MIB_BYTES)
    with pytest.raises(NoSpace):
        await volume.write(handle, 31 * MIB_BYTES, bytes(2 * MIB_BYTES))
    assert volume.space.dirty.cost_bytes >= 31 * MIB_BYTES
    banks.full = False
    await until(lambda: not volume._writes._errors)
    await volume.fsync(handle)
    assert await volume.read(handle, 30 * MIB_BYTES, MIB_BYTES) == bytes([30]) * MIB_BYTES


async def test_a_write_larger_than_all_dirty_data_may_be_is_taken_in(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    _ino, handle = await new_file(volume, b"a")
    data = random.Random(7).randbytes(40 * MIB_BYTES)
    assert await volume.write(handle, 5, data) == len(data)
    assert await volume.read(handle, 5, len(data)) == data


async def test_failed_flushes_leave_no_cycles_that_hold_data(volume: LocalVolume, banks: MemoryBanks) -> None:
    _ino, handle = await new_file(volume, b"a")
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        banks.full = True
        for _attempt in range(3):
            await volume.write(handle, 0, bytes(3 * MIB_BYTES))
            with pytest.raises(NoSpace):
                await volume.fsync(handle)
        await until(lambda: bool(volume._writes._errors))
        banks.full = False
        with pytest.raises(NoSpace):
            await volume.fsync(handle)
        await volume.fsync(handle)
        gc.collect()
        assert not [found for found in gc.garbage if isinstance(found, Chunk)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
