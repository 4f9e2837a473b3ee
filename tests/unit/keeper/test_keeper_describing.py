"""What a door is told in one go: the inode, its version, an attribute, the way up; a page of a folder."""

from collections.abc import AsyncIterator
from errno import ENOENT

import pytest

from memory_ports import MemoryBanks
from trivet.errors import FileSystemError
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.interface import PRIVATE_INO, ROOT_INO, UPLOADS, Caller, Step
from trivet.volume.private import make_private
from trivet.volume.xattrs import RESIDENT_MAX_BYTES

ME = Caller(0, 0)
KEY = b"user.told"


@pytest.fixture
async def volume() -> AsyncIterator[LocalVolume]:
    """A volume with its private directory."""
    banks = MemoryBanks()
    volume = banks.fresh()
    make_private(volume.space, 0, 0, 1)
    await volume.start()
    yield volume
    await volume.close()


async def make(volume: LocalVolume, parent: int, name: bytes, told: bytes = b"") -> int:
    """Make a file that `told` is kept of."""
    made, handle = await volume.create(parent, name, 0o644, ME)
    await volume.release(handle)
    if told:
        await volume.setxattr(made.ino, KEY, told, create=True, replace=False)
    return made.ino


async def test_an_inode_is_described_as_it_would_be_told_piece_by_piece(volume: LocalVolume) -> None:
    outer = (await volume.mkdir(ROOT_INO, b"outer", 0o755, ME)).ino
    inner = (await volume.mkdir(outer, b"inner", 0o755, ME)).ino
    await volume.setxattr(outer, KEY, b"of outer", create=True, replace=False)
    large = bytes(RESIDENT_MAX_BYTES + 1)
    ino = await make(volume, inner, b"file", large)
    told = await volume.describe(ino, KEY)
    assert told.attributes == await volume.getattr(ino)
    assert (told.version, told.value) == (await volume.version(ino), large)
    assert told.way == [Step(inner, b"file", None), Step(outer, b"inner", b"of outer"),
                        Step(ROOT_INO, b"outer", None)]  # fmt: skip
    root = await volume.describe(ROOT_INO, KEY)
    assert (root.value, root.way) == (None, [])
    uploads = (await volume.lookup(PRIVATE_INO, UPLOADS)).ino
    assert (await volume.describe(uploads, KEY)).way == [Step(PRIVATE_INO, UPLOADS, None)]


async def test_the_way_is_the_one_of_now(volume: LocalVolume) -> None:
    folder = (await volume.mkdir(ROOT_INO, b"d", 0o755, ME)).ino
    ino = await make(volume, ROOT_INO, b"first")
    assert (await volume.describe(ino, KEY)).way == [Step(ROOT_INO, b"first", None)]
    await volume.rename(ROOT_INO, b"first", folder, b"moved", replace=False, exchange=False)
    other = await make(volume, ROOT_INO, b"first")
    assert [step.name for step in (await volume.describe(ino, KEY)).way] == [b"moved", b"d"]
    await volume.link(ino, ROOT_INO, b"second")
    await volume.unlink(folder, b"moved")
    assert (await volume.describe(ino, KEY)).way == [Step(ROOT_INO, b"second", None)]
    await volume.rename(ROOT_INO, b"first", ROOT_INO, b"second", replace=False, exchange=True)
    assert (await volume.describe(ino, KEY)).way == [Step(ROOT_INO, b"first", None)]
    assert (await volume.describe(other, KEY)).way == [Step(ROOT_INO, b"second", None)]
    handle = await volume.open(other, writing=False, truncate=False, sync=False)
    await volume.unlink(ROOT_INO, b"second")
    assert (await volume.describe(other, KEY)).way == []
    await volume.release(handle)
    with pytest.raises(FileSystemError) as raised:
        await volume.describe(other, KEY)
    assert raised.value.errno == ENOENT


async def test_a_page_of_a_folder_tells_each_files_attribute_and_version(volume: LocalVolume) -> None:
    folder = (await volume.mkdir(ROOT_INO, b"d", 0o755, ME)).ino
    values = {b"none": b"", b"small": b"s", b"large": bytes(RESIDENT_MAX_BYTES + 1)}
    inos = {name: await make(volume, folder, name, value) for name, value in values.items()}
    page = await volume.described_listing(folder, 0, 2, KEY, with_versions=True)
    page = [
        *page,
        *await volume.described_listing(folder, page[-1].cookie, 2, KEY, with_versions=True),
    ]
    assert {entry.name: entry.value or b"" for entry in page} == values
    for entry in page:
        assert entry.attributes == await volume.getattr(inos[entry.name])
        assert entry.version == await volume.version(inos[entry.name])
    unversioned = await volume.described_listing(folder, 0, 10, KEY, with_versions=False)
    assert [entry.version for entry in unversioned] == [0, 0, 0]
