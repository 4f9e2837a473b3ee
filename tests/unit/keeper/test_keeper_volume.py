"""LocalVolume: what is stored how, what waits for what, and what happens when the banks fail."""

import errno
import random
from collections.abc import AsyncIterator

import pytest

from memory_ports import MemoryBanks
from trivet.errors import FileSystemError
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES
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


def kinds(banks: MemoryBanks) -> dict[bytes, int]:
    """Count the records of inodes by kind."""
    found: dict[bytes, int] = {}
    for key in (key for key in banks.rows if key[:2] != b"c/"):
        found[key[:2]] = found.get(key[:2], 0) + 1
    return found


async def test_a_small_file_is_one_entry_with_its_body(volume: LocalVolume, banks: MemoryBanks) -> None:
    await volume.fsyncdir(ROOT_INO)
    before = len(banks.entries)
    ino, _handle = await new_file(volume, b"a", b"x" * 5000)
    assert len(banks.entries) == before + 1
    assert kinds(banks) == {b"i/": 2, b"d/": 1, b"b/": 2}
    assert banks.blobs == {}
    assert (await volume.getattr(ino)).mode & 0o777 == 0o644


async def test_more_than_64_kib_is_one_blob_a_mib_without_a_copy(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    _ino, handle = await new_file(volume, b"a")
    data = random.Random(1).randbytes(MIB_BYTES)
    await volume.write(handle, 0, data)
    await volume.write(handle, MIB_BYTES, b"y" * 70_000)
    await volume.flush(handle)
    assert kinds(banks) == {b"i/": 2, b"d/": 1, b"e/": 2}
    assert sorted(map(len, banks.blobs.values())) == [70_000, MIB_BYTES]
    assert await volume.read(handle, 0, 3 * MIB_BYTES) == data + b"y" * 70_000


async def test_a_small_change_of_a_large_file_is_a_page_that_wins(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    ino, handle = await new_file(volume, b"a", b"x" * MIB_BYTES)
    await volume.write(handle, 500_000, b"new")
    await volume.fsync(handle)
    assert kinds(banks)[b"b/"] == 1
    body = await volume.read(handle, 0, 2 * MIB_BYTES)
    assert body == b"x" * 500_000 + b"new" + b"x" * (MIB_BYTES - 500_003)
    await volume.write(handle, 400_000, b"z" * 200_000)
    await volume.fsync(handle)
    assert b"b/" not in kinds(banks)
    assert (await volume.read(handle, 399_999, 3)) == b"xzz"
    assert volume.space.layout.pages(volume.space.inode(ino)) == []


async def test_a_mib_in_too_many_pieces_is_rewritten_whole(volume: LocalVolume, banks: MemoryBanks) -> None:
    ino, handle = await new_file(volume, b"a", b"x" * MIB_BYTES)
    expected = bytearray(b"x" * MIB_BYTES)
    for turn in range(3):
        for page in range(turn, 256, 6):
            await volume.write(handle, page * PAGE_BYTES, b"%d" % turn * PAGE_BYTES)
            expected[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = b"%d" % turn * PAGE_BYTES
        await volume.fsync(handle)
        assert len(volume.space.layout.pieces(ino, 0)) <= 64 + 64
    assert len(volume.space.layout.pieces(ino, 0)) <= 64
    assert await volume.read(handle, 0, MIB_BYTES) == bytes(expected)


async def test_a_cut_file_extended_again_reads_zeros(volume: LocalVolume) -> None:
    for size in (10_000, 100_000, 3 * MIB_BYTES):
        ino, handle = await new_file(volume, b"a%d" % size, b"x" * size)
        for cut in (size - 5000, 5001, 4096, 0):
            await volume.setattr(ino, AttributeChanges(size=cut))
            await volume.setattr(ino, AttributeChanges(size=size))
            assert await volume.read(handle, 0, size) == b"x" * cut + bytes(size - cut)
            await volume.write(handle, 0, b"x" * size)
            await volume.fsync(handle)


async def test_sparse_files_over_4_gib_store_only_what_was_written(
    volume: LocalVolume, banks: MemoryBanks
) -> None:
    ino, handle = await new_file(volume, b"a")
    far = 5 << 30
    await volume.write(handle, far, b"end")
    await volume.write(handle, far * 2, b"e" * 100_000)
    await volume.flush(handle)
    assert (await volume.getattr(ino)).size == far * 2 + 100_000
    assert await volume.read(handle, far - 2, 6) == b"\0\0end\0"
    assert await volume.read(handle, far * 2 - 1, 2) == b"\0e"
    await volume.setattr(ino, AttributeChanges(size=far + 1))
    assert await volume.read(handle, far, 100) == b"e"
    assert sum(map(len, banks.blobs.values())) < 200_000
    with pytest.raises(FileSystemError) as caught:
        await volume.write(handle, 1 << 44, b"x")
    assert caught.value.errno == errno.EFBIG


async def test_a_new_file_rides_with_the_next_change(volume: LocalVolume, banks: MemoryBanks) -> None:
    await volume.fsyncdir(ROOT_INO)
    await volume.create(ROOT_INO, b"a", 0o666, ME)
    assert kinds(banks) == {b"i/": 1}
    await volume.mkdir(ROOT_INO, b"d", 0o777, ME)
    assert kinds(banks) == {b"i/": 3, b"d/": 2}


async def test_a_crash_never_shows_a_size_without_its_bytes(volume: LocalVolume, banks: MemoryBanks) -> None:
    ino, handle = await new_file(volume, b"a", b"abc")
    await volume.write(handle, 3, b"x" * 100_000)
    await volume.setattr(ino, AttributeChanges(mode=0o600))
    await volume.mkdir(ROOT_INO, b"d", 0o777, ME)
    assert banks.loaded()[0].inode(ino).size == 3
    await volume.flush(handle)
    assert banks.loaded()[0].inode(ino).size == 100_003


async def test_rename_and_link_carry_the_data(volume: LocalVolume, banks: MemoryBanks) -> None:
    for name, data in ((b"small", b"s" * 100), (b"large", b"l" * 300_000)):
        ino, handle = await new_file(volume, name)
        await volume.write(handle, 0, data)
        await volume.rename(ROOT_INO, name, ROOT_INO, name + b"2", replace=True, exchange=False)
        assert banks.loaded()[0].inode(ino).size == len(data)
        await volume.write(handle, len(data), data)
        await volume.link(ino, ROOT_INO, name)
        assert banks.loaded()[0].inode(ino).size == 2 * len(data)
        await volume.write(handle, 0, b"new")
        await volume.unlink(ROOT_INO, name)
        assert volume.space.dirty.get(ino) is None


async def test_open_but_unlinked_files_work_until_closed(volume: LocalVolume, banks: MemoryBanks) -> None:
    _ino, handle = await new_file(volume, b"a", b"x" * 200_000)
    await volume.unlink(ROOT_INO, b"a")
    await volume.write(handle, 200_000, b"y" * 200_000)
    await volume.fsync(handle)
    assert (await volume.read(handle, 199_999, 2)) == b"xy"
    assert kinds(banks)[b"o/"] == 1
    await volume.release(handle)
    await volume.fsyncdir(ROOT_INO)
    assert kinds(banks) == {b"i/": 1}
    assert set(banks.blobs) == banks.freed


async def test_reads_see_dirty_data_without_storing_it(volume: LocalVolume, banks: MemoryBanks) -> None:
    _ino, handle = await new_file(volume, b"a", b"x" * 10_000)
    entries = len(banks.entries)
    await volume.write(handle, 5000, b"new")
    assert await volume.read(handle, 4998, 7) == b"xxnewxx"
    assert len(banks.entries) == entries


async def test_sequential_reads_fetch_ahead_and_whole(banks: MemoryBanks, volume: LocalVolume) -> None:
    data = random.Random(2).randbytes(8 * MIB_BYTES)
    ino, _handle = await new_file(volume, b"a", data)
    handle = await volume.open(ino, writing=False, truncate=False, sync=False)
    banks.blob_reads = 0
    step = 64 << 10
    for offset in range(0, len(data), step):
        assert await volume.read(handle, offset, step) == data[offset : offset + step]
    assert banks.blob_reads <= 12
    assert banks.looked_at[-1] == ino
