"""Blobs of a server in an object store (here a folder): sent, read, checked, mended, deleted, found again."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bank_in_process import BankInProcess
from bank_process import Keeper, random_blob, root_for
from trivet.bank.away_segment import BODIES, HEADERS
from trivet.io.object_store import ObjectStore, plan_of
from trivet.wire.bank_messages import (
    BlobData,
    BlobNames,
    DeleteBlobs,
    GetBlob,
    ListBlobs,
    Scrubbed,
    ScrubBlobs,
    ServerStat,
    Stat,
)
from trivet.wire.blobs import BlobRef, is_intact
from trivet.wire.entries import Epoch
from trivet.wire.journal_messages import Done, Refusal

KIB = 1 << 10
SIZES = {1: 100 * KIB, 2: 1 << 20, 3: 5 * KIB, 4: 300 * KIB}
DEADLINE_S = 60.0


class Rig:
    """A server whose blobs go to the folder `objects`, at once and without a cache."""

    def __init__(self, folder: Path) -> None:
        self.objects = folder / "objects"
        self.state = folder / "state"
        self.blobs: dict[int, bytes] = {}
        self.bank: BankInProcess
        self.keeper: Keeper

    async def open(self, options: str = "cache_bytes=0&pack_s=0") -> None:
        store = ObjectStore(plan_of(f"file://{self.objects}?{options}"), 7000)
        self.bank = BankInProcess(self.state, store=store)
        await self.bank.open()
        self.keeper = Keeper(self.bank, self.bank, Epoch(1, 1))

    async def put(self, *names: int) -> None:
        for name in names:
            self.blobs[name] = random_blob(SIZES[name])
            assert isinstance(await self.keeper.put_blob(name, self.blobs[name]), Done)

    async def get(self, name: int, start: int = 0, end: int | None = None) -> bytes | None:
        """Return the verified pieces, None where what comes is not what was stored."""
        data = self.blobs[name]
        end = len(data) if end is None else end
        reply, body = await self.bank.request(GetBlob(name, start, end - start))
        if not isinstance(reply, BlobData) or not reply.found or len(body) < end - start:
            return None
        ref = BlobRef(name, len(data), root_for(data))
        return bytes(body) if is_intact(ref, reply.hashes, reply.start, body) else None

    async def scrub(self) -> Scrubbed:
        reply = await self.keeper.ask(ScrubBlobs(0, 1 << 30))
        assert isinstance(reply, Scrubbed)
        return reply

    def objects_now(self) -> list[Path]:
        return sorted(path for path in self.objects.rglob("*.bodies"))

    def bytes_here(self) -> int:
        return sum(path.stat().st_blocks * 512 for path in self.bank.own.rglob("*.segment"))

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():  # noqa: ASYNC110 - files of a folder tell nobody
                await asyncio.sleep(0.01)

    async def all_away(self) -> None:
        """Wait until nothing but headers is here."""
        headers = 8 * KIB * len(self.blobs)
        await self.until(lambda: bool(self.objects_now()) and self.bytes_here() <= headers)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    await rig.open()
    yield rig
    await rig.bank.crash()
    assert rig.bank.failures == []


async def assert_all_are_right(rig: Rig) -> None:
    for name, data in rig.blobs.items():
        assert await rig.get(name) == data
    piece = 16 * KIB
    assert await rig.get(2, 3 * piece, 9 * piece) == rig.blobs[2][3 * piece : 9 * piece]


async def test_blobs_go_to_the_store_and_come_back_whole_also_after_kills_and_stops(rig: Rig) -> None:
    await rig.put(*SIZES)
    await rig.all_away()
    await assert_all_are_right(rig)
    names = await rig.keeper.ask(ListBlobs(0, 10))
    assert isinstance(names, BlobNames)
    assert names.blobs == [(name, len(data), root_for(data)) for name, data in sorted(rig.blobs.items())]
    await rig.bank.crash()
    await rig.open()
    await assert_all_are_right(rig)
    await rig.bank.stop()
    await rig.open()
    await assert_all_are_right(rig)
    assert (await rig.scrub()).bad == []


async def test_small_blobs_share_an_object_and_it_goes_when_the_last_of_them_does(rig: Rig) -> None:
    await rig.bank.crash()
    await rig.open("cache_bytes=0&pack_s=1")
    await rig.put(1, 2, 3, 4)
    await rig.all_away()
    assert len(rig.objects_now()) == 1
    await rig.keeper.ask(DeleteBlobs([1, 2, 3]))
    del rig.blobs[1], rig.blobs[2], rig.blobs[3]
    first = rig.objects_now()
    await rig.until(lambda: bool(rig.objects_now()) and rig.objects_now() != first)
    assert await rig.get(4) == rig.blobs[4], "what was left was packed anew"
    await rig.keeper.ask(DeleteBlobs([4]))
    await rig.until(lambda: not list(rig.objects.rglob("*.*")))


@pytest.mark.parametrize("ending", [HEADERS, BODIES])
async def test_an_object_goes_whose_blobs_are_deleted_while_it_is_sent(
    rig: Rig, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ObjectStore.put
    deleted = asyncio.Event()

    async def put_and_delete(store: ObjectStore, path: str, data: bytes) -> None:
        await put(store, path, data)
        if path.endswith(ending) and not deleted.is_set():
            await rig.keeper.ask(DeleteBlobs([1]))
            deleted.set()

    monkeypatch.setattr(ObjectStore, "put", put_and_delete)
    await rig.put(1)
    async with asyncio.timeout(DEADLINE_S):
        await deleted.wait()
    await rig.until(lambda: not list(rig.objects.rglob("*.*")))
    await rig.until(lambda: not list(rig.bank.own.rglob("*.away")))
    await rig.put(2)
    await rig.all_away()
    assert await rig.get(2) == rig.blobs[2]


async def test_a_note_without_its_segment_is_not_taken_for_the_next_of_its_number(rig: Rig) -> None:
    await rig.put(1)
    await rig.all_away()
    await rig.bank.crash()
    [note] = rig.bank.own.rglob("*.away")
    note.with_suffix(".segment").unlink()
    await rig.open()
    assert not note.exists()


async def test_the_scrub_finds_what_is_damaged_in_the_store_and_a_replaced_copy_counts(rig: Rig) -> None:
    await rig.put(2)
    await rig.all_away()
    [path] = rig.objects_now()
    good = path.read_bytes()
    path.write_bytes(good[:50_000] + b"damaged" + good[50_007:])
    assert (await rig.scrub()).bad == [2]
    assert await rig.get(2) is None
    path.write_bytes(good[:50_000])
    assert (await rig.scrub()).bad == [2]
    path.unlink()
    assert (await rig.scrub()).bad == [2]
    assert isinstance(await rig.keeper.put_blob(2, rig.blobs[2], replace=True), Done)
    await rig.until(lambda: bool(rig.objects_now()) and rig.objects_now() != [path])
    await rig.all_away()
    assert await rig.get(2) == rig.blobs[2]
    assert (await rig.scrub()).bad == []


async def test_a_store_that_is_away_loses_nothing_and_is_told(rig: Rig) -> None:
    await rig.put(1, 2)
    await rig.all_away()
    aside = rig.objects.rename(rig.objects.with_name("aside"))
    rig.objects.write_text("no folder")  # every request fails now
    reply, _ = await rig.bank.request(GetBlob(2, 0, 1 << 20))
    assert isinstance(reply, Refusal), "never told to be lost"
    assert (await rig.scrub()).bad == []
    stat = await rig.keeper.ask(Stat())
    assert isinstance(stat, ServerStat)
    assert "can't be used" in stat.trouble
    await rig.put(3, 4)
    assert await rig.get(3) == rig.blobs[3], "what is new waits here"
    rig.objects.unlink()
    aside.rename(rig.objects)
    await rig.all_away()
    async with asyncio.timeout(DEADLINE_S):
        while any([await rig.get(name) != data for name, data in rig.blobs.items()]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_what_waits_for_the_store_is_bounded(rig: Rig) -> None:
    await rig.bank.crash()
    await rig.open("staging_bytes=1000000&pack_s=3600")
    await rig.put(2)
    refused = await rig.keeper.put_blob(4, random_blob(SIZES[4]))
    assert isinstance(refused, Refusal)
    assert refused.reason == "space"


async def test_a_server_that_lost_its_disk_finds_its_blobs_in_the_store(rig: Rig) -> None:
    await rig.put(*SIZES)
    await rig.all_away()
    await rig.bank.crash()
    shutil.rmtree(rig.bank.own)
    await rig.open()
    await assert_all_are_right(rig)
    await rig.keeper.ask(DeleteBlobs(list(SIZES)))
    await rig.until(lambda: not list(rig.objects.rglob("*.*")))
