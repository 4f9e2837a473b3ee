"""RemoteVolume on a real drive: what it does the mount shows at once, and the other way round."""

import asyncio
import os
import random
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from drive_under_test import Drive
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.errors import Conflict, FileSystemError
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import PRIVATE_INO, ROOT_INO, UPLOADS, AttributeChanges, Caller

ME = Caller(os.getuid(), os.getgid())
Work = Callable[[RemoteVolume], Coroutine[Any, Any, None]]


def with_volume(drive: Drive, work: Work) -> None:
    """Run `work` with a client of the drive."""

    async def run() -> None:
        async with asyncio.timeout(60), connected(VolumeFolder(drive.state)) as volume:
            await work(volume)

    uvloop.run(run())


async def put(volume: RemoteVolume, parent: int, name: bytes, data: bytes, step: int = 1 << 20) -> int:
    """Make a file, written in steps; return its number."""
    made, handle = await volume.create(parent, name, 0o644, ME)
    for at in range(0, len(data), step):
        await volume.write(handle, at, data[at : at + step])
    await volume.flush(handle)
    await volume.release(handle)
    return made.ino


async def content(volume: RemoteVolume, ino: int) -> bytes:
    """Return a file's bytes."""
    handle = await volume.open(ino, writing=False, truncate=False, sync=False)
    data = await volume.read(handle, 0, 1 << 26)
    await volume.release(handle)
    return data


async def in_thread(call: Callable[..., Any], *arguments: object) -> Any:
    """Do something in the folder, while the keeper may need our loop."""
    return await asyncio.to_thread(call, *arguments)


@pytest.mark.parametrize("step", [1 << 20, 300_000, 5 << 20])
def test_bytes_are_the_same_on_both_sides(shared_drive: Drive, step: int) -> None:
    folder = shared_drive.folder
    sizes = (0, 1, 5000, 65_536, 65_537, 100_000, 1 << 20, (9 << 20) + 12_345)

    async def work(volume: RemoteVolume) -> None:
        for size in sizes:
            name = f"{size} by {step}"
            data = random.Random(size).randbytes(size)
            ino = await put(volume, ROOT_INO, name.encode(), data, step)
            assert await in_thread((folder / name).read_bytes) == data
            assert await content(volume, ino) == data
            await in_thread((folder / name).write_bytes, data[::-1])
            assert await content(volume, ino) == data[::-1]
            held = await volume.open_snapshot(ino)
            await in_thread((folder / name).unlink)
            assert await volume.read(held.handle, 0, 1 << 26) == data[::-1]
            assert await volume.read(held.handle, size // 2, 70_000) == data[::-1][size // 2 :][:70_000]
            await volume.release(held.handle)

    with_volume(shared_drive, work)


def test_names_the_kernel_knows_to_be_missing_show_when_a_client_makes_them(shared_drive: Drive) -> None:
    folder = shared_drive.folder / "missing"
    folder.mkdir()
    names = ("file", "folder", "fifo", "link", "second", "moved")

    def there() -> list[str]:
        return [name for name in names if os.path.lexists(folder / name)]

    async def work(volume: RemoteVolume) -> None:
        parent = (await volume.lookup(ROOT_INO, b"missing")).ino
        assert await in_thread(there) == await in_thread(there) == []
        ino = await put(volume, parent, b"file", b"x")
        await volume.mkdir(parent, b"folder", 0o755, ME)
        await volume.mknod(parent, b"fifo", stat.S_IFIFO | 0o600, 0, ME)
        await volume.symlink(parent, b"link", b"nowhere", ME)
        await volume.link(ino, parent, b"second")
        assert await in_thread(there) == list(names[:-1])
        await volume.rename(parent, b"second", parent, b"moved", replace=False, exchange=False)
        assert await in_thread(there) == ["file", "folder", "fifo", "link", "moved"]

    with_volume(shared_drive, work)


def test_the_mount_sees_at_once_what_a_client_changes(shared_drive: Drive) -> None:
    folder = shared_drive.folder / "seen"
    folder.mkdir()

    def looked_at(path: Path) -> object:
        """Have the kernel cache all it can of a path."""
        listing = sorted(os.listdir(folder))
        return (path.read_bytes(), path.stat().st_size, listing) if path.exists() else (None, 0, listing)

    async def work(volume: RemoteVolume) -> None:
        parent = (await volume.lookup(ROOT_INO, b"seen")).ino
        path, moved = folder / "a", folder / "b"
        assert await in_thread(looked_at, path) == (None, 0, [])
        ino = await put(volume, parent, b"a", b"first")
        assert await in_thread(looked_at, path) == (b"first", 5, ["a"])
        handle = await volume.open(ino, writing=True, truncate=False, sync=False)
        await volume.write(handle, 0, b"FIRST and longer")
        await volume.flush(handle)
        assert await in_thread(looked_at, path) == (b"FIRST and longer", 16, ["a"])
        await volume.setattr(ino, AttributeChanges(size=5, mode=0o600))
        assert await in_thread(looked_at, path) == (b"FIRST", 5, ["a"])
        assert (await in_thread(path.stat)).st_mode & 0o777 == 0o600
        await volume.release(handle)
        assert await in_thread(looked_at, moved) == (None, 0, ["a"])
        await volume.rename(parent, b"a", parent, b"b", replace=False, exchange=False)
        assert await in_thread(looked_at, path) == (None, 0, ["b"])
        assert await in_thread(looked_at, moved) == (b"FIRST", 5, ["b"])
        large = random.Random(1).randbytes(3 << 20)
        staged = await put(volume, (await volume.lookup(PRIVATE_INO, UPLOADS)).ino, b"key", large)
        version = await volume.version(ino)
        assert await volume.publish(staged, ino, version) > version
        assert await in_thread(looked_at, moved) == (large, len(large), ["b"])
        await volume.link(ino, parent, b"c")
        assert (await in_thread(moved.stat)).st_nlink == 2
        await volume.unlink(parent, b"c")
        assert (await in_thread(moved.stat)).st_nlink == 1
        await volume.unlink(parent, b"b")
        assert await in_thread(looked_at, moved) == (None, 0, [])
        await volume.mkdir(parent, b"d", 0o755, ME)
        assert await in_thread(os.listdir, folder) == ["d"]

    with_volume(shared_drive, work)


def test_a_client_sees_at_once_what_the_mount_changes(shared_drive: Drive) -> None:
    path = shared_drive.folder / "from the mount"

    async def work(volume: RemoteVolume) -> None:
        start = await volume.newest_slot()
        waiting = asyncio.create_task(volume.wait_changed(start, 30))
        await in_thread(path.write_bytes, b"one")
        ino = (await volume.lookup(ROOT_INO, b"from the mount")).ino
        assert await content(volume, ino) == b"one"
        assert await waiting
        assert ino in {change.ino for change in (await volume.changes(start, 100))[0]}
        with await in_thread(path.open, "r+b", 0) as file:
            await in_thread(file.write, b"two and dirty")
            assert await content(volume, ino) == b"two and dirty"
            version = await volume.version(ino)
            await in_thread(file.write, b"!")
            assert await volume.version(ino) > version
            with pytest.raises(Conflict):
                await volume.publish(await put(volume, ROOT_INO, b"staged", b"x"), ino, version)
        await in_thread(path.unlink)
        with pytest.raises(FileSystemError):
            await volume.lookup(ROOT_INO, b"from the mount")
        assert [change.removed for change in (await volume.changes(start, 100))[0] if change.ino == ino] == [
            True
        ]

    with_volume(shared_drive, work)


def test_both_at_once_on_one_folder_never_hang(shared_drive: Drive) -> None:
    folder = shared_drive.folder / "busy"
    folder.mkdir()

    def by_the_mount() -> None:
        for number in range(150):
            path = folder / f"m{number % 7}"
            path.write_bytes(b"mount" * number)
            os.listdir(folder)
            path.rename(folder / f"n{number % 5}")

    async def by_client(volume: RemoteVolume, parent: int, who: int) -> None:
        for number in range(50):
            name = b"c%d" % who
            await put(volume, parent, name, b"client" * number)
            await volume.rename(parent, name, parent, b"n%d" % (number % 5), replace=True, exchange=False)

    async def work(volume: RemoteVolume) -> None:
        parent = (await volume.lookup(ROOT_INO, b"busy")).ino
        await asyncio.gather(in_thread(by_the_mount), *(by_client(volume, parent, who) for who in range(4)))
        told = {entry.name.decode() for entry in await volume.listing(parent, 0, 100)}
        assert set(await in_thread(os.listdir, folder)) == told

    with_volume(shared_drive, work)
    assert shared_drive.status()["notes"] == []
    assert "did not forget" not in shared_drive.logs()
