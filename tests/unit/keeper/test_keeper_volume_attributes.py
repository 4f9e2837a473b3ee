"""LocalVolume: attributes, extended attributes, kinds of files and their errno."""

import errno
import stat
from collections.abc import AsyncIterator, Awaitable

import pytest

from memory_ports import MemoryBanks
from trivet.errors import FileSystemError
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.attributes import LAST_TIME_NS
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller
from volume_snapshot import assert_same_volume

ME = Caller(3, 4, 0o022)


@pytest.fixture
async def banks() -> MemoryBanks:
    """Banks in memory that answer at once."""
    return MemoryBanks()


@pytest.fixture
async def volume(banks: MemoryBanks) -> AsyncIterator[LocalVolume]:
    """An empty volume at work; at the end a reload must show the same."""
    volume = banks.fresh(clock_ns=lambda: 1000)
    await volume.start()
    yield volume
    await volume.fsyncdir(ROOT_INO)
    loaded, problems = banks.loaded()
    assert problems == []
    await assert_same_volume(volume, banks, loaded)
    await volume.close()


async def refused(operation: Awaitable[object]) -> str:
    """Return the name of the errno an operation is refused with."""
    with pytest.raises(FileSystemError) as caught:
        await operation
    return errno.errorcode[caught.value.errno]


async def test_extended_attributes_obey_their_flags(volume: LocalVolume) -> None:
    made = await volume.mkdir(ROOT_INO, b"d", 0o777, ME)
    ino = made.ino
    assert await refused(volume.getxattr(ino, b"user.a")) == "ENODATA"
    assert await refused(volume.setxattr(ino, b"user.a", b"1", create=False, replace=True)) == "ENODATA"
    await volume.setxattr(ino, b"user.a", b"1", create=True, replace=False)
    assert await refused(volume.setxattr(ino, b"user.a", b"2", create=True, replace=False)) == "EEXIST"
    await volume.setxattr(ino, b"user.a", b"", create=False, replace=False)
    await volume.setxattr(ino, b"user.large", b"v" * 65536, create=False, replace=False)
    assert await volume.getxattr(ino, b"user.a") == b""
    assert await volume.getxattr(ino, b"user.large") == b"v" * 65536
    await volume.fsyncdir(ino)
    assert await volume.getxattr(ino, b"user.large") == b"v" * 65536
    assert await volume.listxattr(ino) == [b"user.a", b"user.large"]
    await volume.removexattr(ino, b"user.a")
    assert await refused(volume.removexattr(ino, b"user.a")) == "ENODATA"
    assert await refused(volume.getxattr(999, b"user.a")) == "ENOENT"


async def test_extended_attributes_that_do_not_fit_are_refused(volume: LocalVolume) -> None:
    ino = (await volume.mkdir(ROOT_INO, b"d", 0o777, ME)).ino

    async def put(name: bytes, value: bytes = b"v") -> None:
        await volume.setxattr(ino, name, value, create=False, replace=False)

    assert await refused(put(b"user.a", b"v" * 65537)) == "E2BIG"
    assert await refused(put(b"user." + b"n" * 251)) == "ERANGE"
    assert await refused(put(b"system.posix_acl_access")) == "ENOTSUP"
    assert await refused(put(b"nonsense")) == "ENOTSUP"
    for at in range(256):
        await put(b"user.%03d" % at + b"n" * 247)
    assert await refused(put(b"user.more")) == "ENOSPC"


async def test_kinds_of_files_refuse_what_they_cannot_do(volume: LocalVolume) -> None:
    folder = (await volume.mkdir(ROOT_INO, b"d", 0o777, ME)).ino
    link = (await volume.symlink(ROOT_INO, b"s", b"d", ME)).ino
    pipe = await volume.mknod(ROOT_INO, b"p", stat.S_IFIFO | 0o666, 0, ME)
    assert (pipe.mode, pipe.uid, pipe.gid) == (stat.S_IFIFO | 0o644, 3, 4)
    plain = await volume.mknod(ROOT_INO, b"f", 0o666, 0, ME)
    assert stat.S_ISREG(plain.mode)
    options = {"writing": True, "truncate": False, "sync": False}
    assert await refused(volume.open(folder, **options)) == "EISDIR"
    assert await refused(volume.open(link, **options)) == "ELOOP"
    assert await refused(volume.open(pipe.ino, **options)) == "ENOTSUP"
    assert await refused(volume.setattr(folder, AttributeChanges(size=0))) == "EISDIR"
    assert await refused(volume.setattr(pipe.ino, AttributeChanges(size=0))) == "EINVAL"
    assert await refused(volume.setattr(plain.ino, AttributeChanges(size=(1 << 44) + 1))) == "EFBIG"
    assert await refused(volume.readlink(folder)) == "EINVAL"
    assert await volume.readlink(link) == b"d"
    assert await refused(volume.opendir(plain.ino)) == "ENOTDIR"
    assert await refused(volume.mknod(ROOT_INO, b"x", stat.S_IFDIR, 0, ME)) == "EINVAL"
    assert await refused(volume.read(12345, 0, 1)) == "EBADF"


async def test_attributes_change_as_asked_and_stamp_ctime(volume: LocalVolume) -> None:
    made, handle = await volume.create(ROOT_INO, b"f", 0o666, ME)
    assert (made.uid, made.gid, made.mode & 0o777, made.mtime_ns) == (3, 4, 0o644, 1000)
    changes = AttributeChanges(mode=0o4755, uid=7, gid=8, atime_ns=-5, mtime_ns=1 << 80)
    told = await volume.setattr(made.ino, changes)
    assert told == await volume.getattr(made.ino)
    assert (told.mode, told.uid, told.gid) == (stat.S_IFREG | 0o4755, 7, 8)
    assert (told.atime_ns, told.mtime_ns, told.ctime_ns) == (-5, LAST_TIME_NS, 1000)
    told = await volume.setattr(made.ino, AttributeChanges(size=10))
    assert (told.size, told.mtime_ns) == (10, 1000)
    assert await volume.read(handle, 0, 100) == bytes(10)
    await volume.release(handle)


async def test_listings_tell_attributes_and_queue_a_compare(volume: LocalVolume, banks: MemoryBanks) -> None:
    for at in range(10):
        await volume.symlink(ROOT_INO, b"%d" % at, b"t", ME)
    await volume.opendir(ROOT_INO)
    assert banks.looked_at == [ROOT_INO]
    first = await volume.listing(ROOT_INO, 0, 4)
    rest = await volume.listing(ROOT_INO, first[-1].cookie, 100)
    assert sorted(entry.name for entry in [*first, *rest]) == [b"%d" % at for at in range(10)]
    for entry in rest:
        assert entry.attributes == await volume.lookup(ROOT_INO, entry.name)
    space = await volume.statfs()
    assert (space.files, space.total_bytes) == (11, 1 << 40)
