"""The people of a whole drive: they store, load, remove and move files, and every step is written down.

Rule: a content is a file of its own, made under a name nobody else uses and then renamed to where it belongs;
it never changes, so its inode number names it.
Rule: what the log says is taken down as the keeper seals it; what a takeover leaves behind is struck out.
"""

import asyncio
from collections.abc import Coroutine
from errno import ENOENT
from typing import Any

from history import ABSENT, Event, Operation
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import FileSystemError, TrivetError
from trivet.volume.changes import ChangeSet
from trivet.volume.interface import ROOT_INO, Caller
from trivet.wire.entries import Entry
from trivet.wire.records import ino_of, name_of
from whole_drive import WholeDrive
from whole_loop import Process
from whole_processes import KeeperProcess

NAMES = [b"a0", b"a1", b"a2", b"a3"]
MOVING = [b"m0", b"m1", b"m2"]
KINDS = {
    "remote": ("store", "store", "load", "load", "load", "remove"),
    "local": ("store", "store", "load", "load", "load", "remove", "move"),
    "reader": ("load",),
}
SIZES = (0, 10, 700, 5000, 30_000, 90_000, 200_000)
CALLER = Caller(0, 0)
MAY_BE_LOST_S = 0.3


class DoneTwice(AssertionError):
    """A change was done again that had been done."""


class WrongBytes(AssertionError):
    """A read gave other bytes than those that were stored."""


class People:
    """Clients of `drive`, `local` of them inside the keeper's process, `remote` ones in their own.

    `readers`, inside the keeper's process, only look, and so are there while whoever changes something waits.
    """

    def __init__(
        self, drive: WholeDrive, *, local: int, remote: int, readers: int = 0, think_s: float = 0.15
    ) -> None:
        self.drive = drive
        self.operations: list[Operation] = []
        self.bodies: dict[int, bytes] = {}
        self.stop = False
        self.slowest_s = 0.0
        self._think_s = think_s
        self._entries: list[tuple[int, bytes, list[tuple[float, bytes, int]]]] = []
        self._unsure: list[float] = []
        self._journal: object = None
        self._pending: list[tuple[float, bytes, int]] = []
        self._made = 0
        self._running = []
        for number, life in enumerate(["local"] * local + ["remote"] * remote + ["reader"] * readers):
            process = Process(drive.loop, f"client {number}")
            drive.processes.append(process)
            self._running.append(process.spawn(self._live(number, life)))

    async def leave(self) -> None:
        """Let everybody finish what they do."""
        self.stop = True
        await asyncio.gather(*self._running)

    def excuse(self) -> None:
        """All machines lost their power: what was acknowledged a moment ago, and not durable, may be gone."""
        if self.drive.durability == "always":
            return
        since = self.drive.loop.time() - MAY_BE_LOST_S
        for one in self.operations:
            if one.returned is not None and one.returned > since and not one.durable:
                one.outcome = "failed" if one.kind == "load" or one.outcome == "absent" else one.outcome
                one.outcome = "unknown" if one.outcome == "ok" else one.outcome

    def told_possibly_stale(self) -> None:
        """Somebody is told of a name without a majority: what reads under way found may be taken back."""
        self._unsure.append(self.drive.loop.time())

    # -- the witness

    def submitted(self, journal: object, changes: ChangeSet) -> None:
        """Take down what is handed to the log: its next entry holds that, and what came before it."""
        if journal is not self._journal:
            self._journal, self._pending = journal, []
        self._pending += [
            (self.drive.loop.time(), name_of(key), ABSENT if value is None else int.from_bytes(value, "big"))
            for key, value in changes.records.items()
            if key.startswith(b"d/") and ino_of(key) == ROOT_INO
        ]

    def sealed(self, entry: Entry) -> None:
        """Note in which entry that is."""
        self._entries.append((entry.slot, entry.hash, self._pending))
        self._pending = []

    def adopted(self, log: Any) -> int:
        """Strike out what a new keeper's log does not hold; return how many entries."""
        kept = []
        for slot, entry_hash, names in self._entries:
            if slot <= log.floor or (slot <= log.head and log.hash_at(slot) == entry_hash):
                kept.append((slot, entry_hash, names))
        struck = len(self._entries) - len(kept)
        self._entries = kept
        return struck

    @property
    def sealed_hashes(self) -> list[str]:
        """The hash of every entry that counts."""
        return [entry_hash.hex() for _, entry_hash, _ in self._entries]

    @property
    def events(self) -> list[Event]:
        """What became of each name, in order."""
        wanted = {*NAMES, *MOVING}
        return [
            Event(slot, at, name, content)
            for slot, _, names in self._entries
            for at, name, content in names
            if name in wanted
        ]

    # -- what they do

    async def _live(self, number: int, life: str) -> None:
        drive, rng = self.drive, self.drive.rng
        volume = RemoteVolume(drive.folder) if life == "remote" else None
        kinds = KINDS[life]
        while not self.stop:
            await drive.sleep(rng.expovariate(1 / self._think_s))
            keeper = drive.keeper
            if keeper is None or (volume is None and not (keeper.is_alive and keeper.is_serving)):
                continue
            await self._one(number, rng.choice(kinds), keeper, volume)
        if volume is not None:
            await volume.close()

    async def _one(self, number: int, kind: Any, keeper: KeeperProcess, remote: RemoteVolume | None) -> None:
        rng, now = self.drive.rng, self.drive.loop.time
        name = self._name_for(kind)
        one = Operation(number, kind, name, now(), to=rng.choice(MOVING) if kind == "move" else b"")
        if one.kind == "move" and one.to == one.name:
            return
        self.operations.append(one)
        volume: Any = remote if remote is not None else keeper.volume
        work = getattr(self, f"_{kind}")(one, volume)
        error = await (self._in_keeper(work, keeper) if remote is None else _told(work))
        self._judge(one, error)
        is_safe = one.durable or (self.drive.durability == "always" and one.kind != "load")
        if one.outcome == "ok" and is_safe and self.drive.when_safe is not None:
            strike, self.drive.when_safe = self.drive.when_safe, None
            strike()
        if one.returned is not None:
            self.slowest_s = max(self.slowest_s, one.returned - one.called)

    def _name_for(self, kind: str) -> bytes:
        """Return a name to work at: often the one that somebody else touches just now."""
        rng = self.drive.rng
        if kind != "move" and self.operations and rng.random() < 0.5:
            return self.operations[-1].to or self.operations[-1].name
        return rng.choice(MOVING if kind == "move" or rng.random() < 0.3 else NAMES)

    def _judge(self, one: Operation, error: BaseException | str | None) -> None:
        """Note what came of an operation."""
        if error != "gone":
            one.returned = self.drive.loop.time()
        self._note_outcome(one, error)
        if (one.kind == "load" or one.outcome == "absent") and any(at >= one.called for at in self._unsure):
            one.outcome = "failed"

    @staticmethod
    def _note_outcome(one: Operation, error: BaseException | str | None) -> None:
        if error is None:
            one.outcome = "ok" if one.outcome == "unknown" else one.outcome
        elif isinstance(error, FileSystemError) and error.errno == ENOENT and one.kind != "store":
            one.outcome = "absent" if one.kind != "load" or one.content is None else "failed"
        elif isinstance(error, AssertionError):
            raise error
        elif isinstance(error, FileSystemError) and error.errno == ENOENT and one.content is None:
            one.outcome = "failed"  # made, not closed yet, and gone with the keeper
        elif isinstance(error, FileSystemError) and one.kind == "store":
            raise DoneTwice(f"{one.name!r}: {error} although the name it was made under is nobody else's")
        elif isinstance(error, FileSystemError):
            one.outcome = "failed"
        elif one.kind == "load" or not one.content:
            one.outcome = "failed" if one.kind in ("load", "store") else "unknown"

    async def _in_keeper(self, work: Coroutine[Any, Any, None], keeper: KeeperProcess) -> Any:
        """Carry `work` out in the keeper's process; "gone" when that dies before it is done."""
        task = keeper.spawn(_told(work))
        await asyncio.wait({task, keeper.ended}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() and keeper.is_alive else "gone"

    async def _store(self, one: Operation, volume: Any) -> None:
        rng = self.drive.rng
        self._made += 1
        temporary = b".new %d" % self._made
        body = rng.randbytes(rng.choice(SIZES))
        durable = rng.random() < 0.3
        made, handle = await volume.create(ROOT_INO, temporary, 0o644, CALLER)
        for at in range(0, len(body), 65536):
            await volume.write(handle, at, body[at : at + 65536])
        await (volume.fsync(handle) if durable else volume.flush(handle))
        await volume.release(handle)
        self.bodies[made.ino] = body
        one.content = made.ino
        await volume.rename(ROOT_INO, temporary, ROOT_INO, one.name, replace=True, exchange=False)
        if durable:
            await volume.fsyncdir(ROOT_INO)
            one.durable = True

    async def _remove(self, one: Operation, volume: Any) -> None:
        await volume.unlink(ROOT_INO, one.name)

    async def _move(self, one: Operation, volume: Any) -> None:
        await volume.rename(ROOT_INO, one.name, ROOT_INO, one.to, replace=True, exchange=False)

    async def _load(self, one: Operation, volume: Any) -> None:
        found = await volume.lookup(ROOT_INO, one.name)
        one.content = found.ino
        one.returned, one.outcome = self.drive.loop.time(), "ok"
        await self.read(volume, found.ino)

    async def read(self, volume: Any, ino: int) -> None:
        """Read a whole content and look at every byte; errors are allowed, wrong bytes are not."""
        handle = await volume.open(ino, writing=False, truncate=False, sync=False)
        try:
            read = bytes(await volume.read(handle, 0, 1 << 20))
        finally:
            await volume.release(handle)
        wanted = self.bodies.get(ino)
        if wanted is not None and read != wanted:
            raise WrongBytes(f"content {ino} has {len(read)} bytes, {len(wanted)} were stored")


async def _told(work: Coroutine[Any, Any, None]) -> BaseException | None:
    """Return what `work` failed with."""
    try:
        await work
    except (TrivetError, AssertionError) as error:
        return error
    return None
