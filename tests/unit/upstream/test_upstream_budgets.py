"""Who may fetch when: a day's bytes, first come first served; the vendor's quota; once for everybody."""

import asyncio
import random
from pathlib import Path

import pytest

from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.drive.upstream.vendor_quota import QuotaLimits
from trivet.errors import BeyondBudget, ContentAway, NotFound, UpstreamError
from upstream_rig import in_virtual_time, upstream_rig, virtual_now_s
from vendor_face import Quota
from vendor_server import Vendor

DAY_S = 86400.0


def test_the_third_waits_survives_a_restart_and_runs_after_the_reset(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        bodies = {f"{name}.bin": random.Random(name).randbytes(70_000) for name in "abcd"}
        for name, body in bodies.items():
            vendor.put(name, body)
        async with upstream_rig(
            tmp_path, vendor, download=BudgetLimits(pool_bytes=200_000), poll_s=900.0
        ) as rig:
            await rig.settled(2000)

            async def bring(name: str) -> dict[str, object]:
                return await rig.work.fetching.bring(await rig.ino(name), name, queue=True, wait_s=60)

            told = [await bring(name) for name in bodies]
            assert [one["state"] for one in told] == ["here", "here", "waiting", "waiting"]
            assert [(one["position"], one["bytes_left"]) for one in told[2:]] == [(1, 60_000), (2, 60_000)]
            resets_at_s = told[2]["resets_at_s"]
            assert resets_at_s == (virtual_now_s() // DAY_S + 1) * DAY_S
            await rig.stop()
            await rig.start()
            await asyncio.sleep(10)
            assert (await bring("d.bin"))["position"] == 2, "its place is kept"
            await asyncio.sleep(float(resets_at_s) - virtual_now_s() + 60)  # type: ignore[arg-type]
            for name, body in bodies.items():
                assert await rig.read(name) == body
            assert vendor.face.seen["download"] == 4

    in_virtual_time(run())


def test_200_at_once_never_use_more_than_the_day_has(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor(quota=Quota(download_bytes=100_000))
        for number in range(200):
            vendor.put(f"{number:03d}", bytes([number]) * 1000)
        limits = BudgetLimits(pool_bytes=100_000, user_bytes=30_000)
        async with upstream_rig(tmp_path, vendor, download=limits, poll_s=900.0) as rig:
            await rig.settled(2000)
            inos = [await rig.ino(f"{number:03d}") for number in range(200)]
            asked = [rig.work.fetching.bring(ino, f"user {ino % 8}", queue=True, wait_s=600) for ino in inos]
            told = await asyncio.gather(*asked)
            assert [one["state"] for one in told].count("here") == 100
            assert vendor.face.used["download_bytes"] == 100_000
            await asyncio.sleep(DAY_S)
            assert vendor.face.used["download_bytes"] == 100_000, "of the second day"
            assert vendor.face.seen["download"] == 200
            assert rig.work.trouble == "", "the vendor never had to refuse"

    in_virtual_time(run())


def test_who_does_not_want_to_wait_has_no_place_and_too_much_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        for name in "abc":
            vendor.put(name, name.encode() * 700)
        vendor.put("huge", b"x" * 2001)
        async with upstream_rig(
            tmp_path, vendor, download=BudgetLimits(pool_bytes=2000), poll_s=900.0
        ) as rig:
            await rig.settled(2000)
            bring = rig.work.fetching.bring
            with pytest.raises(BeyondBudget):
                await bring(await rig.ino("huge"), "ann", queue=True, wait_s=60)
            await rig.read("a")
            await rig.read("b")
            told = await bring(await rig.ino("c"), "ann", queue=False, wait_s=60)
            assert (told["state"], told["key"], told["position"], told["bytes_left"]) == (
                "waiting",
                None,
                1,
                600,
            )
            await asyncio.sleep(DAY_S)
            assert vendor.face.seen["download"] == 2

    in_virtual_time(run())


def test_a_spent_vendor_serves_what_is_here_and_goes_on_the_next_day(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("known", b"known")
        vendor.put("new", b"new")
        quota = QuotaLimits(requests_per_day=60)
        async with upstream_rig(tmp_path, vendor, quota=quota, poll_s=60.0) as rig:
            await rig.settled(2000)
            assert await rig.read("known") == b"known"
            await asyncio.sleep(2 * 3600)
            assert vendor.face.used["requests"] == 60, "counted before the call: not one too many"
            assert await rig.read("known") == b"known"
            told = await rig.work.fetching.bring(await rig.ino("new"), "ann", queue=True, wait_s=60)
            assert told["state"] == "spent"
            await rig.write("ours", b"written meanwhile")
            await asyncio.sleep(float(told["resets_at_s"]) - virtual_now_s() + 120)
            assert await rig.read("new") == b"new"
            assert vendor.named("ours") == [b"written meanwhile"]

    in_virtual_time(run())


def test_an_outage_parks_what_is_asked_for_and_it_comes_when_the_vendor_is_back(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("far", b"far away" * 1000)
        gone = vendor.put("gone", b"soon gone")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled(2000)
            vendor.faults.down = True
            ino = await rig.ino("far")
            with pytest.raises(UpstreamError, match=r"tried 5 times|does not answer"):
                await rig.work.fetching.bring(ino, "ann", queue=True, wait_s=600)
            (parked,) = await rig.work.transfers.listed("state = 'parked'", 10)
            assert (parked.user, parked.name, parked.moved) == ("ann", "far", 0)
            await asyncio.sleep(3600)
            vendor.faults.down = False
            await asyncio.sleep(300)
            assert await rig.volume.open_snapshot(ino)
            (done,) = await rig.work.transfers.listed(f"key = '{parked.key}'", 10)
            assert done.state == "done"
            vendor.drive.delete(gone)
            with pytest.raises(NotFound):
                await rig.work.fetching.bring(await rig.ino("gone"), "ann", queue=True, wait_s=60)

    in_virtual_time(run())


def test_wrong_bytes_never_get_in(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor(seed=3)
        vendor.put("far", b"far away" * 1000)
        async with upstream_rig(tmp_path, vendor, poll_s=3600.0) as rig:
            await rig.settled(within_s=7200)
            ino = await rig.ino("far")
            vendor.faults.ordered = ["corrupt"] * 50
            with pytest.raises(UpstreamError, match="corrupt_upstream"):
                await rig.work.fetching.bring(ino, "ann", queue=True, wait_s=600)
            with pytest.raises(ContentAway):
                await rig.volume.open_snapshot(ino)
            vendor.faults.ordered.clear()
            assert await rig.read("far") == b"far away" * 1000

    in_virtual_time(run())


def test_10_000_reads_of_100_files_by_50_users_are_100_downloads(tmp_path: Path) -> None:
    async def run() -> None:
        vendor, rng = Vendor(), random.Random(1)
        for number in range(100):
            vendor.put(f"{number:03d}", rng.randbytes(2000))
        async with upstream_rig(tmp_path, vendor, poll_s=3600.0) as rig:
            await rig.settled(within_s=7200)
            before = dict(vendor.face.seen)
            inos = [await rig.ino(f"{number:03d}") for number in range(100)]

            async def reads(user: int) -> None:
                for _ in range(200):
                    ino = rng.choice(inos)
                    if rng.random() < 0.01:
                        await asyncio.sleep(0.1)
                    await rig.work.fetching.bring(ino, f"user {user}", queue=True, wait_s=600)
                    snapshot = await rig.volume.open_snapshot(ino)
                    await rig.volume.release(snapshot.handle)

            await asyncio.gather(*(reads(user) for user in range(50)))
            assert vendor.face.seen["download"] - before.get("download", 0) == 100
            assert vendor.face.seen["get"] - before["get"] == 100, (
                "one look at each file before it is fetched"
            )

    in_virtual_time(run())
