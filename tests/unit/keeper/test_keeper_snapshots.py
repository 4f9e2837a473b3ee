"""Snapshots of a keeper over real banks: one slot of history, and nothing deleted that one of them names."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from small_drive import DEADLINE_S, SmallDrive, small_drive
from trivet.errors import Conflict, NotFound
from trivet.keeper import refresh
from trivet.keeper.snapshot_making import read_table
from trivet.volume.extents import blobs_of
from trivet.volume.interface import PRIVATE_INO, ROOT_INO
from trivet.wire.bank_messages import BlobNames, DeleteBlobs, ListBlobs
from trivet.wire.records import ino_of
from trivet.wire.snapshot_table import SNAPSHOTS, UNFINISHED

LARGE = 200_000


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is freed deleted at once."""
    monkeypatch.setattr(refresh, "GRACE_S", 0.0)
    monkeypatch.setattr(refresh, "COLLECT_EVERY_S", 0.02)


async def held_by(drive: SmallDrive, bank: int) -> set[int]:
    """Return the names of all blobs in a bank."""
    (server,) = drive.keeper.fleet.banks[bank]
    reply, _ = await server.ask_blobs(ListBlobs(0, 5000), timeout_s=10)
    assert isinstance(reply, BlobNames)
    return {name for name, _size, _root in reply.blobs}


async def rows_of(drive: SmallDrive, name: bytes) -> dict[bytes, bytes | None]:
    """Return the records of a snapshot, page records by their bytes."""
    volume = drive.loaded.volume
    folder = (await volume.lookup(PRIVATE_INO, SNAPSHOTS)).ino
    ino = (await volume.lookup(folder, name)).ino
    note = await drive.loaded.snapshots._note(name)
    handle = await volume.open(ino, writing=False, truncate=False, sync=False)
    found: dict[bytes, bytes | None] = {}
    async for rows in read_table(volume, handle, note.frames_bytes):
        for row in rows:
            value = row.value if row.place is None else await volume.read(handle, *row.place)
            found[row.key] = value
    await volume.release(handle)
    return {key: value for key, value in found.items() if value is not None}


async def named_in(drive: SmallDrive, name: bytes, ino: int) -> set[int]:
    """Return the blobs that a snapshot names of a file."""
    rows = await rows_of(drive, name)
    return {ref.name for key, value in rows.items() if key[:2] == b"e/" and ino_of(key) == ino and value
            for ref in blobs_of(value)}  # fmt: skip


async def settled(drive: SmallDrive) -> None:
    """Wait until what was freed by now is deleted, and a refresh has looked at everything."""
    await drive.loaded.volume.fsyncdir(ROOT_INO)
    await drive.until(lambda: not drive.loaded.journal._freed and not drive.loaded.refresher._doomed)
    async with drive.loaded.refresher.busy:
        await drive.loaded.refresher.refresh()


async def test_what_a_snapshot_names_is_kept_until_it_is_removed(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        before = os.urandom(LARGE)
        ino = await drive.write(b"large", before)
        await drive.write(b"small", b"small")
        told = await drive.ask("snapshot", action="create", name="first")
        assert told["files"] == 7, "two tops, three private folders, two files"
        named = await named_in(drive, b"first", ino)
        assert len(named) == 1
        assert (await rows_of(drive, b"first")).keys() >= drive.loaded.queue.keys_of([ino, ROOT_INO])

        await drive.loaded.volume.unlink(ROOT_INO, b"large")
        await drive.loaded.volume.unlink(ROOT_INO, b"small")
        await settled(drive)
        for bank in range(3):
            assert named <= await held_by(drive, bank)
        # Its blobs are mended like all others.
        (server,) = drive.keeper.fleet.banks[1]
        await server.ask_blobs(DeleteBlobs(list(named)), timeout_s=10)
        report = await drive.ask("verify")
        assert [(found["path"], found["why"]) for found in report["findings"]] == [("(snapshots)", "missing")]
        await settled(drive)
        assert named <= await held_by(drive, 1)
        assert (await drive.ask("verify"))["findings"] == []

        # A new keeper knows what is kept before it deletes anything: but for it the blob is an orphan.
        await drive.keeper.close()
        await drive.start_keeper()
        await settled(drive)
        assert named <= await held_by(drive, 0)
        assert [one["name"] for one in (await drive.ask("snapshot", action="list"))["snapshots"]] == ["first"]

        assert (await drive.ask("snapshot", action="remove", name="first"))["blobs_freed"] == 1
        await settled(drive)
        for bank in range(3):
            assert not await held_by(drive, bank)
        with pytest.raises(NotFound):
            await drive.ask("snapshot", action="remove", name="first")


async def test_blobs_of_two_snapshots_go_with_the_second(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        ino = await drive.write(b"large", os.urandom(LARGE))
        for name in ("a", "b"):
            await drive.ask("snapshot", action="create", name=name)
        with pytest.raises(Conflict):
            await drive.ask("snapshot", action="create", name="a")
        named = await named_in(drive, b"a", ino)
        assert (await drive.ask("snapshot", action="remove", name="a"))["blobs_freed"] == 0
        await drive.loaded.volume.unlink(ROOT_INO, b"large")
        await settled(drive)
        assert named <= await held_by(drive, 2)
        assert (await drive.ask("snapshot", action="remove", name="b"))["blobs_freed"] == 1
        await settled(drive)
        assert not await held_by(drive, 2)


async def test_a_snapshot_under_load_is_one_slot_of_history(tmp_path: Path) -> None:
    """Each step of the writer changes two files together; a snapshot shows them equal, or one step apart."""
    async with small_drive(tmp_path) as drive:
        volume = drive.loaded.volume
        for number in range(300):
            await drive.write(b"other %d" % number, b"x" * 100)
        stop = asyncio.Event()
        steps = 0

        async def write_on() -> None:
            nonlocal steps
            rng = random.Random(1)
            while not stop.is_set():
                steps += 1
                for name in (b"a", b"b"):
                    body = b"%08d" % steps + bytes(rng.choice((10, 5_000, LARGE)))
                    await drive.write(b"new " + name, body)
                    await volume.rename(
                        ROOT_INO, b"new " + name, ROOT_INO, name, replace=True, exchange=False
                    )

        writing = asyncio.create_task(write_on())
        await drive.until(lambda: steps > 2)
        for number in range(3):
            acknowledged = steps - 1
            await drive.ask("snapshot", action="create", name=f"s{number}")
            rows = await rows_of(drive, b"s%d" % number)
            inodes = {name: int.from_bytes(rows[b"d/" + ROOT_INO.to_bytes(8, "big") + name] or b"", "big")
                      for name in (b"a", b"b")}  # fmt: skip
            counts = []
            for ino in inodes.values():
                page = rows.get(b"b/" + ino.to_bytes(8, "big") + bytes(4))
                if page is None:
                    (ref,) = blobs_of(rows[b"e/" + ino.to_bytes(8, "big") + bytes(4)] or b"")
                    page = await drive.loaded.blobs.read(ref, 0, 8)
                counts.append(int(page[:8]))
            assert counts[0] - counts[1] in (0, 1)
            assert counts[1] >= acknowledged
        stop.set()
        await writing
        await settled(drive)
        assert (await drive.ask("verify"))["findings"] == []


async def test_nothing_is_left_of_a_snapshot_that_no_bank_could_prove(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        await drive.write(b"large", os.urandom(LARGE))
        index = drive.loaded.journal.index
        index.exchange(b"i/" + bytes(7) + b"\x09", 1)  # a record that every bank has lost
        with pytest.raises(Exception, match="do not add up"):
            await drive.ask("snapshot", action="create", name="a")
        index.exchange(b"i/" + bytes(7) + b"\x09", 0)
        folder = drive.loaded.volume.space.directories[PRIVATE_INO][SNAPSHOTS]
        assert drive.loaded.volume.space.directories[folder] == {}
        assert not drive.loaded.volume.space.kept.is_held
        await drive.ask("snapshot", action="create", name="a")
        assert UNFINISHED not in drive.loaded.volume.space.directories[folder]


async def test_a_keeper_that_ends_meanwhile_leaves_nothing_of_it(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        await drive.write(b"large", os.urandom(LARGE))
        space = drive.loaded.volume.space
        creating = asyncio.create_task(drive.ask("snapshot", action="create", name="a"))

        def is_begun() -> bool:
            folder = space.directories[PRIVATE_INO].get(SNAPSHOTS)
            return folder is not None and UNFINISHED in space.directories[folder]

        async with asyncio.timeout(DEADLINE_S):
            while not is_begun():  # noqa: ASYNC110 - looked at in every turn of the loop: it is short
                await asyncio.sleep(0)
        creating.cancel()
        await asyncio.wait([creating])
        await drive.keeper.close()
        await drive.start_keeper()
        assert (await drive.ask("snapshot", action="list"))["snapshots"] == []
        await drive.ask("snapshot", action="create", name="a")
        await drive.ask("snapshot", action="remove", name="a")
        await settled(drive)
        assert len(await held_by(drive, 0)) == 1, "the file's own"
