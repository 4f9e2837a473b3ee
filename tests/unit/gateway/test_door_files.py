"""What the door finds and what it never does, on a volume whose banks are in memory."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memory_ports import MemoryBanks
from trivet.drive.file_changes import FileChanges
from trivet.drive.query import parse_query
from trivet.drive.rights import EVERYTHING, Principal, Scope
from trivet.errors import Forbidden, NotFound
from trivet.gateway import upkeep
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.door_file import DoorFile
from trivet.gateway.files import downloads, nodes, parking, transfers
from trivet.gateway.files.drive import Drive, open_drive
from trivet.gateway.files.live_downloads import DownloadPlan
from trivet.gateway.files.nodes import entries_of
from trivet.gateway.files.paths import find_path
from trivet.gateway.files.publishing import revisions_folder
from trivet.gateway.files.searching import Search, search
from trivet.gateway.files.staging import bounded, in_pieces, made
from trivet.gateway.files.transfers import UploadPlan
from trivet.gateway.people import People
from trivet.gateway.upkeep import sweep
from trivet.volume.interface import PRIVATE_INO, ROOT_INO
from trivet.volume.private import make_private

ME = Principal("me", (EVERYTHING,))
#: The number of a process that there can't be.
DEAD = 1 << 23


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


async def test_a_sweep_takes_what_nobody_will_finish_and_nothing_else(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "ORPHAN_AGE_S", -60.0)
    spool = drive.folder / "uploads"
    plan = UploadPlan(FileChanges(name="a"), parent=ROOT_INO, name="a", path="/a")
    left, late = [await transfers.begin(drive, "me", plan, 10) for _ in range(2)]
    down = downloads.new("me", DownloadPlan("5", "r", "a", "/a", 10))
    await downloads.keep(drive, down)
    for table, key in (("transfers", late.key), ("downloads", down.key)):
        await drive.door.write(f"UPDATE {table} SET expires_at = 1 WHERE key = ?", key)
    async with made(drive, "put-of-a-dead-request"):
        pass
    gone = [f"check-{DEAD}-x", "of-nobody.lock", f"{late.key}.lock"]
    stays = [f"check-{os.getpid()}-x", f"{left.key}.lock"]
    for name in (*gone, *stays):
        (spool / name).touch()
    await upkeep.sweep(drive)
    assert sorted(path.name for path in spool.iterdir()) == sorted(stays)
    staged = [entry.name.decode() async for entry in nodes.entries_of(drive, drive.uploads_ino)]
    assert staged == [left.key]
    assert [one.key for one in await transfers.newest(drive, "me", 10)] == [left.key]
    assert await downloads.newest(drive, "me", 10) == []


async def test_deserted_transfers_are_parked_and_others_are_not(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "QUIET_S", -1.0)
    plan = UploadPlan(FileChanges(name="a"), parent=ROOT_INO, name="a", path="/a")
    held, deserted, waiting = [await transfers.begin(drive, "me", plan, 10) for _ in range(3)]
    for one in (held, deserted):
        await transfers.note_held(drive, one.key, 5, 10)
    async with transfers.only_writer(drive, held.key):
        await parking.park_deserted(drive)
    states = {one.key: one.state for one in await transfers.newest(drive, "me", 10)}
    assert states == {held.key: "running", deserted.key: "parked", waiting.key: "waiting"}


async def test_a_list_of_transfers_without_downloads_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "door.sqlite"
    DoorFile(path).close()
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(
            "DROP TABLE downloads; DROP TABLE usage; DROP TABLE served; "
            "PRAGMA user_version = 1; INSERT INTO settings VALUES ('x', x'00')"
        )
    door = DoorFile(path)
    assert await door.rows("SELECT count(*) FROM downloads") == [(0,)]
    assert await door.row("SELECT name FROM settings WHERE name = 'x'") == ("x",)
    door.close()


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
