"""One run of a whole drive: people, faults, calm, and what must be true of all of it at the end."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from history import ABSENT, check_linearizable, check_witness
from trivet.errors import TrivetError
from trivet.keeper.journal import Journal
from trivet.keeper.submitting import Submitter
from trivet.keeper.volume_door import OutsideBlobs, VolumeDoor, _Connection
from trivet.volume.changes import ChangeSet
from trivet.volume.interface import ROOT_INO
from whole_banks import broken_promises
from whole_drive import BASES, whole_drive
from whole_faults import FAULTS, Faults
from whole_hands import MARK
from whole_net import Port
from whole_people import MOVING, NAMES, People
from whole_processes import KeeperProcess

FAULTS_FROM_S, FAULTS_UNTIL_S = 1.5, 20.0
FAULT_EVERY_S = 1.1
LOOK_EVERY_S = 0.1
HEAL_WITHIN_S = 60.0
SHM = Path("/dev/shm")
NEEDS_BYTES = 1 << 30


def _fast_folder() -> Path | None:
    """Return where files lie in memory, None if there is not enough of it."""
    if SHM.exists():
        room = os.statvfs(SHM)
        return SHM if room.f_bavail * room.f_frsize > NEEDS_BYTES else None
    return None


class Violation(AssertionError):
    """A promise was broken."""


class Bug(AssertionError):
    """A process of the drive failed in a way that nothing in it expects."""


class WholeRun:
    """Builds and runs the drive of `seed`; `always` makes everything durable before it returns."""

    faults_until_s = FAULTS_UNTIL_S
    fault_kinds: Sequence[tuple[str, int]] = FAULTS

    def __init__(self, seed: int, *, tell: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.tell = tell
        self.counts: dict[str, int] = {}
        self.outcomes: dict[str, int] = {}
        self.steps = 0
        self.healed_after_s = 0.0
        self.hash = ""

    def run(self) -> None:
        """Run to the end; raises Violation, Refused or WrongBytes when a promise is broken, Bug otherwise."""
        durability: Any = "always" if self.seed % 5 == 4 else None
        with (
            tempfile.TemporaryDirectory(dir=_fast_folder(), prefix="trivet-whole") as folder,
            whole_drive(self.seed, Path(folder) / "state", durability=durability, tell=self.tell) as drive,
            pytest.MonkeyPatch.context() as patch,  # not in `_live`, which a bug leaves unfinished
        ):
            self.drive = drive
            try:
                drive.loop.run_until_complete(self._live(patch))
            except RuntimeError:
                if not drive.loop.bugs:
                    raise
            finally:
                self.steps = drive.loop.steps
                self.hash = self._hash()
            if drive.loop.bugs:
                raise Bug(repr(drive.loop.bugs[0])) from drive.loop.bugs[0]

    def _hash(self) -> str:
        """Return what names this run: what happened when, what was asked and answered, every entry's hash."""
        told = blake2b(digest_size=16)
        for line in (*self.drive.told, *map(repr, self.people.operations), *self.people.sealed_hashes):
            told.update(line.encode())
        return told.hexdigest()

    async def _live(self, patch: pytest.MonkeyPatch) -> None:
        drive = self.drive
        drive.on_serving = self._serving
        self.people = People(drive, local=2, remote=1, readers=1)
        self._listen_to_the_log(patch)
        self.faults = Faults(
            drive, NAMES, lambda base: not self._wrong_in(base), self.people.excuse, self.fault_kinds
        )
        drive.begin()
        await drive.sleep(FAULTS_FROM_S)
        await self._go_wrong()
        await self._calm_down()
        await self._check_end()

    async def _go_wrong(self) -> None:
        """Let faults happen for a while."""
        while self.drive.now < self.faults_until_s:
            await self._look_for(self.drive.rng.expovariate(1 / FAULT_EVERY_S))
            self.faults.strike()

    async def _look_for(self, seconds: float) -> None:
        """Look all the time whether banks are whole again: while people work they are so for moments only."""
        while seconds > 0.0:
            await self.drive.sleep(min(seconds, LOOK_EVERY_S))
            self.faults.look()
            seconds -= LOOK_EVERY_S

    def _listen_to_the_log(self, patch: pytest.MonkeyPatch) -> None:
        people, real_submit, real_seal, real_safe = (
            self.people, Journal.submit, Journal._seal, Submitter._safe
        )  # fmt: skip

        def submit(journal: Journal, changes: ChangeSet, *, sync: bool = False) -> Any:
            people.submitted(journal, changes)
            return real_submit(journal, changes, sync=sync)

        def seal(journal: Journal, batch: Any) -> None:
            real_seal(journal, batch)
            people.sealed(journal._leader.reign.log.entries[-1])

        async def safe(submitter: Submitter, ticket: Any) -> None:
            await real_safe(submitter, ticket)
            if ticket._failure:
                journal: Any = submitter._commit
                if not journal.is_possibly_stale:
                    raise Violation("a name is told that may be taken back, and status does not say so")
                people.told_possibly_stale()

        patch.setattr(Submitter, "_safe", safe)
        patch.setattr(Journal, "submit", submit)
        patch.setattr(Journal, "_seal", seal)

    def _serving(self, process: KeeperProcess) -> None:
        """A keeper serves: look at what it leaves behind, and let other processes come."""
        struck = self.people.adopted(process.log)
        if struck:
            self.drive.trace(f"{struck} entries are left behind")
        keeper = process.keeper
        assert keeper is not None
        assert keeper.loaded is not None
        loaded, shell = keeper.loaded, keeper.shell
        assert shell is not None
        outside = OutsideBlobs(loaded.journal, loaded.queue, loaded.blobs)
        door = VolumeDoor(loaded.volume, shell.leader.reign.epoch.number, keeper.key, outside, None)

        def serve() -> tuple[Any, Callable[[], None]]:
            connection = _Connection(door)
            return lambda message, body: connection.handle(message, body, None), connection.left

        self.drive.network.ports["volume.sock"] = Port(process, serve, "volume.sock")

    async def _calm_down(self) -> None:
        """Nothing goes wrong any more; everything comes back."""
        drive = self.drive
        drive.trace("calm from here on")
        drive.is_calm = True
        drive.network.blocked.clear()
        drive.network.delay_s.clear()
        for server in drive.servers.values():
            disk = server.disk
            disk.crash_in, disk.fails_sync, disk.is_full, disk.goes_wrong = None, False, False, ""
        await self.people.leave()
        self.healed_after_s = await self.await_health()

    async def await_health(self) -> float:
        """Wait until nothing is wrong any more; return how long that took."""
        drive = self.drive
        began = drive.now
        while True:
            await drive.sleep(1.0)
            wrong = self._what_is_wrong()
            if not wrong:
                break
            if drive.now - began > HEAL_WITHIN_S:
                raise Violation(f"not healthy after {HEAL_WITHIN_S} s: {wrong}")
        drive.trace(f"healthy after {drive.now - began:.0f} s")
        return drive.now - began

    def _what_is_wrong(self) -> str:
        """Return why the drive is not healthy, "" if it is."""
        wrong = next((wrong for base in BASES if (wrong := self._wrong_in(base))), "")
        return wrong or self.faults.hands.what_is_wrong()

    def _wrong_in(self, base: int) -> str:
        return broken_promises(self.drive, base)

    async def _check_end(self) -> None:
        """Everything acknowledged is there, nothing else is, byte for byte."""
        people, drive = self.people, self.drive
        for one in people.operations:
            self.outcomes[one.outcome] = self.outcomes.get(one.outcome, 0) + 1
        self.counts = self.faults.counts
        events = people.events
        check_witness(people.operations, events)
        for name in NAMES:
            moved = [one for one in people.operations if one.name == name]
            check_linearizable(moved)
        assert drive.keeper is not None
        await drive.keeper.spawn(self._compare())

    async def _compare(self, lost: Collection[int] = ()) -> None:
        """Look at every name and byte that is served; only of the contents `lost` reading may fail."""
        state = {event.name: event.content for event in self.people.events}
        assert self.drive.keeper is not None
        volume = self.drive.keeper.volume
        found = dict(volume.space.directory(ROOT_INO))
        if strange := [name for name in found if MARK in name]:
            raise Violation(f"foreign entries became files: {strange}")
        for name in (*NAMES, *MOVING):
            if found.get(name, ABSENT) != state.get(name, ABSENT):
                raise Violation(f"{name!r} leads to {found.get(name)}, the log says {state.get(name)}")
            if name in found:
                with contextlib.suppress(*((TrivetError,) if found[name] in lost else ())):
                    await self.people.read(volume, found[name])
