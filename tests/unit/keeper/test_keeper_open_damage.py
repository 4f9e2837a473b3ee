"""What can't be mended is skipped, listed and aged, and holds up nothing else; what is refilled is told."""

import asyncio
from pathlib import Path

import msgspec

from corruption_pool import blob_on, write_blob
from small_drive import ServedBank, SmallDrive, small_drive
from trivet.cli.findings_text import open_line
from trivet.keeper.refilling import Pacing, Refilling
from trivet.volume.interface import ROOT_INO
from trivet.wire.control_messages import RepairHistory

BODY = bytes(range(256)) * 400


def spoil(servers: list[ServedBank], name: int) -> None:
    """Spoil the copies of a blob on `servers`."""
    for server in servers:
        copy = blob_on(server, name)
        assert copy is not None
        write_blob(server, copy, copy.stored[:-9000] + bytes(9000))


async def told(drive: SmallDrive) -> RepairHistory:
    """Return what `trivet repairs` is told."""
    return msgspec.convert(await drive.ask("repairs"), RepairHistory)


async def test_stuck_damage_is_listed_with_its_age_and_blocks_nothing(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        for name in (b"stuck", b"whole"):
            await drive.write(name, BODY)
        stuck, whole = [name for name, _ in drive.servers[0].place.blobs.index.after(0, 9)[0]]
        await drive.until(lambda: all(len(server.place.blobs.index) == 2 for server in drive.servers))
        spoil(drive.servers, stuck)
        spoil(drive.servers[:2], whole)
        since: list[float | None] = []
        for _ in range(2):
            await drive.loaded.refresher.refresh()
            await drive.loaded.refresher.scrub(10)
            history = await told(drive)
            assert {(one.path, one.verdict) for one in history.open} == {("/stuck", "cannot fix")}
            assert {one.server for one in history.open} == {server.port for server in drive.servers}
            since.append(history.open[0].found_s)
        assert since[0] == since[1] is not None
        assert {(one.path, one.server) for one in history.repairs} == {
            ("/whole", server.port) for server in drive.servers[:2]
        }
        assert all(one.before != one.after and one.ranges for one in history.repairs)
        assert "open for 2 min" in open_line(history.open[0], (since[0] or 0.0) + 120)
        assert await drive.read(b"whole") == BODY
        assert (await drive.ask("status"))["healthy"] is False


async def test_damage_of_a_file_that_is_gone_is_open_no_longer(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        await drive.write(b"stuck", BODY)
        await drive.until(lambda: all(len(server.place.blobs.index) == 1 for server in drive.servers))
        spoil(drive.servers, drive.servers[0].place.blobs.index.after(0, 9)[0][0][0])
        async with asyncio.timeout(60):
            while len((await told(drive)).open) < len(drive.servers):
                await drive.loaded.refresher.scrub(10)
            await drive.loaded.volume.unlink(ROOT_INO, b"stuck")
            while (await told(drive)).open:
                await drive.loaded.refresher.scrub(10)


async def test_what_is_refilled_is_counted(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        await drive.write(b"large", BODY * 100)
        server = drive.servers[1]
        names = [name for name, _ in server.place.blobs.index.after(0, 100)[0]]
        await server.place.blobs.delete(names)
        seen = []
        replace = drive.loaded.blobs.replace

        async def replacing(*arguments: object) -> object:
            seen.append(drive.loaded.queue.refill.told(0.0))
            return await replace(*arguments)  # type: ignore[arg-type]

        drive.loaded.blobs.replace = replacing  # type: ignore[method-assign, assignment]
        await drive.loaded.refresher.refresh()
        told = [one for one in seen if one is not None and one.servers == [server.port]]
        assert any(one.total_bytes >= len(BODY) * 100 for one in told)
        done = [one.done_bytes for one in told]
        assert done == sorted(done)
        assert done[0] < done[-1] < told[-1].total_bytes
        assert drive.loaded.queue.refill.told(0.0) is None
        assert (await drive.ask("status"))["refill"] is None


def test_a_rate_and_what_is_left_are_told_once_they_mean_something() -> None:
    refill = Refilling(Pacing())
    assert refill.told(0.0) is None
    refill.expect(1000, 10.0)
    told = refill.told(10.1)
    assert told is not None
    assert told.left_s is None
    refill.done(400)
    told = refill.told(14.0)
    assert told is not None
    assert (told.done_bytes, told.bytes_s, told.left_s) == (400, 100.0, 6.0)
    refill.done(600)
    assert refill.told(15.0) is None
    refill.expect(50, 20.0)
    assert refill.told(20.0) is not None
