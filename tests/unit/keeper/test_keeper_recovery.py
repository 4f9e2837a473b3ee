"""Banks rolled back under a keeper: before a person decides it is told which operations go."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from small_drive import DEADLINE_S, SmallDrive, small_drive
from trivet.errors import FileSystemError, ReplicaError
from trivet.keeper.keeper import Keeper
from trivet.keeper.last_words import FILE_BYTES, read_words
from trivet.keeper.loader import Loader
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.interface import ROOT_INO, Caller


@pytest.fixture
async def drive(tmp_path: Path) -> AsyncIterator[SmallDrive]:
    async with small_drive(tmp_path / "state") as drive:
        await drive.write(b"before", b"stays")
        yield drive


async def end(drive: SmallDrive) -> None:
    """End the keeper and all servers in order."""
    await drive.keeper.close()
    for server in drive.servers:
        await server.hang_up(clean=True)


async def begin(drive: SmallDrive, banks: Iterable[int] = range(3)) -> None:
    for number in banks:
        await drive.banks[number][0].listen()
    drive.keeper = Keeper(drive.folder, None, 3600)
    await drive.keeper.start()


async def work(drive: SmallDrive) -> None:
    """Do one thing of each kind, durably."""
    volume, me = drive.loaded.volume, Caller(0, 0)
    made = await volume.mkdir(ROOT_INO, b"folder", 0o755, me)
    await drive.write(b"later", b"goes")
    await volume.rename(ROOT_INO, b"later", made.ino, b"moved", replace=True, exchange=False)
    await drive.write(b"short", b"lived")
    await volume.unlink(ROOT_INO, b"short")
    ino = (await volume.lookup(ROOT_INO, b"before")).ino
    handle = await volume.open(ino, writing=True, truncate=False, sync=False)
    await volume.write(handle, 0, b"goes!")
    await volume.fsync(handle)
    await volume.release(handle)
    assert drive.keeper.shell is not None
    reign = drive.keeper.shell.leader.reign
    await drive.until(lambda: all(one.synced == reign.log.head for one in reign.followers.values()))


WORK = [
    ("created", "/folder", ""),
    ("created", "/later", ""),
    ("renamed", "/later", "/folder/moved"),
    ("created", "/short", ""),
    ("removed", "/short", ""),
    ("written", "/before", ""),
]


def rolled(drive: SmallDrive, kept: Path, banks: Iterable[int]) -> None:
    """Put the folders of `banks` back as they were copied to `kept`, or, without them there, copy them."""
    for number in banks:
        own = drive.banks[number][0].own
        if (kept / str(number)).exists():
            shutil.rmtree(own)
            shutil.copytree(kept / str(number), own)
        else:
            shutil.copytree(own, kept / str(number))


async def roll_back(drive: SmallDrive, kept: Path, banks: list[int]) -> None:
    """Work, then have `banks` as they were before it; nothing runs afterwards."""
    await end(drive)
    rolled(drive, kept, banks)
    await begin(drive)
    await drive.keeper.take_over()
    await work(drive)
    await end(drive)
    rolled(drive, kept, banks)


def words(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["what"], one["path"], one.get("to", "")) for one in report["operations"]]


async def asked(drive: SmallDrive, **arguments: object) -> dict[str, Any]:
    return await drive.ask("recover", what="accept_rollback", **arguments)


async def stuck(drive: SmallDrive, banks: Iterable[int] = range(3)) -> asyncio.Task[None]:
    """Begin anew with `banks`; return the takeover once it refuses to go on."""
    await begin(drive, banks)
    taking = asyncio.create_task(drive.keeper.take_over())
    await drive.until(lambda: "rolled back" in drive.keeper.notes.get("takeover", ""))
    return taking


async def serves_again(drive: SmallDrive, taking: asyncio.Task[None], before: bytes = b"stays") -> None:
    """Accept the loss, and find what was there before."""
    assert (await asked(drive, apply=True))["done"] is True
    async with asyncio.timeout(DEADLINE_S):
        await taking
    assert await drive.read(b"before") == before
    assert (await asked(drive, apply=False))["needed"] is False


async def test_all_banks_rolled_back_and_each_operation_is_named(drive: SmallDrive, tmp_path: Path) -> None:
    began = time.time()
    await roll_back(drive, tmp_path, [0, 1, 2])
    taking = await stuck(drive)
    told = await asked(drive, apply=False)
    assert words(told) == WORK
    assert all(told["slot_after"] < one["slot"] <= told["slot_before"] for one in told["operations"])
    # The kernel's clock of files is up to a tick behind.
    assert all(began - 0.01 <= one["at_ns"] / 1e9 <= time.time() for one in told["operations"])
    assert not any("nobody knows" in sentence for sentence in told["lost"])
    await serves_again(drive, taking)
    # What went is not told again when what came later is lost, too.
    other = tmp_path / "other"
    other.mkdir()
    await end(drive)
    rolled(drive, other, [0, 1, 2])
    await begin(drive)
    await drive.keeper.take_over()
    await drive.write(b"another", b"thing")
    await end(drive)
    rolled(drive, other, [0, 1, 2])
    taking = await stuck(drive)
    assert words(await asked(drive, apply=False)) == [("created", "/another", "")]
    await serves_again(drive, taking)


async def test_the_newest_bank_is_away(drive: SmallDrive, tmp_path: Path) -> None:
    await roll_back(drive, tmp_path, [0, 1])
    taking = await stuck(drive, [0, 1])
    assert words(await asked(drive, apply=False)) == WORK
    # Once it is there its history is the one that would be kept.
    await drive.banks[2][0].listen()
    await drive.until(lambda: drive.keeper.fleet.banks[2][0].is_up)
    assert drive.keeper.shell is not None
    third = drive.keeper.shell.leader.reign.followers[drive.banks[2][0].base]
    await drive.until(lambda: third.identity is not None)
    assert third.identity is not None
    told = await asked(drive, apply=False)
    assert (told["operations"], told["slot_after"]) == ([], third.identity.head)
    await serves_again(drive, taking, b"goes!")


async def test_words_are_lost_as_well(drive: SmallDrive, tmp_path: Path) -> None:
    await roll_back(drive, tmp_path, [0, 1, 2])
    for file in drive.folder.keeper_path.glob("last_changes*"):
        file.write_bytes(b'{"torn')
    taking = await stuck(drive)
    told = await asked(drive, apply=False)
    assert told["operations"] == []
    (unknown,) = [sentence for sentence in told["lost"] if "nobody knows" in sentence]
    assert unknown.startswith(f"slots {told['slot_after'] + 1} to {told['slot_before']} (made after ")
    await serves_again(drive, taking)


async def reign_once_more(drive: SmallDrive) -> None:
    """Have a later keeper write the newest entries."""
    await drive.keeper.close()
    drive.keeper = Keeper(drive.folder, None, 3600)
    await drive.keeper.start()
    await drive.keeper.take_over()


@pytest.mark.parametrize("newest", ["of two", "of one"])
async def test_two_banks_went_on_otherwise_and_one_still_holds_what_was_durable(
    drive: SmallDrive, tmp_path: Path, newest: str
) -> None:
    keeper = drive.folder.keeper_path
    await end(drive)
    rolled(drive, tmp_path, [0, 1])
    shutil.copytree(keeper, tmp_path / "keeper")
    await begin(drive)
    await drive.keeper.take_over()
    if newest == "of one":
        await reign_once_more(drive)
    await work(drive)
    await end(drive)
    rolled(drive, tmp_path, [0, 1])
    keeper.rename(tmp_path / "newest")
    shutil.copytree(tmp_path / "keeper", keeper)
    await begin(drive, [0, 1])
    await drive.keeper.take_over()
    if newest == "of two":
        await reign_once_more(drive)
    await drive.write(b"other", b"history")
    await drive.keeper.close()
    for server in drive.servers[:2]:
        await server.hang_up(clean=True)
    shutil.copy(tmp_path / "newest" / "high_water", keeper / "high_water")
    for file in keeper.glob("last_changes*"):
        file.unlink()
    taking = await stuck(drive)
    told = await asked(drive, apply=False)
    bases = [bank[0].base for bank in drive.banks]
    if newest == "of one":  # what two banks held was acknowledged, too
        assert words(told) == [("created", "/other", "")]
        assert told["operations"][0]["held_by"] == bases[:2]
        await serves_again(drive, taking, b"goes!")
        return
    assert words(told) == WORK
    assert all(one["held_by"] == bases[2:] for one in told["operations"])
    await serves_again(drive, taking)
    assert await drive.read(b"other") == b"history"


async def test_words_stay_bounded(drive: SmallDrive) -> None:
    told = drive.loaded.words
    volume, me = drive.loaded.volume, Caller(0, 0)
    for at in range(0, 3000, 100):
        names = [b"%0200d" % number for number in range(at, at + 100)]
        await asyncio.gather(*(volume.mkdir(ROOT_INO, name, 0o755, me) for name in names))
    await volume.fsyncdir(ROOT_INO)
    await told.close()
    files = list(drive.folder.keeper_path.glob("last_changes*"))
    assert sum(file.stat().st_size for file in files) <= 2 * FILE_BYTES
    last = [one for line in read_words([drive.folder.keeper_path]) for one in line.operations]
    assert [one.path for one in last[-300:]] == [f"/{number:0200d}" for number in range(2700, 3000)]


async def names_and_before(volume: LocalVolume) -> tuple[list[bytes], bytes]:
    """Return what lies in the root, and what is in the file `before`."""
    listed = [entry.name for entry in await volume.listing(ROOT_INO, 0, 100)]
    handle = await volume.open(
        (await volume.lookup(ROOT_INO, b"before")).ino, writing=False, truncate=False, sync=False
    )
    body = bytes(await volume.read(handle, 0, 100))
    await volume.release(handle)
    return sorted(name for name in listed if name not in (b".", b"..")), body


async def test_what_would_be_kept_is_read_and_not_changed(drive: SmallDrive, tmp_path: Path) -> None:
    await roll_back(drive, tmp_path, [0, 1, 2])
    taking = await stuck(drive)
    held, is_over = await drive.keeper.rolled_back.found()
    applied = [server.place.records.applied for server in drive.servers]
    async with drive.keeper.as_rolled_back(held) as volume:
        assert await names_and_before(volume) == ([b"before"], b"stays")
        with pytest.raises(FileSystemError, match="EROFS"):
            await volume.mkdir(ROOT_INO, b"new", 0o755, Caller(0, 0))
        with pytest.raises(FileSystemError, match="EROFS"):
            await volume.unlink(ROOT_INO, b"before")
        assert await names_and_before(volume) == ([b"before"], b"stays")
    assert [server.place.records.applied for server in drive.servers] == applied
    assert not is_over.is_set()
    # Two banks go: it is no rollback any more, and it is one again when they are back.
    for number in (0, 1):
        await drive.banks[number][0].hang_up(clean=True)
    async with asyncio.timeout(DEADLINE_S):
        await is_over.wait()
    for number in (0, 1):
        await drive.banks[number][0].listen()
    async with asyncio.timeout(DEADLINE_S):
        again, _ = await drive.keeper.rolled_back.found()
    assert (again.head, again.head_hash) == (held.head, held.head_hash)
    await serves_again(drive, taking)


@pytest.mark.parametrize("alone", [True, False])
async def test_the_newest_bank_shows_all_that_would_be_kept(
    drive: SmallDrive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    """Told by one bank's rows, or, should none add up, by those of all."""
    if not alone:
        monkeypatch.setattr(Loader, "load_from", _adds_up_nowhere)
    await roll_back(drive, tmp_path, [0, 1])
    taking = await stuck(drive)
    held, _ = await drive.keeper.rolled_back.found()
    async with drive.keeper.as_rolled_back(held) as volume:
        assert await names_and_before(volume) == ([b"before", b"folder"], b"goes!")
    await serves_again(drive, taking, before=b"goes!")


async def _adds_up_nowhere(*_: object) -> None:
    raise ReplicaError("the rows do not add up")
