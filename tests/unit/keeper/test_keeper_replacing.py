"""Who has a file open, or opens it, while its content is replaced or another file is renamed over it."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from memory_ports import MemoryBanks
from trivet.errors import FileSystemError
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.file_numbers import OPENED_LATE_S
from trivet.volume.interface import ROOT_INO
from volume_files import content, put


@pytest.fixture
async def volume() -> AsyncIterator[LocalVolume]:
    """A volume over banks in memory."""
    volume = MemoryBanks().fresh()
    await volume.start()
    yield volume
    await volume.close()


async def test_an_open_handle_goes_with_the_content_it_was_opened_on(volume: LocalVolume) -> None:
    old, new = bytes(3_000_000), random.Random(1).randbytes(2_500_000)
    target = await put(volume, ROOT_INO, b"a", old)
    handle = await volume.open(target, writing=True, truncate=False, sync=False)
    reading = [asyncio.create_task(volume.read(handle, at, 100_000)) for at in range(0, 3_000_000, 100_000)]
    staged = await put(volume, ROOT_INO, b"b", new)
    publishing = asyncio.create_task(volume.publish(staged, target, None))
    await asyncio.sleep(0)
    writing = asyncio.create_task(volume.write(handle, 0, b"late"))
    assert b"".join(await asyncio.gather(*reading)) == old
    await asyncio.gather(publishing, writing)
    assert await content(volume, target) == new
    assert await volume.read(handle, 0, 5) == b"late\0"
    await volume.unlink(ROOT_INO, b"b")
    assert await volume.read(handle, 2_900_000, 1 << 20) == bytes(100_000)
    await volume.release(handle)


async def test_what_was_replaced_lives_on_for_a_moment(volume: LocalVolume) -> None:
    first = await put(volume, ROOT_INO, b"a", b"first")
    await put(volume, ROOT_INO, b"b", b"second")
    await volume.rename(ROOT_INO, b"b", ROOT_INO, b"a", replace=True, exchange=False)
    assert await content(volume, first) == b"first"
    await asyncio.sleep(OPENED_LATE_S + 0.1)
    with pytest.raises(FileSystemError):
        await volume.getattr(first)
