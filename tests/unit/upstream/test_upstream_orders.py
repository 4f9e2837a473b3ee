"""What people order and are told: go on, give up, allow a great removal or bring everything back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from trivet.cli.upstream_text import status_lines
from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.drive.upstream.removal_guard import RemovalLimits
from trivet.errors import Conflict, Gone, NotFound, Parked
from trivet.upstream import steering
from trivet.upstream.telling import status_of
from trivet.volume.interface import ROOT_INO
from upstream_rig import UpstreamRig, in_virtual_time, upstream_rig, virtual_now_s
from vendor_server import Vendor


async def remove_all(rig: UpstreamRig, path: str = "") -> None:
    """Remove what is below a folder, as `rm -rf` does."""
    ino = await rig.ino(path)
    for name in await rig.names(path):
        inner = f"{path}/{name}".strip("/")
        row = await rig.work.up.mirror.by_ino(await rig.ino(inner))
        if row is not None and row.md5 is None:
            await remove_all(rig, inner)
            await rig.volume.rmdir(ino, name.encode())
        else:
            await rig.volume.unlink(ino, name.encode())


def tree(files: int) -> Vendor:
    """Return a vendor with so many files in two folders."""
    vendor = Vendor()
    place = vendor.folder("deep", vendor.folder("docs"))
    for number in range(files):
        vendor.put(f"{number:03d}", b"x%d" % number, place)
    return vendor


def test_a_great_removal_waits_over_a_restart_until_it_is_allowed(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = tree(30)
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            made = len(vendor.drive.applied)
            await remove_all(rig)
            await asyncio.sleep(60)
            assert await rig.work.removals.held() == 32
            await rig.stop()
            await rig.start()
            await asyncio.sleep(2 * 3600)
            assert vendor.drive.applied[made:] == [], "nothing went to the vendor's trash"
            (notice,) = await rig.notices()
            assert "32 files and folders were removed" in notice
            assert await rig.work.removals.allow("ann") == 32
            await rig.settled()
            assert vendor.drive.listed("'root' in parents and trashed = false") == []
            assert await rig.work.removals.held() is None
            assert "ann has allowed" in (await rig.notices())[-1]

    in_virtual_time(run())


def test_a_great_removal_can_be_undone(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = tree(30)
        async with upstream_rig(tmp_path, vendor, removals=RemovalLimits(files_max=5)) as rig:
            await rig.settled()
            docs = await rig.ino("docs")
            for number in range(4):  # few enough to be carried out at once
                await rig.volume.unlink(await rig.ino("docs/deep"), b"%03d" % number)
            await rig.settled()
            assert [what for what, _ in vendor.drive.applied].count("metadata") == 4
            await rig.volume.rename(
                await rig.ino(""), b"docs", ROOT_INO, b"gone", replace=False, exchange=False
            )
            await asyncio.sleep(30)
            assert await rig.work.removals.held() == 32, "a folder that leaves counts with all that is in it"
            assert await rig.work.removals.undo("bob") == 32
            await rig.settled()
            assert len(await rig.names("docs/deep")) == 30, "those before the hold come back, too"
            assert await rig.ino("docs") != docs
            assert await rig.read("docs/deep/007") == b"x7"
            await rig.settled()
            assert len(vendor.drive.listed("trashed = false")) == 32

    in_virtual_time(run())


def test_few_removals_and_moves_ask_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = tree(30)
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            top = await rig.ino("")
            for _ in range(2):  # out of the tree and back within the quiet time
                await rig.volume.rename(top, b"docs", ROOT_INO, b"aside", replace=False, exchange=False)
                await asyncio.sleep(0.5)
                await rig.volume.rename(ROOT_INO, b"aside", top, b"docs", replace=False, exchange=False)
            await rig.volume.unlink(await rig.ino("docs/deep"), b"001")
            await rig.settled()
            assert await rig.work.removals.held() is None
            assert vendor.named("001") == []
            assert len(vendor.drive.listed("trashed = false")) == 31

    in_virtual_time(run())


def test_a_parked_download_goes_on_when_told_and_the_person_hears_of_it(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("far", b"far away" * 1000)
        async with upstream_rig(tmp_path, vendor, attempts=2, poll_s=3600.0) as rig:
            await rig.settled(within_s=7200)
            vendor.faults.down = True
            ino = await rig.ino("far")
            with pytest.raises(Parked, match="tried 2 times") as told:
                await rig.work.fetching.bring(ino, "ann", queue=True, wait_s=600)
            assert told.value.offset == 0
            vendor.faults.down = False
            work, parked = await steering.find([rig.work], told.value.key)
            await steering.resume(work, parked)
            await rig.until(lambda: is_done(rig, parked.key))
            notices = await rig.store.rows("SELECT user, text FROM notices ORDER BY rowid")
            assert [user for user, _ in notices] == ["ann", "ann"]
            assert "far is parked and comes by itself" in notices[0][1]
            with pytest.raises(Conflict, match="over"):
                await steering.resume(work, (await steering.find([rig.work], parked.key))[1])
            with pytest.raises(NotFound):
                await steering.find([rig.work], "v.never")

    in_virtual_time(run())


def test_who_resumes_does_not_wait_until_the_vendor_would_be_asked_again(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("far", b"far away" * 1000)
        async with upstream_rig(tmp_path, vendor, attempts=1) as rig:
            await rig.settled()
            vendor.faults.down = True
            with pytest.raises(Parked) as told:
                await rig.work.fetching.bring(await rig.ino("far"), "ann", queue=True, wait_s=600)
            await rig.until(has_long_pause(rig), within_s=3600)
            vendor.faults.down = False
            began_s = virtual_now_s()
            await steering.resume(*await steering.find([rig.work], told.value.key))
            await rig.until(lambda: is_done(rig, told.value.key))
            assert virtual_now_s() - began_s < 5

    in_virtual_time(run())


def has_long_pause(rig: UpstreamRig) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether nobody calls the vendor for a minute and more."""

    async def is_so() -> bool:
        return rig.work.up.vendor.breaker.opens_in_s(virtual_now_s()) > 60

    return is_so


def test_a_status_tells_that_changes_here_were_not_looked_at_yet(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            vendor.faults.ordered = ["stall"] * 3
            await rig.write("ours", b"ours")
            await asyncio.sleep(30)
            status = await status_of(rig.work)
            assert (status.outbox, status.behind) == (0, True)
            assert "the newest changes here not looked at yet" in status_lines(status, virtual_now_s())[1]
            await rig.settled()
            assert not (await status_of(rig.work)).behind
            assert vendor.named("ours") == [b"ours"]

    in_virtual_time(run())


def test_a_cancelled_download_leaves_nothing_and_gives_its_bytes_back(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        for name in ("a", "b"):
            vendor.put(name, name.encode() * 700)
        async with upstream_rig(tmp_path, vendor, download=BudgetLimits(1000), poll_s=3600.0) as rig:
            await rig.settled(within_s=7200)
            vendor.faults.ordered = ["stall"] * 10
            asked = asyncio.create_task(
                rig.work.fetching.bring(await rig.ino("a"), "ann", queue=True, wait_s=600)
            )
            await asyncio.sleep(1)
            waiting = await rig.work.fetching.bring(await rig.ino("b"), "bob", queue=True, wait_s=600)
            assert waiting["position"] == 1
            (running,) = await rig.work.transfers.listed("user = 'ann'", 10)
            await steering.cancel(rig.work, running, "ann")
            vendor.faults.ordered.clear()
            with pytest.raises(Gone):
                await asked
            assert await rig.read("b", "bob") == b"b" * 700
            (over,) = await rig.work.transfers.listed("user = 'ann'", 10)
            assert (over.state, over.error, over.moved) == ("rolled back", "cancelled by ann", 0)
            staged = await rig.volume.listing(rig.work.up.staging_ino, 0, 100)
            assert [one.name for one in staged if one.name not in (b".", b"..")] == []
            assert rig.work.transfers.budgets["download"].used_bytes(virtual_now_s()) == 700

    in_virtual_time(run())


def test_an_upload_that_is_kept_back_goes_when_it_is_released(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.write("first", b"first")
            await rig.settled()
            vendor.faults.ordered = ["stall"] * 50
            await rig.write("ours", b"ours" * 1000)
            await rig.until(lambda: has_upload(rig))
            (upload,) = await rig.work.transfers.listed("state = 'running'", 10)
            await steering.cancel(rig.work, upload, "ann")
            vendor.faults.ordered.clear()
            await asyncio.sleep(3 * 3600)
            assert vendor.named("ours") == []
            work, kept = await steering.find([rig.work], upload.key)
            assert (kept.state, kept.error) == ("parked", "kept back by ann; resume sends it")
            await steering.resume(work, kept)
            await rig.settled()
            assert vendor.named("ours") == [b"ours" * 1000]
            assert (await steering.find([rig.work], upload.key))[1].state == "done"

    in_virtual_time(run())


async def is_done(rig: UpstreamRig, key: str) -> bool:
    found = await rig.work.transfers.by_key(key)
    return found is not None and found.state == "done"


async def has_upload(rig: UpstreamRig) -> bool:
    return bool(await rig.work.transfers.listed("direction = 'upload' AND state = 'running'", 1))
