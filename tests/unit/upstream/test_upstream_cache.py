"""The cache of a vendor's bodies: a limit, what goes first, what never goes, and what others hold alike."""

import asyncio
import random
from pathlib import Path

from trivet.errors import ContentAway
from trivet.upstream.cache import REST_S
from trivet.upstream.evicting import Evicting
from trivet.upstream.standing import Row
from trivet.volume.interface import AttributeChanges, Attributes
from upstream_rig import UpstreamRig, in_virtual_time, upstream_rig
from vendor_server import Vendor

KB = 1000
UNSETTLED = "it is not settled with the vendor yet"
OTHER_BYTES = "it is not at the vendor as it is here"


async def is_away(rig: UpstreamRig, path: str) -> bool:
    """Tell whether a body is at the vendor only."""
    try:
        snapshot = await rig.volume.open_snapshot(await rig.ino(path))
    except ContentAway:
        return True
    await rig.volume.release(snapshot.handle)
    return False


async def look_again(rig: UpstreamRig) -> None:
    """Let the work hear of all uses, and keep within the limit."""
    await rig.work.cache.used(await rig.volume.take_uses())
    await asyncio.sleep(REST_S + 10)


def test_the_coldest_go_first_and_what_is_used_often_stays(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        for name in "abcdef":
            vendor.put(name, name.encode() * 10 * KB)
        async with upstream_rig(tmp_path, vendor, cache_bytes=30 * KB) as rig:
            await rig.settled()
            for _ in range(40):
                await rig.read("a")  # long ago, but often
            await look_again(rig)
            await asyncio.sleep(3600)
            for name in "bcdef":
                await rig.read(name)
                await look_again(rig)
            assert [name for name in "abcdef" if not await is_away(rig, name)] == ["a", "e", "f"]
            cache = rig.work.cache
            assert (cache.bodies.items, cache.bodies.size_bytes) == (3, 30 * KB)
            assert (cache.counts.counts.evicted, cache.counts.counts.evicted_bytes) == (3, 30 * KB)
            downloads = vendor.face.seen["download"]
            assert await rig.read("b") == b"b" * 10 * KB
            assert vendor.face.seen["download"] == downloads + 1, "what went comes again"
            assert await rig.staged() == []

    in_virtual_time(run())


def test_what_the_vendor_does_not_have_never_goes(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("theirs", b"theirs" * 1000)
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.write("first", b"lets the vendor give out ids")
            await rig.settled()
            await rig.volume.unlink(await rig.ino(""), b"first")
            await rig.settled()
            await rig.read("theirs")
            vendor.faults.down = True
            await rig.write("mine", b"mine" * 1000)
            await rig.write("theirs", b"ours now" * 1000)
            cache = rig.work.cache
            told = await cache.evict("/google")
            assert (told.files, told.stayed) == (0, 2)
            await rig.until(lambda: _unsettled(rig, 2))
            told = await cache.evict("/google")
            assert (told.files, told.stayed) == (0, 2)
            assert {why for _, why in told.kept} <= {UNSETTLED, OTHER_BYTES}
            rig.work.cache.limit_bytes = 1
            await asyncio.sleep(REST_S * 20)
            assert cache.bodies.items == 2, "no limit makes it go either"
            rig.work.cache.limit_bytes = None
            vendor.faults.down = False
            await rig.settled()
            told = await cache.evict("/google")
            assert (told.files, told.stayed) == (2, 0)
            assert await rig.read("mine") == b"mine" * 1000
            assert await rig.read("theirs") == b"ours now" * 1000

    in_virtual_time(run())


async def _unsettled(rig: UpstreamRig, count: int) -> bool:
    return await rig.work.outbox.count() == count


def test_bytes_changed_behind_an_old_time_stay(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("far", b"far" * 1000)
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.read("far")
            ino = await rig.ino("far")
            mtime_ns = (await rig.volume.getattr(ino)).mtime_ns
            handle = await rig.volume.open(ino, writing=True, truncate=False, sync=False)
            await rig.volume.write(handle, 0, b"FAR")
            await rig.volume.release(handle)
            await rig.volume.setattr(ino, AttributeChanges(mtime_ns=mtime_ns))
            await rig.settled()
            told = await rig.work.cache.evict("/google/far")
            assert (told.files, told.kept) == (0, [("/google/far", OTHER_BYTES)])
            assert (await rig.read("far"))[:6] == b"FARfar"

    in_virtual_time(run())


def test_a_writer_and_a_write_in_between_win(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        for number in range(20):
            vendor.put(f"{number}", random.Random(number).randbytes(3 * KB))
        async with upstream_rig(tmp_path, vendor, quiet_s=1.0) as rig:
            await rig.settled()
            rng = random.Random(9)
            for number in range(20):
                await rig.read(f"{number}")
                ino, name = await rig.ino(f"{number}"), f"{number}".encode()
                is_open = rng.random() < 0.5
                handle = (
                    await rig.volume.open(ino, writing=True, truncate=False, sync=False) if is_open else None
                )
                evicting = asyncio.create_task(rig.work.cache.evict(f"/google/{number}"))
                for _ in range(rng.randrange(60)):
                    await asyncio.sleep(0)
                try:
                    if handle is None:
                        handle = await rig.volume.open(ino, writing=True, truncate=False, sync=False)
                    await rig.volume.write(handle, 0, b"written" + name)
                    await rig.volume.release(handle)
                except ContentAway:
                    assert not is_open
                    await evicting
                    assert await rig.read(f"{number}") == random.Random(number).randbytes(3 * KB)
                    continue
                await evicting
                assert (await rig.read(f"{number}"))[: 7 + len(name)] == b"written" + name
                await rig.settled()
                assert (vendor.named(f"{number}")[0] or b"")[:7] == b"written"

    in_virtual_time(run())


class WrittenInBetween(Evicting):
    """Somebody writes the whole file anew between the look at its bytes and the exchange."""

    async def _exchange(self, row: Row, ino: int, attributes: Attributes, version: int) -> str | None:
        handle = await self._up.volume.open(ino, writing=True, truncate=False, sync=False)
        await self._up.volume.write(handle, 0, b"ours")
        await self._up.volume.release(handle)
        mtime_ns = attributes.mtime_ns
        await self._up.volume.setattr(ino, AttributeChanges(mtime_ns=mtime_ns))
        return await super()._exchange(row, ino, attributes, version)


def test_a_write_behind_the_look_wins(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("far", b"farfarfar")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.read("far")
            work = rig.work
            why = await WrittenInBetween(work.up, work.outbox, work.fetching).evict(await rig.ino("far"))
            assert why == "somebody writes to it"
            assert await rig.read("far") == b"oursarfar"

    in_virtual_time(run())


def test_killed_while_evicting_it_is_here_or_away_and_what_was_staged_goes(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        body = random.Random(1).randbytes(5 * KB)
        vendor.put("far", body)
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            seen = set()
            for turns in range(0, 60, 3):
                assert await rig.read("far") == body
                evicting = asyncio.create_task(rig.work.cache.evict("/google/far"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                evicting.cancel()
                await asyncio.wait([evicting])
                await rig.stop()
                await rig.start()
                await rig.settled()
                seen.add(await is_away(rig, "far"))
                assert await rig.staged() == []
                assert rig.work.cache.bodies.items == (0 if await is_away(rig, "far") else 1)
            assert seen == {True, False}
            assert await rig.read("far") == body

    in_virtual_time(run())


def test_a_name_that_is_not_there_asks_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor, poll_s=3600.0) as rig:
            await rig.settled(within_s=7200)
            calls = rig.work.up.vendor.calls
            for number in range(100):
                assert not await rig.is_there(f"missing {number}")
            assert rig.work.up.vendor.calls == calls
            vendor.put("missing 7", b"there now")
            await rig.settled(within_s=7200)
            assert await rig.read("missing 7") == b"there now", "the change feed ends a negative entry"
            await rig.write("missing 8", b"ours")
            assert await rig.is_there("missing 8"), "and so does a write of ours, at once"

    in_virtual_time(run())


def test_two_upstreams_with_the_same_bytes_fetch_them_once(tmp_path: Path) -> None:
    async def run() -> None:
        one, two = Vendor(), Vendor()
        same = random.Random(4).randbytes(50 * KB)
        one.put("left", same)
        one.put("left too", same)
        two.put("right", same)
        async with upstream_rig(tmp_path, one) as rig, rig.second(two) as other:
            await rig.settled()
            await other.settled()
            asked = [rig.read("left"), rig.read("left too"), other.read("right")]
            assert await asyncio.gather(*asked) == [same] * 3, "all three at once"
            assert one.face.seen.get("download", 0) + two.face.seen.get("download", 0) == 1

    in_virtual_time(run())


def test_what_only_claims_to_be_the_same_is_fetched(tmp_path: Path) -> None:
    async def run() -> None:
        one, two = Vendor(), Vendor()
        one.put("left", b"harmless" * 1000)
        file = two.put("right", b"the true" * 1000)
        async with upstream_rig(tmp_path, one) as rig, rig.second(two) as other:
            await rig.settled()
            await other.settled()
            await rig.read("left")
            left = await rig.work.up.mirror.by_ino(await rig.ino("left"))
            right = two.drive.told(two.drive.files[file])
            assert left is not None
            await rig.work.up.mirror.put(left.changed(md5=right["md5Checksum"]))
            assert await other.read("right") == b"the true" * 1000

    in_virtual_time(run())
