"""The drive as rolled back banks hold it, read-only, while a person has to decide whether that is to count.

Rule: banks are only asked for what they hold: none is told to carry out, adopt or delete anything.
Rule: what they have not applied is answered from the log that would be kept.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from errno import EROFS
from typing import NoReturn

from trivet.errors import FileSystemError, NoMajority
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.blob_service import BlobService
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.loader import Loader
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.record_service import RecordService
from trivet.keeper.stores import AccessPort, Durability, SpacePort
from trivet.keeper.takeover import load_records
from trivet.quorum.digests import RecordIndex
from trivet.quorum.leader_log import LeaderLog
from trivet.volume.blob_names import BlobNames
from trivet.volume.changes import ChangeSet
from trivet.volume.interface import ROOT_INO


class RolledBack:
    """Which log a rollback leaves; `turn` it as often as the takeover gets stuck."""

    def __init__(self) -> None:
        self._log: LeaderLog | None = None
        self._turned = asyncio.Event()

    def turn(self, log: LeaderLog | None) -> None:
        """Take in that `log` is what would be kept; None: the takeover waits for something else."""
        if _end_of(log) != _end_of(self._log):
            self._log = log
            self._turned.set()
            self._turned = asyncio.Event()

    async def found(self) -> tuple[LeaderLog, asyncio.Event]:
        """Wait for a log; return it, and what is set as soon as it is another one, or none."""
        while (log := self._log) is None:
            await self._turned.wait()
        return log, self._turned


def _end_of(log: LeaderLog | None) -> tuple[int, bytes] | None:
    return None if log is None else (log.head, log.head_hash)


class KeptLog:
    """The CommitPort and JournalView of what is only read: `held` with the `index` at its head."""

    durability: Durability = "default"
    takes_changes = False

    def __init__(self, held: LeaderLog, index: RecordIndex, servers: Callable[[], list[ServerLink]]) -> None:
        self.head_slot = self.durable_slot = held.head
        self.slot_of = index.slot_of
        self._values = {op.key: op.value for entry in held.entries for op in entry.body.ops}
        self._servers = servers

    async def writable(self) -> NoReturn:
        """Refuse: nothing can be changed."""
        raise FileSystemError(EROFS)

    def submit(self, changes: ChangeSet, *, sync: bool = False) -> NoReturn:
        """Refuse: nothing can be changed."""
        raise FileSystemError(EROFS)

    def is_fresh(self, key: bytes) -> bool:
        """Tell whether the log says what `key` holds."""
        return key in self._values

    def fresh_value(self, key: bytes) -> bytes | None:
        """Return what the log gives `key` (None: it deletes it)."""
        return self._values[key]

    def acceptors_at(self, slot: int) -> Sequence[ServerLink]:
        """Return all servers that answer: a row is believed at its slot only."""
        return self._servers()


@asynccontextmanager
async def opened(
    held: LeaderLog,
    shell: LeaderShell,
    blobs: BlobService,
    volume_key: bytes,
    access: AccessPort,
    room: SpacePort,
) -> AsyncIterator[LocalVolume]:
    """Give the volume as it is at the head of `held`; raises NoMajority if that can't be proved."""

    def servers() -> list[ServerLink]:
        found = [shell.acceptor(bank) for bank in shell.leader.reign.followers]
        return [server for server in found if server.is_up]

    loader = Loader(held, 0, volume_key, lambda records: None)  # servers stay at the slot where they are
    loading, index = await load_records(loader, servers(), BlobNames(shell.leader.reign.epoch.number))
    space = loading.space
    if ROOT_INO not in space.inodes:
        raise NoMajority("there is no folder in it yet")
    space.take_changes()  # what loading purged is left to the keeper that leads
    commit = KeptLog(held, index, servers)
    records = RecordService(commit, volume_key, lambda bank, key, why: None)
    volume = LocalVolume(space, commit=commit, blobs=blobs, records=records, access=access, room=room)
    try:
        yield volume
    finally:
        await volume.close()
