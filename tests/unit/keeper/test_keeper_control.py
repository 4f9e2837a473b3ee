"""What a keeper answers on its control socket, over real banks: the words people see."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from small_drive import SmallDrive, small_drive
from trivet.errors import InputError, NoMajority, NotFound
from trivet.io.link import LinkLost
from trivet.keeper import whole_check
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.keeper import Keeper
from trivet.wire.control_messages import NOT_MOUNTED


@pytest.fixture
async def drive(tmp_path: Path) -> AsyncIterator[SmallDrive]:
    async with small_drive(tmp_path) as drive:
        await drive.write(b"large", os.urandom(300_000))
        await drive.write(b"small", b"small")
        yield drive


async def until_healthy(drive: SmallDrive) -> dict[str, object]:
    """Have a refresh run and return the status after it."""
    drive.loaded.refresher.finished_at = None
    drive.loaded.refresher.refresh_now()
    await drive.until(lambda: drive.loaded.refresher.finished_at is not None)
    return await drive.ask("status")


async def test_status_of_a_whole_drive(drive: SmallDrive) -> None:
    told = await until_healthy(drive)
    assert told["healthy"] is True
    assert (told["open_damage"], told["notes"]) == (0, [])
    banks = told["banks"]
    assert isinstance(banks, list)
    assert [server["state"] for bank in banks for server in bank["servers"]] == ["up"] * 3
    await drive.until(lambda: all(link.stat and link.stat.blobs for link in drive.keeper.fleet.servers))
    checks = told["checks"]
    assert isinstance(checks, dict)
    assert checks["votes"] == 3
    assert checks["records_compared"] > 3
    keeper = told["keeper"]
    assert isinstance(keeper, dict)
    assert keeper["pid"] == os.getpid()
    assert keeper["slot"] >= keeper["durable_slot"] > 0


async def test_a_bank_that_ends_is_told_and_a_copy_is_counted(
    drive: SmallDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_check, "AWAY_WITHIN_S", 0.1)
    await drive.servers[2].hang_up(clean=False)
    await drive.until(lambda: not drive.keeper.fleet.banks[2][0].is_up)
    told = await drive.ask("status")
    assert told["healthy"] is False
    assert told["banks"][2]["servers"][0]["state"] == "down"
    report = await drive.ask("verify")
    assert report["complete"] is False
    assert any("out of reach" in note for note in report["notes"])
    assert len(await drive.read(b"large")) == 300_000
    assert (await drive.ask("status"))["checks"]["copies_verified"] > 0
    await drive.servers[2].listen()
    await drive.until(lambda: drive.keeper.shell.leader.reign.followers[drive.servers[2].port].counted)  # type: ignore[union-attr]


async def test_verify_says_repair_does_and_the_history_tells(drive: SmallDrive) -> None:
    [ref] = drive.loaded.volume.space.layout.all_extents(drive.loaded.volume.space.directories[1][b"large"])
    assert ref
    blobs = drive.servers[1].place.blobs
    [(name, _)], _ = blobs.index.after(0, 10)
    blobs.spoil(name, b"wrong")
    found = await drive.ask("verify", deep=True)
    assert [(f["verdict"], f["path"]) for f in found["findings"]] == [("would fix", "/large")]
    assert await blobs.is_whole(name) is False
    below = await drive.ask("verify", path="/small", deep=True)
    assert below["findings"] == []
    fixed = await drive.ask("repair", apply=True)
    assert [f["verdict"] for f in fixed["findings"]] == ["fixed"]
    assert await blobs.is_whole(name)
    history = await drive.ask("repairs", since_s=3600)
    assert [f["path"] for f in history["repairs"]] == ["/large"]
    assert (await drive.ask("status"))["repaired_total"] == 1


async def test_wrong_use_says_what_is_meant(drive: SmallDrive) -> None:
    with pytest.raises(NotFound, match="no /nobody in the drive"):
        await drive.ask("verify", path="/nobody")
    with pytest.raises(InputError, match="now, pause, resume or limit"):
        await drive.ask("scrub", action="stop")
    with pytest.raises(InputError, match="above 0"):
        await drive.ask("scrub", action="limit", limit_bytes_s=0)
    with pytest.raises(InputError, match="accept_rollback or accept_cut"):
        await drive.ask("recover", what="everything")
    assert (await drive.ask("recover", what="accept_rollback"))["needed"] is False


async def test_scrub_is_paused_and_limited(drive: SmallDrive) -> None:
    assert (await drive.ask("scrub", action="pause"))["state"] == "paused"
    assert (await drive.ask("scrub", action="limit", limit_bytes_s=12_345))["limit_bytes_s"] == 12_345
    assert (await drive.ask("scrub", action="resume"))["state"] != "paused"


async def test_before_it_serves_a_keeper_says_why(tmp_path: Path) -> None:
    drive = SmallDrive(tmp_path)
    drive.keeper = Keeper(drive.folder, None, 60.0)
    drive.keeper.notes["door"] = NOT_MOUNTED
    told = await drive.ask("status")
    assert told["healthy"] is False
    assert {server["state"] for bank in told["banks"] for server in bank["servers"]} == {"down"}
    with pytest.raises(NoMajority, match="not mounted yet"):
        await drive.ask("verify")


async def test_verify_waits_for_a_server_that_is_away_for_a_moment(
    drive: SmallDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_check, "AWAY_WITHIN_S", 30.0)
    await drive.servers[2].hang_up(clean=False)
    await drive.until(lambda: not drive.keeper.fleet.banks[2][0].is_up)
    asking = asyncio.create_task(drive.ask("verify", deep=True))
    await asyncio.sleep(0)
    await drive.servers[2].listen()
    told = await asking
    assert (told["complete"], told["notes"], told["findings"]) == (True, [], [])


async def test_verify_asks_a_bank_again_whose_link_breaks_meanwhile(
    drive: SmallDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bank that hangs for some seconds on a busy disk: that is no answer, and no reason to give up."""
    rows = drive.loaded.queue.rows
    ask, broken = rows.differing_keys, [drive.servers[1].port]

    async def break_once(server: ServerLink, at: int) -> set[bytes]:
        if server.port in broken:
            broken.remove(server.port)
            raise LinkLost("the link was closed")
        return await ask(server, at)

    monkeypatch.setattr(rows, "differing_keys", break_once)
    told = await drive.ask("verify", deep=True)
    assert (told["complete"], told["notes"], told["findings"]) == (True, [], [])
    assert not broken
    broken += [drive.servers[1].port] * 9
    told = await drive.ask("verify", deep=True)
    assert told["complete"] is False
    assert "could not be compared: the link was closed" in told["notes"][0]
