"""A drive with a standby: its leader is killed, stopped for longer than its lease, and ended in order.

Rule: the tests share a drive and come in any order: each begins with whoever leads, and leaves a pair.
Rule: times are printed; with more `TRIVET_TAKEOVERS` than by default they must be what the guide says.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from drive_under_test import Drive
from steady_load import SteadyLoad
from trivet.client.remote_volume import connected
from trivet.errors import TrivetError
from trivet.io.control_socket import ask
from trivet.io.mount_table import find_mount
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Caller
from trivet.wire.control_messages import NOT_MOUNTED, Status

TAKEOVERS = int(os.environ.get("TRIVET_TAKEOVERS", "1"))
IS_MEASURED = TAKEOVERS > 1
KILLED_S, ENDED_S = 12.0, 2.0
DEADLINE_S = 60.0
SILENCE_S = 1.0
REFUSED = r"Input/output|not connected|abort"
CALLER = Caller(0, 0)
pytestmark = [pytest.mark.mount, pytest.mark.timeout(240 + 30 * TAKEOVERS)]


class Pair:
    """A drive with two keepers, each with a folder."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.state = VolumeFolder(drive.state)
        self.folders = {"keeper": drive.folder, "standby": drive.folder.with_name("drive-standby")}

    def asked(self) -> Status | None:
        """Return what the keeper that leads says, None if nobody does."""
        with contextlib.suppress(TrivetError):
            return msgspec.convert(asyncio.run(self._ask()), Status)
        return None

    async def _ask(self) -> dict[str, Any]:
        return await ask(self.state.keeper_socket, "status", silence_s=SILENCE_S)

    def settled(self) -> Status:
        """Wait until one leads, its folder is mounted, and the other one follows it; return its status."""
        return self.until(
            lambda told: bool(told.standby and told.standby.state == "follows" and not told.notes)
        )

    def until(self, good: Callable[[Status], bool]) -> Status:
        """Wait until somebody leads whose folder is mounted and whose status is `good`."""
        until = time.monotonic() + DEADLINE_S
        while True:
            told = self.asked()
            if told is not None and good(told) and NOT_MOUNTED not in told.notes and self.is_mounted(told):
                return told
            assert time.monotonic() < until, told
            time.sleep(0.02)

    def followed(self, gone: Status) -> tuple[Status, float]:
        """Wait until the other keeper than `gone` leads; return its status and how long that took."""
        began = time.monotonic()
        told = self.until(lambda told: told.keeper.name != gone.keeper.name)
        return told, time.monotonic() - began

    def is_mounted(self, told: Status) -> bool:
        """Tell whether the folder of the keeper that leads is mounted."""
        entry = find_mount(self.folder_of(told))
        return entry is not None and entry.is_ours

    def folder_of(self, told: Status) -> Path:
        """Return the folder of the keeper that leads."""
        return self.folders[told.keeper.name]

    def kill(self, told: Status, number: int = signal.SIGKILL) -> None:
        """Send a signal to the keeper that leads."""
        assert told.keeper.pid is not None
        self.drive.kill(told.keeper.pid, number)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A drive with a standby, for all tests of this module."""
    made = Pair(Drive(tmp_path_factory.mktemp("pair"), servers=1))
    try:
        made.drive.up("--standby")
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


def test_ended_in_order_the_other_follows_at_once(pair: Pair) -> None:
    told = pair.settled()
    (pair.folder_of(told) / "ended").write_text("kept")
    pair.kill(told, signal.SIGTERM)
    old = pair.folder_of(told)
    told, seconds = pair.followed(told)
    print("ended: seconds until the other one serves", round(seconds, 2))
    assert (pair.folder_of(told) / "ended").read_text() == "kept"
    with contextlib.suppress(OSError):
        assert os.listdir(old) == []
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
