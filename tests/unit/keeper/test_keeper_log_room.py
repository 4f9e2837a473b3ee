"""What the keeper holds of the log is bounded: writers wait for banks that apply late, and then go on."""

import asyncio
from pathlib import Path

import pytest

from small_drive import SmallDrive, small_drive
from trivet.errors import NoMajority
from trivet.keeper import log_room
from trivet.keeper.log_room import LogRoom
from trivet.quorum.leader_log import LeaderLog
from trivet.volume.interface import ROOT_INO, Caller

BODY = bytes(range(256)) * 240  # 60 KiB, which lie in the log and not in blobs
BOUND, KEPT, MOST = 4 << 20, 1 << 20, 8 << 20
WRITERS = 16
IN_FLIGHT = 2 * WRITERS * len(BODY)  # what they had begun, and were about to, when the log was too long
FILES = 160
ME = Caller(0, 0)


@pytest.fixture
def _small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_room, "HELD_BYTES", BOUND)
    monkeypatch.setattr(log_room, "MOST_BYTES", MOST)
    monkeypatch.setattr(log_room, "KEPT_LOG_BYTES", KEPT)
    monkeypatch.setattr(log_room, "STILL_AFTER_S", 60.0)  # the bound does not give way


class Writers:
    """People who make files side by side as fast as they can; `most_bytes` of the log were held meanwhile."""

    def __init__(self, drive: SmallDrive) -> None:
        self.made = 0
        self.most_bytes = 0
        self._drive = drive
        self._numbers = iter(range(FILES))

    async def _write(self) -> None:
        volume = self._drive.loaded.volume
        log = self._drive.loaded.journal._leader.reign.log
        for number in self._numbers:
            _, handle = await volume.create(ROOT_INO, b"%d" % number, 0o644, ME)
            await volume.write(handle, 0, BODY)
            await volume.flush(handle)
            await volume.release(handle)
            self.made += 1
            self.most_bytes = max(self.most_bytes, log.size_bytes)

    async def run(self) -> None:
        """Make all files."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._write())


@pytest.mark.usefixtures("_small_bounds")
async def test_writers_wait_for_banks_that_apply_late_and_go_on(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        late = [bank[0].place.records._order for bank in drive.banks[:2]]
        for applying in late:
            await applying.acquire()
        writers = Writers(drive)
        running = asyncio.create_task(writers.run())
        async with asyncio.timeout(60):  # nobody may wait yet on a busy machine
            while not drive.loaded.journal.room.note:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert "changes wait" in str((await drive.ask("status"))["notes"])
        made = writers.made
        done, _ = await asyncio.wait([running], timeout=1.0)
        assert not done
        assert writers.made <= made + WRITERS
        for applying in late:
            applying.release()
        async with asyncio.timeout(60):
            await running
        assert writers.made == FILES
        assert BOUND < writers.most_bytes <= BOUND + IN_FLIGHT < FILES * len(BODY)
        assert await drive.read(b"%d" % (FILES - 1)) == BODY
        await drive.until(lambda: not drive.loaded.journal.room.note)


@pytest.mark.usefixtures("_small_bounds")
async def test_a_bank_that_is_away_for_good_holds_up_nobody(tmp_path: Path) -> None:
    async with small_drive(tmp_path) as drive:
        await drive.banks[2][0].hang_up(clean=False)
        writers = Writers(drive)
        async with asyncio.timeout(60):
            await writers.run()
        assert writers.most_bytes <= BOUND + IN_FLIGHT
        await drive.banks[2][0].listen()
        await drive.until(lambda: drive.loaded.journal.room.is_free and counts_again(drive))


@pytest.mark.usefixtures("_small_bounds")
async def test_who_waited_too_long_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet.keeper.journal.WAIT_S", 0.3)
    async with small_drive(tmp_path) as drive:
        for bank in drive.banks:
            await bank[0].place.records._order.acquire()
        with pytest.raises(ExceptionGroup) as told:
            await Writers(drive).run()
        for bank in drive.banks:
            bank[0].place.records._order.release()
        assert all(isinstance(error, NoMajority) for error in told.value.exceptions)
        assert "MiB of the log are held" in str(told.value.exceptions[0])


def counts_again(drive: SmallDrive) -> bool:
    """Tell whether every bank follows the log to its end."""
    reign = drive.loaded.journal._leader.reign
    return all(one.counted and one.head == reign.log.head for one in reign.followers.values())


def _log(size_bytes: int, floor: int = 5) -> LeaderLog:
    log = LeaderLog(floor)
    log.size_bytes = size_bytes
    return log


@pytest.mark.usefixtures("_small_bounds")
async def test_the_bound_gives_way_while_nothing_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_room, "STILL_AFTER_S", 2.0)
    room = LogRoom()

    def is_free(size_bytes: int, now: float, floor: int = 5) -> bool:
        room.look(_log(size_bytes, floor), now, has_takers=True)
        return room.is_free

    mib = 1 << 20
    assert is_free(BOUND, 100.0)
    assert not is_free(BOUND + mib, 100.1)
    assert not is_free(BOUND + mib, 102.0), "banks let go of something every now and then"
    assert is_free(BOUND + mib, 103.2)
    assert not is_free(BOUND + 2 * mib, 103.2), "a MiB a second"
    assert not is_free(BOUND + mib, 103.3, floor=6), "something was let go of: the bound holds again"
    assert not is_free(MOST + 1, 10_000.0, floor=6), "somewhere it ends"
    assert is_free(BOUND, 10_001.0, floor=7)


@pytest.mark.usefixtures("_small_bounds")
async def test_without_banks_nobody_waits_for_room() -> None:
    room = LogRoom()
    room.look(_log(MOST), 1.0, has_takers=True)
    waiting = asyncio.create_task(room.wait(20.0))
    await asyncio.sleep(0)
    assert room.note
    room.look(_log(MOST), 1.1, has_takers=False)
    async with asyncio.timeout(5):
        await waiting
    assert not room.note
