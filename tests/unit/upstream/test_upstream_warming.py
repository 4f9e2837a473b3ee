"""Warm-ups: bodies fetched ahead, at a time of day, once for what was missed, and never before people."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.drive.upstream.vendor_quota import QuotaLimits
from trivet.drive.upstream.warm_rules import next_run_s
from trivet.errors import InputError, NotFound
from upstream_rig import UpstreamRig, in_virtual_time, upstream_rig, virtual_now_s
from vendor_server import Vendor

DAY_S = 86400.0


def reports(size: int = 1000, count: int = 6) -> Vendor:
    """Return a vendor with some reports and something else."""
    vendor = Vendor()
    folder = vendor.folder("reports")
    deep = vendor.folder("deep", folder)
    for number in range(count):
        vendor.put(f"{number}.csv", bytes([number]) * size, deep if number else folder)
    vendor.put("else", b"else" * 100)
    return vendor


async def last(rig: UpstreamRig) -> tuple[int, int, int, str]:
    """Return (fetched, here, left, why) of the last run of the one warm-up."""
    (one,) = await rig.work.cache.warm_ups.listed()
    assert one.last is not None
    return one.last.fetched, one.last.here, one.last.left, one.last.why_left


def test_now_it_fetches_what_is_away_below_the_folder_and_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = reports()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.read("reports/0.csv")
            seen: list[tuple[int, int]] = []
            warm = rig.work.cache.warm_ups.warm
            told = await warm("/google/reports", "ann", lambda done, total: seen.append((done, total)))
            assert (told.fetched, told.here, told.left, told.size_bytes) == (5, 1, 0, 5000)
            assert seen == [(done, 5) for done in range(5)]
            assert vendor.face.seen["download"] == 6
            with pytest.raises(NotFound):
                await warm("/google/nothing", "ann", None)
            assert (await warm("/google/else", "ann", None)).fetched == 1

    in_virtual_time(run())


def test_every_day_at_its_time_and_a_missed_run_is_made_up_for_once(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = reports()
        async with upstream_rig(tmp_path, vendor, poll_s=900.0) as rig:
            await rig.settled(2000)
            warm_ups = rig.work.cache.warm_ups
            one = await warm_ups.schedule("/google/reports", "03:00", "Europe/Berlin", "ann")
            assert datetime.fromtimestamp(one.next_s, UTC).hour == 2
            assert 0 < one.next_s - virtual_now_s() < DAY_S
            await asyncio.sleep(one.next_s - virtual_now_s() - 60)
            assert vendor.face.seen.get("download", 0) == 0
            await asyncio.sleep(180)
            assert await last(rig) == (6, 0, 0, "")
            await rig.work.cache.evict("/google/reports")
            await rig.stop()
            await asyncio.sleep(3 * DAY_S + 3600)  # three runs are missed
            await rig.start()
            await asyncio.sleep(120)
            assert vendor.face.seen["download"] == 12, "made up for, once"
            (again,) = await rig.work.cache.warm_ups.listed()
            assert 0 < again.next_s - virtual_now_s() < DAY_S
            await rig.work.cache.warm_ups.remove("/google/reports")
            with pytest.raises(NotFound):
                await rig.work.cache.warm_ups.remove("/google/reports")

    in_virtual_time(run())


def test_a_run_cut_short_by_an_outage_goes_on_when_it_is_over(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = reports()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            one = await rig.work.cache.warm_ups.schedule("/google/reports", "11:00", "UTC", "ann")
            await asyncio.sleep(one.next_s - virtual_now_s() - 30)
            vendor.faults.down = True
            await asyncio.sleep(1800)
            fetched, _, left, why = await last(rig)
            assert (fetched, left) == (0, 6)
            assert "the vendor does not answer" in why or "tried 5 times" in why
            vendor.faults.down = False
            await asyncio.sleep(1200)
            assert (await last(rig))[2:] == (0, "")

    in_virtual_time(run())


def test_people_come_first(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = reports(size=1000, count=10)
        for number in range(3):
            vendor.put(f"big {number}", b"x" * 4500)
        limits = BudgetLimits(pool_bytes=10_000)
        async with upstream_rig(tmp_path, vendor, download=limits, poll_s=900.0) as rig:
            await rig.settled(2000)
            warm = rig.work.cache.warm_ups.warm
            told = await warm("/google/reports", "ann", None)
            assert (told.fetched, told.left) == (5, 5)
            assert told.why_left == "half of the day's bytes is for people"
            bring = rig.work.fetching.bring
            assert (await bring(await rig.ino("big 0"), "bob", queue=True, wait_s=60))["state"] == "here"
            assert (await bring(await rig.ino("big 1"), "bob", queue=True, wait_s=60))["position"] == 1
            told = await warm("/google/reports", "ann", None)
            assert (told.fetched, told.why_left) == (0, "somebody waits for today's bytes")
            waiting = rig.work.transfers.budgets["download"].waiting
            assert len(waiting) == 1, "a warm-up has no place in the queue"

    in_virtual_time(run())


def test_a_warm_up_leaves_half_of_the_calls_and_fits_into_the_limit(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = reports()
        quota = QuotaLimits(requests_per_day=40)
        async with upstream_rig(tmp_path, vendor, quota=quota, poll_s=3600.0, cache_bytes=2500) as rig:
            await rig.settled(7200)
            warm = rig.work.cache.warm_ups.warm
            told = await warm("/google/reports/deep", "ann", None)
            assert told.why_left == "the cache is full (see `trivet cache limit`)"
            assert (told.fetched, rig.work.cache.bodies.items) == (2, 2)
            rig.work.cache.limit_bytes = None
            rig.work.up.vendor.quota.count.requests = 20
            told = await warm("/google/reports/deep", "ann", None)
            assert (told.fetched, told.why_left) == (0, "half of the vendor's calls a day is for people")

    in_virtual_time(run())


def test_the_next_run_is_told_in_its_zone_also_when_clocks_change() -> None:
    def moment(text: str) -> float:
        return datetime.fromisoformat(text).timestamp()

    three, next_three = moment("2026-11-22T03:00:00+00:00"), moment("2026-11-23T03:00:00+00:00")
    assert next_run_s("03:00", "UTC", three - 1) == three
    assert next_run_s("03:00", "UTC", three) == next_three
    spring = next_run_s("02:30", "Europe/Berlin", moment("2026-03-29T00:00:00+01:00"))
    assert spring == moment("2026-03-29T03:30:00+02:00"), "half past two is left out that night"
    autumn = next_run_s("02:30", "Europe/Berlin", moment("2026-10-25T00:00:00+02:00"))
    assert autumn == moment("2026-10-25T02:30:00+02:00")
    assert next_run_s("02:30", "Europe/Berlin", autumn) == moment("2026-10-26T02:30:00+01:00"), "once a day"
    for at in ("25:00", "3", "03:60", "", "03:00:00"):
        with pytest.raises(InputError):
            next_run_s(at, "UTC", 0.0)
    for zone in ("Nowhere/City", "../x", ""):
        with pytest.raises(InputError):
            next_run_s("03:00", zone, 0.0)
