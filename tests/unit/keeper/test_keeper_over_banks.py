"""The refresh and what it collects, and the log's own clock, over real banks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from small_drive import SmallDrive, small_drive
from trivet.errors import NoMajority
from trivet.keeper.refresh import GRACE_S
from trivet.volume.interface import ROOT_INO, Caller

BODY = bytes(range(256)) * 2000


@pytest.fixture
async def drive(tmp_path: Path) -> AsyncIterator[SmallDrive]:
    async with small_drive(tmp_path) as drive:
        await drive.write(b"large", BODY)
        yield drive


def blobs(drive: SmallDrive) -> list[int]:
    """Return how many blobs each bank holds."""
    return [len(server.place.blobs.index) for server in drive.servers]


async def test_what_is_set_free_goes_after_its_grace_and_not_before(drive: SmallDrive) -> None:
    await drive.until(lambda: blobs(drive) == [1, 1, 1])
    await drive.loaded.volume.unlink(ROOT_INO, b"large")
    await drive.loaded.volume.fsyncdir(ROOT_INO)
    await drive.until(lambda: bool(drive.loaded.refresher._doomed))
    noted_at, _ = drive.loaded.refresher._doomed[0]
    assert blobs(drive) == [1, 1, 1]
    drive.loaded.refresher._doomed[0] = (noted_at - GRACE_S, drive.loaded.refresher._doomed[0][1])
    await drive.until(lambda: blobs(drive) == [0, 0, 0])


async def test_what_is_open_stays_told_until_a_refresh_found_it_right(drive: SmallDrive) -> None:
    [name] = [name for name, _ in drive.servers[0].place.blobs.index.after(0, 9)[0]]
    for server in drive.servers:
        await server.place.blobs.delete([name])
    await drive.loaded.refresher.refresh()
    assert len(drive.loaded.queue.open) == 3
    assert drive.loaded.queue.divergent(drive.servers[1].port) == 1
    assert (await drive.ask("status"))["healthy"] is False
    await drive.loaded.volume.unlink(ROOT_INO, b"large")
    await drive.loaded.refresher.refresh()
    assert drive.loaded.queue.open == {}


async def test_without_two_banks_changes_fail_in_time_and_go_on_later(drive: SmallDrive) -> None:
    volume, journal = drive.loaded.volume, drive.loaded.journal
    for server in drive.servers[1:]:
        await server.hang_up(clean=False)
    await drive.until(lambda: len(journal.acceptors_at(0)) == 1)
    with pytest.raises(NoMajority, match="fewer than two banks"):
        await volume.mkdir(ROOT_INO, b"first", 0o755, Caller(0, 0))
    with pytest.raises(NoMajority):
        await journal.writable()
    assert await drive.read(b"large") == BODY
    for server in drive.servers[1:]:
        await server.listen()
    await drive.until(lambda: journal.durable_slot == journal.head_slot and not journal._is_stalled)
    await volume.mkdir(ROOT_INO, b"second", 0o755, Caller(0, 0))
    assert {b"large", b"second"} <= set(volume.space.directories[ROOT_INO])


async def test_an_idle_log_ends_in_an_anchor_that_every_bank_adds_up_to(drive: SmallDrive) -> None:
    journal, reign = drive.loaded.journal, drive.keeper.shell.leader.reign  # type: ignore[union-attr]
    await drive.until(lambda: reign.log.anchor_slot == reign.log.head == reign.marks.durable)
    assert reign.log.entries[-1].body.sums == journal.index.sums()
    for follower in reign.followers.values():
        follower.compared = False
    await drive.loaded.refresher.refresh()
    assert all(follower.compared for follower in reign.followers.values())
    assert drive.loaded.queue.open == {}
