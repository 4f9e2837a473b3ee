"""Which server acts for a bank when a keeper begins: who CONFIG names may be empty, or not there at all."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from small_drive import ServedBank, SmallDrive, small_drive
from trivet.keeper import seating
from trivet.wire.journal_messages import Assign


@pytest.fixture
async def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallDrive]:
    """A drive of two servers a bank; the seat of the second bank is its second server's."""
    monkeypatch.setattr(seating, "STAND_IN_AFTER_S", 0.2)
    async with small_drive(tmp_path, servers=2) as drive:
        await drive.write(b"kept", b"body")
        first, second = drive.banks[1]
        await first.hang_up(clean=False)
        await drive.until(lambda: seat(drive) == second.port)
        await drive.until(lambda: counted(drive) == 3)
        yield drive


def seat(drive: SmallDrive, bank: int = 1) -> int:
    """Return the port that CONFIG names for a bank."""
    assert drive.keeper.shell is not None
    config = drive.keeper.shell.leader.reign.log.config
    assert config is not None
    return config.seats[drive.banks[bank][0].port].port


def counted(drive: SmallDrive) -> int:
    """Return how many banks count."""
    assert drive.keeper.shell is not None
    return sum(one.counted for one in drive.keeper.shell.leader.reign.followers.values())


async def wipe(server: ServedBank) -> None:
    """End a server, if it runs, and remove all it has."""
    if server.is_listening:
        await server.hang_up(clean=False)
    shutil.rmtree(server.own)


@pytest.mark.parametrize("first", ["away", "empty", "blobs"])
async def test_a_bank_wiped_while_there_was_no_keeper_is_filled(drive: SmallDrive, first: str) -> None:
    await drive.keeper.close()
    for server in drive.banks[1]:
        await wipe(server)
    await drive.banks[1][1].listen()
    if first != "away":
        await drive.banks[1][0].listen()
    if first == "blobs":
        await drive.banks[1][0].request(Assign(False))
    await drive.begin_keeper()
    await drive.until(lambda: counted(drive) == 3)
    assert await drive.read(b"kept") == b"body"


async def test_the_seat_of_a_server_that_is_not_there_when_the_keeper_begins_moves_on(
    drive: SmallDrive,
) -> None:
    await drive.keeper.close()
    first, second = drive.banks[2]
    await first.hang_up(clean=False)
    await drive.begin_keeper()
    await drive.until(lambda: seat(drive, bank=2) == second.port)
    await drive.until(lambda: counted(drive) == 3)
    assert await drive.read(b"kept") == b"body"
