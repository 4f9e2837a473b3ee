"""Requests between queue and transfers: what comes twice, what nobody knows, what is parked too long."""

import asyncio
from pathlib import Path

import pytest

from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.errors import NoMajority, Parked
from trivet.upstream.requesting import PARKED_S
from upstream_rig import UpstreamRig, in_virtual_time, upstream_rig
from vendor_server import Vendor


async def _put_in_queue(rig: UpstreamRig, key: str, body: bytes) -> None:
    """Let somebody put a message into the queue; it is found when the queue is looked at next."""
    await rig.store.write("INSERT INTO requests (key, body) VALUES (?, ?)", key, body)
    await asyncio.sleep(30)


async def _in_queue(rig: UpstreamRig) -> int:
    return len(await rig.store.rows("SELECT key FROM requests"))


def test_what_nobody_knows_is_put_aside_told_and_holds_up_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("plan", b"a plan")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await _put_in_queue(rig, "junk", b"\x00 no request")
            unknown = b'{"key":"x","id":"i","ino":5,"user":"u","name":"n","size":1,"since_s":1.0}'
            await _put_in_queue(rig, "x", unknown)
            assert await rig.read("plan") == b"a plan"
            dead = await rig.store.rows("SELECT body FROM dead_requests ORDER BY rowid")
            assert dead == [(b"\x00 no request",), (unknown,)]
            told = await rig.notices()
            assert ["put aside" in text for text in told] == [True, True]
            assert "'x'" in told[1]
            assert await _in_queue(rig) == 0

    in_virtual_time(run())


def test_a_request_that_comes_again_after_its_transfer_is_worked_off_once(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("plan", b"a plan")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.read("plan")
            ((key,),) = await rig.store.rows("SELECT key FROM transfers")
            told = await rig.work.transfers.by_key(key)
            assert told is not None
            again = b'{"key":"%s","id":"%s","ino":%d,"user":"u","name":"n","size":1,"since_s":1.0}'
            await _put_in_queue(rig, key, again % (key.encode(), told.id.encode(), told.ino))
            assert await _in_queue(rig) == 0
            assert vendor.face.seen["download"] == 1
            assert await rig.notices() == []

    in_virtual_time(run())


def test_a_turn_that_comes_while_its_transfer_is_just_being_parked_is_not_lost(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("plan", b"a plan")
        async with upstream_rig(tmp_path, vendor, poll_s=900.0) as rig:
            await rig.settled(2000)
            up, tell = rig.work.up, rig.work.up.tell

            async def told_late(text: str, user: str = "") -> None:
                vendor.faults.down = False
                await asyncio.sleep(60)  # until the vendor is asked again
                await rig.work.fetching.take_up_parked()
                await asyncio.sleep(60)
                await tell(text, user)

            up.tell = told_late  # type: ignore[method-assign]
            vendor.faults.down = True
            asked = rig.work.fetching.bring(await rig.ino("plan"), "ann", queue=True, wait_s=3600)
            with pytest.raises(Parked):
                await asked
            await asyncio.sleep(1)
            (transfer,) = await rig.work.transfers.listed("name = 'plan'", 9)
            assert transfer.state == "done"

    in_virtual_time(run())


def test_with_the_drives_own_banks_away_a_transfer_is_parked_and_comes_by_itself(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("plan", b"a plan")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            volume, flush = rig.volume, rig.volume.flush

            async def refused(handle: int) -> None:
                raise NoMajority("fewer than two banks took the data")

            volume.flush = refused  # type: ignore[method-assign]
            asked = rig.work.fetching.bring(await rig.ino("plan"), "ann", queue=True, wait_s=3600)
            with pytest.raises(Parked, match="fewer than two banks"):
                await asked
            await asyncio.sleep(300)
            (notice,) = await rig.notices()
            assert notice.startswith("plan is parked and comes by itself when the banks are back: ")
            volume.flush = flush  # type: ignore[method-assign]
            await asyncio.sleep(30)
            assert await rig.read("plan") == b"a plan"
            assert await rig.staged() == []

    in_virtual_time(run())


def test_what_is_parked_comes_with_the_vendor_and_is_given_up_after_a_week(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        for name in ("soon", "late"):
            vendor.put(name, name.encode())
        async with upstream_rig(tmp_path, vendor, poll_s=60.0) as rig:
            await rig.settled(2000)

            async def ask(name: str) -> str:
                asked = rig.work.fetching.bring(await rig.ino(name), "ann", queue=True, wait_s=3600)
                (answer,) = await asyncio.gather(asked, return_exceptions=True)
                return type(answer).__name__

            vendor.faults.down = True
            assert await ask("soon") == "Parked"
            told = await rig.work.requests.told()
            assert (told.queue, told.parking, told.parked, told.trouble) == ("embedded", "embedded", 1, "")
            assert await _in_queue(rig) == 0
            await rig.stop()
            await rig.start()
            vendor.faults.down = False
            await asyncio.sleep(300)
            assert vendor.face.seen["download"] == 1
            vendor.faults.down = True
            assert await ask("late") == "Parked"
            await asyncio.sleep(PARKED_S + 60)
            vendor.faults.down = False
            await asyncio.sleep(300)
            (late,) = await rig.work.transfers.listed("name = 'late'", 9)
            assert (late.state, late.error) == ("failed", "it was parked for too long")
            assert vendor.face.seen["download"] == 1
            assert await rig.read("late") == b"late", "whoever asks anew gets it"

    in_virtual_time(run())


def test_the_order_of_the_queue_holds_over_restarts_and_a_dead_transfer_returns_its_bytes(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        vendor = Vendor()
        for number in range(6):
            vendor.put(f"{number}", bytes([number]) * 1000)
        limits = BudgetLimits(pool_bytes=2000)
        async with upstream_rig(tmp_path, vendor, download=limits, poll_s=900.0) as rig:
            await rig.settled(4000)
            places = []
            for number in range(6):
                ino = await rig.ino(f"{number}")
                told = await rig.work.fetching.bring(ino, f"user {number}", queue=True, wait_s=60)
                places.append(told.get("position", 0))
            assert places == [0, 0, 1, 2, 3, 4]
            for _ in range(3):
                await rig.stop()
                await rig.start()
            await asyncio.sleep(5)
            waiting = list(rig.work.transfers.budgets["download"].waiting)
            rows = await rig.work.transfers.open_downloads("waiting")
            assert waiting == [one.key for one in rows]
            assert [one.name for one in rows] == ["2", "3", "4", "5"]
            await rig.work.fetching.cancel(rows[0], "nobody wants it")
            assert rig.work.fetching.budget.used_bytes(rig.work.up.now_s()) == 2000
            assert await _in_queue(rig) == 3
            await asyncio.sleep(86_400)
            done = await rig.work.transfers.listed("state = 'done' ORDER BY touched_s", 9)
            assert [one.name for one in done] == ["0", "1", "3", "4"]

    in_virtual_time(run())
