"""A drive with a standby: its leader is killed, stopped for longer than its lease, and ended in order.

Rule: the tests share a drive and come in any order: each begins with whoever leads, and leaves a pair.
Rule: times are printed; with more `TRIVET_TAKEOVERS` than by default they must be what the guide says.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from door_under_test import Door
from drive_under_test import Drive
from keeper_pair import DEADLINE_S, Pair
from steady_load import SteadyLoad
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.io.mount_table import find_mount
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Caller

TAKEOVERS = int(os.environ.get("TRIVET_TAKEOVERS", "1"))
IS_MEASURED = TAKEOVERS > 1
KILLED_S, ENDED_S = 12.0, 2.0
WORKERS, CHANGES_BEFORE, CHANGES_AFTER = 12, 50, 50
LISTED_AT_ONCE = 1000
REFUSED = r"Input/output|not connected|abort"
CALLER = Caller(0, 0)
pytestmark = [pytest.mark.mount, pytest.mark.timeout(240 + 30 * TAKEOVERS)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A drive with a standby, for all tests of this module."""
    made = Pair(Drive(tmp_path_factory.mktemp("pair"), servers=1))
    try:
        made.drive.up("--standby", "--port", str(made.port), "--no-auth", "--max-workers", "1")
        yield made
        made.settled()
        made.drive.trivet("verify", "--deep")
    except BaseException:
        print(made.drive.logs())
        raise
    finally:
        made.drive.close()
    assert find_mount(made.folders["standby"]) is None


class MovingLoad(SteadyLoad):
    """Goes on in the folder `moves_to` with its next change."""

    moves_to: Path | None = None

    def _change_one(self) -> None:
        if self.moves_to is not None:
            self.folder, self.moves_to = self.moves_to, None
        super()._change_one()


async def test_killed_under_load_the_other_goes_on(pair: Pair) -> None:
    """What was acknowledged is there, and a client that stays finds the one who leads each time."""
    told = await asyncio.to_thread(pair.settled)
    load = MovingLoad(pair.folder_of(told) / "load", 1)
    load.start()
    took_s: list[float] = []
    try:
        async with connected(pair.state) as client:
            for number in range(TAKEOVERS):
                told = await asyncio.to_thread(pair.settled)
                made = await client.mkdir(ROOT_INO, b"made-%d" % number, 0o755, CALLER)
                await asyncio.to_thread(load.wait_more, 10)
                pair.kill(told)
                told, seconds = await asyncio.to_thread(pair.followed, told)
                took_s.append(round(seconds, 2))
                assert (await client.lookup(ROOT_INO, b"made-%d" % number)).ino == made.ino
                load.moves_to = pair.folder_of(told) / "load"
                await asyncio.to_thread(load.wait_more, 10)
    finally:
        await asyncio.to_thread(load.end)
    right = load.assert_kept()
    print("killed: seconds until the other one serves", took_s, {"files right": right}, load.counts)
    assert not IS_MEASURED or max(took_s) <= KILLED_S


class ManyChanges:
    """Clients that make and rename files under names of their own, and take every failure for a fault."""

    def __init__(self, clients: list[RemoteVolume], run: str) -> None:
        self.done: list[int] = []
        self.is_over = False
        self._run = run
        self._clients = clients

    async def work(self, number: int) -> None:
        """Make and rename files until it is over."""
        volume, count = self._clients[number % len(self._clients)], 0
        self.done.append(0)
        while not self.is_over:
            name = f"{self._run}-{number}-{count}".encode()
            made, handle = await volume.create(ROOT_INO, b"new-" + name, 0o644, CALLER)
            await volume.write(handle, 0, name)
            await volume.flush(handle)
            await volume.release(handle)
            await volume.mkdir(ROOT_INO, b"folder-" + name, 0o755, CALLER)
            await volume.rename(ROOT_INO, b"new-" + name, ROOT_INO, name, replace=False, exchange=False)
            await volume.setxattr(made.ino, b"user.name", name, create=True, replace=False)
            await volume.rmdir(ROOT_INO, b"folder-" + name)
            count += 1
            self.done[number] = count

    async def more(self, count: int) -> None:
        """Wait until `count` more files were made."""
        target = sum(self.done) + count
        async with asyncio.timeout(DEADLINE_S):
            while sum(self.done) < target:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)

    async def assert_made_once(self) -> None:
        """Assert that exactly what was made is there."""
        volume = self._clients[0]
        made = {
            f"{self._run}-{one}-{n}".encode() for one, count in enumerate(self.done) for n in range(count)
        }
        listed = list(await volume.listing(ROOT_INO, 0, LISTED_AT_ONCE))
        while more := await volume.listing(ROOT_INO, listed[-1].cookie, LISTED_AT_ONCE):
            listed += more
        mine = {entry.name: entry.attributes for entry in listed if self._run.encode() in entry.name}
        assert mine.keys() == made, f"{len(listed)} names listed, {len(made)} made"
        for name, attributes in mine.items():
            assert (attributes.size, attributes.nlink) == (len(name), 1)
            assert await volume.getxattr(attributes.ino, b"user.name") == name


async def test_clients_changes_are_done_once_over_a_takeover(pair: Pair) -> None:
    """Each change is asked of the next keeper again and fails nowhere: twice would be EEXIST or ENOENT."""
    await asyncio.to_thread(pair.settled)
    async with connected(pair.state) as one, connected(pair.state) as other:
        load = ManyChanges([one, other], f"once{os.urandom(3).hex()}")
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(load.work(number))
            for _time in range(TAKEOVERS):
                told = await asyncio.to_thread(pair.settled)
                await load.more(CHANGES_BEFORE)
                pair.kill(told)
                await load.more(CHANGES_AFTER)
            load.is_over = True
        await load.assert_made_once()
        print("changes made once", sum(load.done))


def test_uploads_go_on_over_a_takeover(pair: Pair) -> None:
    """One whose body comes while the leader is killed, and small ones behind it, are all there once."""
    door, told = Door(pair.drive, pair.port), pair.settled()
    door.wait_up()
    folder = door.folder(f"uploads-{os.urandom(3).hex()}")
    pieces = [os.urandom(1 << 20) for _piece in range(12)]

    def body() -> Iterator[bytes]:
        yield from pieces[:6]
        pair.kill(told)
        yield from pieces[6:]

    large = door.begin("large", folder)
    answer = door.http.put(large, content=body(), timeout=DEADLINE_S)
    assert answer.status_code == 200, answer.text
    assert door.content(answer.json()["id"]) == b"".join(pieces)
    small = [door.put(f"small-{number}", b"%d" % number, folder) for number in range(5)]
    assert door.names(folder) == sorted(["large", *(one["name"] for one in small)])
    assert [door.content(one["id"]) for one in small] == [b"%d" % number for number in range(5)]


def test_ended_in_order_the_other_follows_at_once(pair: Pair) -> None:
    told = pair.settled()
    (pair.folder_of(told) / "ended").write_text("kept")
    pair.kill(told, signal.SIGTERM)
    old = pair.folder_of(told)
    told, seconds = pair.followed(told)
    print("ended: seconds until the other one serves", round(seconds, 2))
    assert (pair.folder_of(told) / "ended").read_text() == "kept"
    with contextlib.suppress(OSError):  # refused, until it is the folder of the one that stands by
        assert sorted(os.listdir(old)) in ([], sorted(os.listdir(pair.folder_of(told))))
    assert not IS_MEASURED or seconds <= ENDED_S


def test_zombie_is_fenced(pair: Pair) -> None:
    """Stopped for longer than its lease, and then let go on: it changes nothing and ends."""
    told = pair.settled()
    assert told.keeper.pid is not None
    zombie, old = psutil.Process(told.keeper.pid), pair.folder_of(told)
    (old / "contested").write_text("before")
    supervisor = int((pair.drive.state / "up.pid").read_text())
    opened = os.open(old / "contested", os.O_RDWR)
    pair.drive.kill(supervisor, signal.SIGSTOP)  # it would kill the zombie
    try:
        pair.kill(told, signal.SIGSTOP)
        new, seconds = pair.followed(told)
        (pair.folder_of(new) / "contested").write_text("after")
        pair.kill(told, signal.SIGCONT)
        with pytest.raises(OSError, match=REFUSED):
            os.write(opened, b"zombie")
        with pytest.raises(OSError, match=REFUSED):
            (old / "new").write_text("zombie")
        until = time.monotonic() + DEADLINE_S
        while zombie.is_running() and zombie.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until, "who was followed does not end"
            time.sleep(0.02)
    finally:
        for pid in (told.keeper.pid, supervisor):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(OSError):
            os.close(opened)
    print("stopped: seconds until the other one serves", round(seconds, 2))
    assert (pair.folder_of(new) / "contested").read_text() == "after"
    assert not (pair.folder_of(new) / "new").exists()
    log = VolumeFolder(pair.drive.state, told.keeper.name).keeper_path / "keeper.log"
    assert "deposed: another keeper took over" in log.read_text()


def test_status_says_who_leads_and_who_follows(pair: Pair) -> None:
    told = pair.settled()
    assert told.standby is not None
    assert {told.keeper.name, told.standby.name} == {"keeper", "standby"}
    until = time.monotonic() + DEADLINE_S
    while "slots behind" not in (text := pair.drive.trivet("status", expect=None).stdout):
        assert time.monotonic() < until, text
    assert f"The keeper called {told.keeper.name} leads; {told.standby.name}" in text
    done = pair.drive.trivet("status", "--json", expect=None)
    assert msgspec.json.decode(done.stdout)["standby"]["lag_slots"] >= 0
