"""Records compared and mended on real banks: what is right, what is found, what is written."""

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from small_drive import ServedBank, SmallDrive, small_drive
from trivet.errors import NoMajority
from trivet.io.clock import steady_s
from trivet.keeper.findings import PathFinder
from trivet.volume.interface import ROOT_INO
from trivet.wire.bank_messages import GetRecords, Rows
from trivet.wire.control_messages import Finding
from trivet.wire.records import entry_key, inode_key, page_key

SQLITE_PAGE = 4096


@pytest.fixture
async def drive(tmp_path: Path) -> AsyncIterator[SmallDrive]:
    async with small_drive(tmp_path) as drive:
        for number in range(12):
            await drive.write(b"file%d" % number, b"%d" % number * 300)
        await applied(drive)
        yield drive


async def applied(drive: SmallDrive) -> None:
    """Wait until every bank's table shows everything that is durable."""
    journal = drive.loaded.journal
    await drive.until(
        lambda: (
            journal.durable_slot == journal.head_slot and len(journal.acceptors_at(journal.head_slot)) == 3
        )
    )
    for server in journal.acceptors_at(0):
        await drive.loaded.queue.rows.differing_keys(server, journal.durable_slot)


async def spoil(server: ServedBank, statement: str, key: bytes) -> None:
    """Change the row of `key` in the table of `server`, as somebody with access to the file would."""

    def change(table: object) -> None:
        connection = table._sql  # type: ignore[attr-defined]
        assert isinstance(connection, sqlite3.Connection)
        assert connection.execute(statement, (key,)).rowcount == 1

    await server.place.records._owned.write(change)


async def row_on(server: ServedBank, key: bytes) -> tuple[int, bytes] | None:
    reply, _ = await server.request(GetRecords([key]))
    assert isinstance(reply, Rows)
    return (reply.rows[0].slot, reply.rows[0].value) if reply.rows else None


async def check(drive: SmallDrive, server: ServedBank, *, apply: bool = True) -> list[Finding]:
    """Compare all records of one server, mend them if `apply`, and return what was found.

    A server that has not got everything is left for the next time, so it is waited for, before and after.
    """
    rows, space, journal = drive.loaded.queue.rows, drive.loaded.volume.space, drive.loaded.journal
    link = drive.keeper.fleet.server_at(server.port)
    while True:
        await drive.until(
            lambda: (
                journal.durable_slot == journal.head_slot and link in journal.acceptors_at(journal.head_slot)
            )
        )
        before = journal.head_slot
        keys = await rows.differing_keys(link, journal.durable_slot)
        found = await rows.mend(link, keys, PathFinder(space), apply=apply)
        if found or (before == journal.head_slot and link in journal.acceptors_at(before)):
            return found


DELETE = "DELETE FROM records WHERE key = ?"
SPOIL = "UPDATE records SET value = x'00' WHERE key = ?"
AGE = "UPDATE records SET slot = slot - 1 WHERE key = ?"


@pytest.mark.parametrize(
    ("statement", "why"), [(DELETE, "missing"), (SPOIL, "checksum differs"), (AGE, "checksum differs")]
)
async def test_wrong_row_is_found_told_and_mended(drive: SmallDrive, statement: str, why: str) -> None:
    server = drive.servers[1]
    ino = (await drive.loaded.volume.lookup(ROOT_INO, b"file3")).ino
    before = await row_on(server, inode_key(ino))
    await spoil(server, statement, inode_key(ino))
    [found] = await check(drive, server, apply=False)
    assert (found.verdict, found.path, found.item, found.why) == ("would fix", "/file3", "attributes", why)
    assert found.server == server.port
    assert found.source in {drive.servers[0].port, drive.servers[2].port}
    assert await row_on(server, inode_key(ino)) != before
    [fixed] = await check(drive, server)
    assert fixed.verdict == "fixed"
    assert await row_on(server, inode_key(ino)) == before
    assert await check(drive, server) == []


async def test_same_wrong_bytes_on_two_banks_lose(drive: SmallDrive) -> None:
    key = entry_key(ROOT_INO, b"file5")
    before = await row_on(drive.servers[2], key)
    for server in drive.servers[:2]:
        await spoil(server, SPOIL, key)
    for server in drive.servers[:2]:
        [fixed] = await check(drive, server)
        assert fixed.verdict == "fixed"
        assert await row_on(server, key) == before


async def test_row_on_no_bank_comes_back_from_the_log(drive: SmallDrive) -> None:
    key = entry_key(ROOT_INO, b"file7")
    before = await row_on(drive.servers[0], key)
    for server in drive.servers:
        await spoil(server, DELETE, key)
    sources = []
    for server in drive.servers:
        [fixed] = await check(drive, server)
        assert fixed.verdict == "fixed"
        assert await row_on(server, key) == before
        sources.append(fixed.source)
    assert sources[0] is None
    assert None not in sources[1:]


async def test_row_that_should_be_gone_goes(drive: SmallDrive) -> None:
    server = drive.servers[0]
    key = entry_key(ROOT_INO, b"nobody")
    row = await row_on(server, entry_key(ROOT_INO, b"file1"))
    assert row is not None
    statement = f"INSERT INTO records VALUES (?, {row[0]}, x'{row[1].hex()}', x'00')"
    await spoil(server, statement, key)
    [fixed] = await check(drive, server)
    assert (fixed.verdict, fixed.why) == ("fixed", "should be gone") or fixed.why == "checksum differs"
    assert await row_on(server, key) is None


@pytest.mark.parametrize("key", [b"b/config", b"e/\0", b"d", b"o/" + bytes(9)])
async def test_a_row_whose_key_damage_made_goes(drive: SmallDrive, key: bytes) -> None:
    await spoil(drive.servers[0], "INSERT INTO records VALUES (?, 3, x'00', x'00')", key)
    [fixed] = await check(drive, drive.servers[0])
    assert (fixed.verdict, fixed.path, fixed.item) == ("fixed", "(no record)", "record")
    assert await row_on(drive.servers[0], key) is None


async def test_lost_row_is_told_and_holds_no_log_back(drive: SmallDrive) -> None:
    """One record that nobody has must not let the log grow for ever."""
    key = entry_key(ROOT_INO, b"file9")
    await trim(drive)
    for server in drive.servers:
        await spoil(server, DELETE, key)
    for follower in drive.keeper.shell.leader.reign.followers.values():  # type: ignore[union-attr]
        follower.compared = False
    await drive.write(b"later", b"later")
    for _ in range(2):
        for server in drive.servers:
            [lost] = await check(drive, server)
            assert (lost.verdict, lost.path) == ("cannot fix", "/file9")
    floor = await trim(drive)
    assert floor > drive.loaded.journal.slot_of(key)
    assert await drive.read(b"later") == b"later"
    # Every bank was asked and lacks it, so no seat waits for a copy of it.
    assert all(one.is_whole for one in drive.keeper.shell.leader.reign.followers.values())  # type: ignore[union-attr]
    # Another difference beside it still counts.
    await spoil(drive.servers[0], SPOIL, entry_key(ROOT_INO, b"file2"))
    verdicts = {found.path: found.verdict for found in await check(drive, drive.servers[0])}
    assert verdicts == {"/file9": "cannot fix", "/file2": "fixed"}


async def trim(drive: SmallDrive) -> int:
    """Write an anchor, let every bank apply it, trim all that may go; return the floor."""
    shell, journal = drive.keeper.shell, drive.loaded.journal
    assert shell is not None
    leader, log = shell.leader, shell.leader.reign.log
    await drive.until(lambda: journal._ends_in_anchor and journal.durable_slot == journal.head_slot)
    await applied(drive)

    def trimmed() -> bool:
        """Trim as far as the banks said they have applied; they say it in answer to the trim before."""
        shell.run(leader.trim(steady_s()))
        return log.floor == log.keep_from - 1

    await drive.until(trimmed)
    return log.floor


async def test_a_page_that_is_lost_everywhere_costs_one_file(drive: SmallDrive) -> None:
    """The sums prove that the page is there, and at which slot: after a restart the rest is served."""
    ino = (await drive.loaded.volume.lookup(ROOT_INO, b"file3")).ino
    key = page_key(ino, 0)
    floor = await trim(drive)
    assert floor > drive.loaded.journal.slot_of(key)
    for server in drive.servers:
        await spoil(server, SPOIL, key)
    await drive.keeper.close()
    await drive.start_keeper()
    assert await drive.read(b"file4") == b"4" * 300
    with pytest.raises(NoMajority):
        await drive.read(b"file3")
    assert {(f.verdict, f.path) for f in drive.loaded.queue.open.values()} == {("cannot fix", "/file3")}
    await drive.loaded.volume.unlink(ROOT_INO, b"file3")
    await drive.write(b"file3", b"new")
    assert await drive.read(b"file3") == b"new"
    drive.loaded.refresher.refresh_now()
    await drive.until(lambda: not drive.loaded.queue.open)


async def test_repair_does_not_overtake_a_delete(drive: SmallDrive) -> None:
    """A row read before its key was deleted is not written behind the delete."""
    volume, rows = drive.loaded.volume, drive.loaded.queue.rows
    server = drive.servers[1]
    key = entry_key(ROOT_INO, b"file4")
    await spoil(server, DELETE, key)
    real = rows._good_rows

    async def delete_meanwhile(*asked: object) -> object:
        found = await real(*asked)  # type: ignore[arg-type]
        await volume.unlink(ROOT_INO, b"file4")
        await volume.fsyncdir(ROOT_INO)
        await applied(drive)
        return found

    rows._good_rows = delete_meanwhile  # type: ignore[method-assign, assignment]
    link = drive.keeper.fleet.server_at(server.port)
    await rows.mend(link, [key], PathFinder(volume.space), apply=True)
    assert await row_on(server, key) is None


async def test_a_table_made_anew_while_it_is_summed_is_compared_all_the_same(drive: SmallDrive) -> None:
    """A server that finds its file unreadable has no sums to tell at first: that is not to be right."""
    server, link = drive.servers[1], drive.keeper.fleet.server_at(drive.servers[1].port)
    await server.place.records.sync()
    with server.place.records._table._path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(2 * SQLITE_PAGE)
        file.write(b"\xff" * (size - 2 * SQLITE_PAGE))
    keys = await drive.loaded.queue.rows.differing_keys(link, drive.loaded.journal.durable_slot)
    assert keys
    await drive.loaded.queue.rows.mend(link, keys, PathFinder(drive.loaded.volume.space), apply=True)
    assert await check(drive, server) == []
