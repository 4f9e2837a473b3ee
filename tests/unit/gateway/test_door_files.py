"""What the door finds and what it never does, on a volume whose banks are in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memory_ports import MemoryBanks
from trivet.drive.query import parse_query
from trivet.drive.rights import EVERYTHING, Principal, Scope
from trivet.errors import Forbidden, NotFound
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.door_file import DoorFile
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive, open_drive
from trivet.gateway.files.nodes import entries_of
from trivet.gateway.files.paths import find_path
from trivet.gateway.files.publishing import revisions_folder
from trivet.gateway.files.searching import Search, search
from trivet.gateway.files.staging import bounded, in_pieces
from trivet.gateway.people import People
from trivet.gateway.upkeep import sweep
from trivet.volume.interface import PRIVATE_INO, ROOT_INO
from trivet.volume.private import make_private

ME = Principal("me", (EVERYTHING,))


@pytest.fixture
async def drive(tmp_path: Path) -> AsyncIterator[Drive]:
    """A drive over a volume in memory."""
    volume = MemoryBanks().fresh()
    make_private(volume.space, 0, 0, 1)
    await volume.start()
    people, door = People(tmp_path, no_auth_user="me"), DoorFile(tmp_path / "door.sqlite")
    yield await open_drive(volume, people, door, tmp_path, DecodingPool(1))
    door.close()
    people.close()
    await volume.close()


async def test_private_places_and_symlinks_are_nobodys_files(drive: Drive) -> None:
    link = await drive.volume.symlink(ROOT_INO, b"link", b"/etc/passwd", drive.caller)
    made, handle = await drive.volume.create(drive.uploads_ino, b"staged", 0o644, drive.caller)
    await drive.volume.release(handle)
    for ino in (link.ino, made.ino, PRIVATE_INO, drive.uploads_ino, drive.trash_ino, drive.revisions_ino):
        with pytest.raises(NotFound):
            await nodes.find(drive, str(ino), ME)
    with pytest.raises(NotFound):
        await find_path(drive, ["link"], ME)
    found, more = await search(drive, Search(ME, parse_query(""), []), None, 10)
    assert (found, more) == ([], None)


async def test_old_versions_of_what_the_folder_removed_are_collected(drive: Drive) -> None:
    kept, gone = [
        (await drive.volume.mknod(ROOT_INO, name, 0o644, 0, drive.caller)).ino for name in (b"kept", b"gone")
    ]
    for ino in (kept, gone):
        folder = await revisions_folder(drive, ino)
        await drive.volume.mknod(folder, b"00000000000000000001", 0o600, 0, drive.caller)
    await drive.volume.unlink(ROOT_INO, b"gone")
    await sweep(drive)
    assert [entry.name async for entry in entries_of(drive, drive.revisions_ino)] == [str(kept).encode()]


async def test_what_may_not_be_read_is_not_there_and_not_listed(drive: Drive) -> None:
    mine = await drive.volume.mkdir(ROOT_INO, b"mine", 0o755, drive.caller)
    other = await drive.volume.mkdir(ROOT_INO, b"other", 0o755, drive.caller)
    reader = Principal("ann", (Scope("/mine", "r"),))
    assert (await nodes.find(drive, str(mine.ino), reader)).path == "/mine"
    with pytest.raises(NotFound):
        await nodes.find(drive, str(other.ino), reader)
    with pytest.raises(Forbidden):
        await nodes.find(drive, str(mine.ino), reader, "w")
    found, _ = await search(drive, Search(reader, parse_query("name != 'x'"), []), None, 10)
    assert [view.name for view in found] == ["mine"]


async def test_bytes_before_a_cut_come_first() -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"a" * 700_000
        yield b"b" * 700_000
        raise ConnectionResetError

    got: list[bytes] = []

    async def take() -> None:
        async for piece in in_pieces(cut()):
            got.append(piece)  # noqa: PERF401  (what came before the error counts)

    with pytest.raises(ConnectionResetError):
        await take()
    assert b"".join(got) == b"a" * 700_000 + b"b" * 700_000
    assert len(got[0]) == 256 << 10


async def test_known_bytes_are_skipped_and_too_many_refused() -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in (b"012", b"345", b"678"):
            yield piece

    assert b"".join([piece async for piece in bounded(body(), 5, 4)]) == b"45678"
