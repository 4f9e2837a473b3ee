"""The read path where it must look twice: what is stored moves while a read is under way."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest

from memory_ports import MemoryBanks
from trivet.keeper.page_cache import ENTRY_COST_BYTES, PageCache
from trivet.keeper.read_ahead import KEEP_MIBS, ReadAhead
from trivet.volume.attributes import MIB_BYTES
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller
from trivet.wire.blobs import BlobRef


class MovingBanks(MemoryBanks):
    """Banks that let something happen just before they answer a read of records, once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def read(self, what: BlobRef | Sequence[bytes], offset: int = 0, size: int = 0) -> object:
        """See MemoryBanks."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().read(what, offset, size)


async def test_a_page_that_moves_into_a_blob_while_it_is_read_is_found_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PageCache.__init__, "__defaults__", (0,))
    banks = MovingBanks()
    volume = banks.fresh()
    await volume.start()
    _made, handle = await volume.create(ROOT_INO, b"a", 0o644, Caller(0, 0))
    await volume.write(handle, 0, b"old" * 2000)
    await volume.fsync(handle)

    async def rewrite() -> None:
        await volume.write(handle, 0, b"new" * 100_000)
        await volume.fsync(handle)

    banks.meanwhile = rewrite
    assert await volume.read(handle, 0, 6000) == b"new" * 2000
    assert banks.meanwhile is None
    await volume.close()


async def test_a_page_cut_away_while_it_is_read_is_zero_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageCache.__init__, "__defaults__", (0,))
    banks = MovingBanks()
    volume = banks.fresh()
    await volume.start()
    made, handle = await volume.create(ROOT_INO, b"a", 0o644, Caller(0, 0))
    await volume.write(handle, 0, b"x" * 20_000)
    await volume.fsync(handle)

    async def cut() -> None:
        await volume.setattr(made.ino, AttributeChanges(size=4096))
        await volume.fsyncdir(ROOT_INO)

    banks.meanwhile = cut
    body = await volume.read(handle, 0, 20_000)
    assert body[:4096] == b"x" * 4096
    assert not body[4096:].strip(b"\0")
    await volume.close()


def test_the_cache_keeps_what_was_used_last_within_its_limit() -> None:
    cache = PageCache(limit_bytes=3 * (100 + ENTRY_COST_BYTES))
    for name in (b"a", b"b", b"c"):
        cache.write(name, bytes(100))
    assert cache.get(b"a") is not None
    cache.write(b"d", bytes(100))
    assert [cache.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert cache.size_bytes == len(cache) * (100 + ENTRY_COST_BYTES)


def test_what_was_written_is_not_replaced_by_what_was_fetched_before() -> None:
    cache = PageCache()
    token = cache.expect([b"a", b"b"])
    cache.write(b"a", b"new")
    cache.fill(token, [b"a", b"b"], {b"a": b"old", b"b": b"fetched"})
    assert (cache.get(b"a"), cache.get(b"b")) == (b"new", b"fetched")
    lost = cache.expect([b"c"])
    cache.fill(lost, [b"c"], {})
    assert cache.get(b"c") is None


async def test_read_ahead_is_bounded_tries_failures_again_and_drops_what_changes() -> None:
    loads: list[tuple[int, int]] = []

    async def load(ino: int, mib: int) -> bytes:
        loads.append((ino, mib))
        if len(loads) == 1:
            raise OSError("a bank hiccups")
        return bytes(10)

    ahead = ReadAhead(load)
    ahead.advance(1, 0, 0)
    first = ahead.get(1, 0)
    assert first is not None
    with pytest.raises(OSError, match="hiccups"):
        await first
    assert ahead.get(1, 0) is None
    for mib in range(50):
        ahead.advance(1, mib, 100)
    assert sum(ahead.get(1, mib) is not None for mib in range(101)) == KEEP_MIBS
    task = ahead.get(1, 50)
    assert task is not None
    assert await task == bytes(10)
    ahead.drop(1, 50)
    assert ahead.get(1, 50) is None
    ahead.drop_from(1, 0)
    assert all(ahead.get(1, mib) is None for mib in range(101))
    await ahead.close()


async def test_a_reader_that_goes_away_does_not_end_the_fetch_of_others() -> None:
    banks = MemoryBanks(rng=random.Random(1))
    volume = banks.fresh()
    await volume.start()
    made, handle = await volume.create(ROOT_INO, b"a", 0o644, Caller(0, 0))
    await volume.write(handle, 0, bytes(range(256)) * (4 * MIB_BYTES // 256))
    await volume.fsync(handle)
    await volume.read(handle, 0, 4096)
    reader = asyncio.ensure_future(volume.read(handle, 4096, 4096))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    window = volume._reads.ahead.get(made.ino, 0)
    assert window is not None
    assert len(await window) == MIB_BYTES
    await volume.write(handle, 0, b"changed")
    assert (await volume.read(handle, 0, 8))[:7] == b"changed"
    await volume.fsync(handle)
    assert volume._reads.ahead.get(made.ino, 0) is None
    await volume.close()
