"""Runs of a whole drive that go beyond what is promised: all must be loud, and nothing served may be wrong.

Rule: what can't be known to be complete is not served, and a person is told what would bring it back.
Rule: what is served is what was stored, to the byte; only what was damaged in all three banks fails, loudly.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from history import Operation
from trivet.bank.blob_header import header_bytes
from trivet.io.clock import steady_s
from trivet.keeper.findings import NamedBlobs
from trivet.keeper.leader_shell import LeaderShell
from trivet.volume.interface import ROOT_INO
from trivet.wire.records import ino_of
from whole_drive import BASES
from whole_faults import FAULTS
from whole_people import NAMES
from whole_processes import KeeperProcess
from whole_run import Violation, WholeRun

LOUD_WITHIN_S = 40.0
TOLD_WITHIN_S = 2.0  # until an anchor says in the log what was durable
LATE_CHANGES = 6
#: What may spoil a journal and is noticed at its server's next start only: a third bank would be lost, too.
UNSEEN = {"lose_write", "astray"}
FATES = ("rolled back", "wiped", "rows", "blobs")


class WholeBeyond(WholeRun):
    """A run with faults for a while, healthy again, and then one thing that no two banks survive."""

    faults_until_s = 5.0
    fault_kinds = tuple(kind for kind in FAULTS if kind[0] not in UNSEEN)

    async def _check_end(self) -> None:
        await super()._check_end()
        drive = self.drive
        drive.may_refuse = True
        fate = FATES[self.seed % len(FATES)]
        drive.trace(f"beyond the promise: {fate}")
        if fate == "rows":
            await self._lose_rows()
        elif fate == "blobs":
            await self._lose_blobs()
        else:
            await self._lose_two_banks(is_wiped=fate == "wiped")

    @property
    def keeper(self) -> KeeperProcess:
        """The keeper, whether it serves or not."""
        assert self.drive.keeper is not None
        return self.drive.keeper

    @property
    def is_served(self) -> bool:
        """A keeper lives and serves."""
        return self.keeper.is_alive and self.keeper.is_serving

    def _down(self) -> None:
        """Everybody is killed; what ran is started again."""
        self.drive.kill_keeper()
        for port in self.drive.ports:
            self.drive.kill_server(port)

    # two banks

    async def _lose_two_banks(self, *, is_wiped: bool) -> None:
        """Two banks are emptied, or as they were some durable changes ago: a person must decide."""
        drive = self.drive
        two = [port for base in drive.rng.sample(BASES, 2) for port in drive.bank_ports(base)]
        images = {} if is_wiped else {port: self._image(port) for port in two}
        if images:
            await self.keeper.spawn(self._change_more())
            await drive.sleep(TOLD_WITHIN_S)
        self._down()
        for port in two:
            drive.wipe(port)
            if is_wiped:
                self.faults.hands.forget(port)
            else:
                shutil.copytree(images[port], drive.servers[port].own)
        await drive.sleep(LOUD_WITHIN_S)
        if self.is_served:
            raise Violation(f"the servers {two} lost what they had, and the volume is served")
        assert self.keeper.keeper is not None
        said = self.keeper.keeper.notes.get("takeover", "")
        if "NoMajority" not in said or "--accept-rollback" not in said:
            raise Violation(f"what is said of two banks lost is {said!r}")
        await self.keeper.spawn(self.keeper.keeper.recover("accept_rollback", apply=True))
        await self.await_health()
        await self.keeper.spawn(self._compare())

    def _image(self, port: int) -> Path:
        folder = self.drive.folder.path.parent / f"image-{port}"
        return Path(shutil.copytree(self.drive.servers[port].own, folder))

    async def _change_more(self) -> None:
        volume, now = self.keeper.volume, self.drive.loop.time
        for number in range(LATE_CHANGES):
            change = Operation(0, "store", NAMES[number % len(NAMES)], now())
            await self.people._store(change, volume)
        await volume.fsyncdir(ROOT_INO)

    # records

    async def _lose_rows(self) -> None:
        """Some records are damaged or gone in every bank: proved by the log, or the loss is told."""
        rng = self.drive.rng
        assert self.keeper.keeper is not None
        shell = self.keeper.keeper.shell
        assert shell is not None
        await self.keeper.spawn(self._trim(shell))
        seats = [shell.acceptor(base).port for base in BASES]
        tables = [self.drive.servers[port].own / "records.sqlite" for port in seats]
        self._down()
        keys = sorted({key for table in tables for key in _keys(table)})
        struck = rng.sample(keys, min(len(keys), rng.choice((1, 1, 3))))
        how = rng.choice(("gone", "same", "each its own"))
        self.drive.trace(f"{how} in all banks: {struck}")
        for table in tables:
            _damage(table, struck, None if how == "gone" else b"!" if how == "same" else rng.randbytes(9))
        await self._until_served_or_refused()
        if self.is_served:
            lost = {ino_of(key) for key in struck if key.startswith(b"b/")}
            await self.keeper.spawn(self._compare(lost))

    async def _trim(self, shell: LeaderShell) -> None:
        """Drop from the log what would prove the records; how far, is answered to the call before."""
        for _ in range(2):
            shell.run(shell.leader.trim(steady_s()))
            await self.drive.sleep(1.0)

    async def _until_served_or_refused(self) -> None:
        drive = self.drive
        until = drive.now + LOUD_WITHIN_S
        while not (drive.refused or self.is_served):
            if drive.now > until:
                raise Violation("nobody serves, and nobody says why")
            await drive.sleep(0.5)
        drive.trace(f"refused: {drive.refused}")

    # blobs

    async def _lose_blobs(self) -> None:
        """Some blobs are damaged in every bank: their files fail and are named, the others do not."""
        rng, space = self.drive.rng, self.keeper.volume.space
        refs = sorted(NamedBlobs(space).refs)
        struck = rng.sample(refs, (len(refs) + 1) // 2)
        owners = {name: space.layout.owners.place(name) for name in struck}
        lost = {owner[0] for owner in owners.values() if owner is not None}
        for name in struck:
            self._damage_blob(name)
        if rng.random() < 0.5:
            self._down()
        self.drive.kill_keeper()
        await self._until_served_or_refused()
        await self.keeper.spawn(self._compare(lost))
        until = self.drive.now + LOUD_WITHIN_S
        while missing := lost - self._told_open():
            if self.drive.now > until:
                raise Violation(f"the contents {missing} are lost, and nobody says so")
            await self.drive.sleep(1.0)

    def _damage_blob(self, name: int) -> None:
        """Turn bits of every copy of a blob, in its header or in its bytes."""
        rng = self.drive.rng
        for server in self.drive.servers.values():
            blobs = server.place.blobs if server.place is not None else None
            place = blobs.index.get(name) if blobs is not None else None
            if blobs is None or place is None:
                continue
            at = place.offset + rng.choice((0, header_bytes(place.size))) + rng.randrange(min(place.size, 40))
            (byte,) = os.pread(blobs._segments[place.segment].fd, 1, at)
            os.pwrite(blobs._segments[place.segment].fd, bytes([byte ^ 1 << rng.randrange(8)]), at)

    def _told_open(self) -> set[int]:
        """Return the contents of which something is told to be beyond repair."""
        keeper = self.keeper.keeper
        if keeper is None or keeper.loaded is None:
            return set()
        volume = self.keeper.volume
        told = {finding.path for finding in keeper.loaded.queue.open.values()}
        names = volume.space.directory(ROOT_INO)
        return {ino for name, ino in names.items() if f"/{name.decode()}" in told}


def _keys(table: Path) -> list[bytes]:
    """Return the keys of all records; none of a table that a fault had spoiled, unnoticed, before."""
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(table)) as sql:
        return [key for (key,) in sql.execute("SELECT key FROM records")]
    return []


def _damage(table: Path, keys: Iterable[bytes], tail: bytes | None) -> None:
    """Add `tail` to the values of `keys`, or remove them."""
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(table, isolation_level=None)) as sql:
        for key in keys:
            if tail is None:
                sql.execute("DELETE FROM records WHERE key = ?", (key,))
            else:
                sql.execute("UPDATE records SET value = CAST(value || ? AS BLOB) WHERE key = ?", (tail, key))
