"""Snapshots: made as a table of all records at one slot, listed, removed; what they name is kept.

Rule: a table gets its name in one durable entry, when it was read back and its sums are those of the index.
Rule: nothing is deleted while a table is made, nor until what every table names is known.
Rule: one snapshot is made or removed at a time.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from trivet.errors import Conflict, FileSystemError, NoMajority, NotFound, TrivetError
from trivet.io.clock import wall_s
from trivet.keeper.journal import Journal
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.owned_task import own_task
from trivet.keeper.snapshot_making import TableMaker, TableUnproven
from trivet.quorum.reign import Reign
from trivet.volume.entry_names import check_name
from trivet.volume.interface import PRIVATE_INO, Caller
from trivet.wire.path_text import path_text
from trivet.wire.snapshot_messages import SnapshotTable, SnapshotTold
from trivet.wire.snapshot_table import NOTE, REF_BYTES, SNAPSHOTS, UNFINISHED, SnapshotNote, unpack_refs

log = logging.getLogger(__name__)

READ_BYTES = 1 << 20
RETRY_S = 1.0
FREED_AT_ONCE = 100_000
_OWNER = Caller(0, 0)


class Snapshots:
    """The snapshots of one volume; `notes` hears why what they name can't be read."""

    def __init__(
        self, volume: LocalVolume, journal: Journal, reign: Reign, volume_key: bytes, notes: dict[str, str]
    ) -> None:
        self._volume = volume
        self._space = volume.space
        self._journal = journal
        self._reign = reign
        self._key = volume_key
        self._notes = notes
        self._busy = asyncio.Lock()
        self._known: set[bytes] = set()
        self._loading: asyncio.Task[None] | None = None
        if self._names():
            self._space.kept.hold()
            self._loading = own_task(self._load_all())

    async def close(self) -> None:
        """Stop reading what is kept."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)

    def _folder(self) -> int | None:
        return self._space.directories[PRIVATE_INO].get(SNAPSHOTS)

    def _names(self) -> list[bytes]:
        """Return the names of all snapshots."""
        folder = self._folder()
        names = () if folder is None else self._space.directories[folder]
        return sorted(name for name in names if name != UNFINISHED)

    # -- what is kept

    async def _load_all(self) -> None:
        """Read what each snapshot names, for as long as it takes; until then nothing is deleted."""
        while missing := [name for name in self._names() if name not in self._known]:
            try:
                for name in missing:
                    await self._load(name)
            except TrivetError as error:
                text = f"snapshot {path_text(name)} can't be read, so nothing is deleted meanwhile: {error}"
                self._notes["snapshots"] = text
                log.warning(text)
                await asyncio.sleep(RETRY_S)
        self._notes.pop("snapshots", None)
        self._space.kept.let_go()

    async def _load(self, name: bytes) -> None:
        note = await self._note(name)
        handle = await self._volume.open(self._ino(name), writing=False, truncate=False, sync=False)
        try:
            end = note.frames_bytes + note.blobs * REF_BYTES
            places = range(note.frames_bytes, end, READ_BYTES)
            parts = [await self._volume.read(handle, at, min(READ_BYTES, end - at)) for at in places]
        finally:
            await self._volume.release(handle)
        if name in self._names():
            self._space.kept.keep(name, unpack_refs(b"".join(parts)))
            self._known.add(name)

    def _ino(self, name: bytes) -> int:
        folder = self._folder()
        if folder is None or name not in self._names():
            raise NotFound(
                f"there is no snapshot {path_text(name)}; `trivet snapshot list` shows those there are"
            )
        return self._space.directories[folder][name]

    async def _note(self, name: bytes) -> SnapshotNote:
        return msgspec.json.decode(await self._volume.getxattr(self._ino(name), NOTE), type=SnapshotNote)

    # -- the verbs

    async def table(self) -> SnapshotTable:
        """Return what is told of every snapshot, the oldest first."""
        told = [await self._told(name) for name in self._names()]
        return SnapshotTable(sorted(told, key=lambda one: one.slot))

    async def _told(self, name: bytes) -> SnapshotTold:
        note, size = await self._note(name), self._space.inode(self._ino(name)).size
        return SnapshotTold(path_text(name), note.slot, note.made_s, note.files, note.size_bytes, size)

    async def create(self, name: bytes) -> SnapshotTold:
        """Make a snapshot of everything acknowledged by now; raises Conflict if `name` is taken."""
        check_name(name)
        if name.startswith(b"."):
            raise Conflict("the name of a snapshot does not begin with a dot")
        async with self._busy:
            if name in self._names():
                raise Conflict(f"there is a snapshot {path_text(name)} already")
            if self._folder() is None:
                await self._volume.mkdir(PRIVATE_INO, SNAPSHOTS, 0o700, _OWNER)
            kept = self._space.kept
            kept.hold()
            try:
                await self._create(name)
            finally:
                kept.let_go()
            return await self._told(name)

    async def _create(self, name: bytes) -> None:
        folder = self._folder()
        assert folder is not None
        await self._volume.store_all()
        why = "no bank answers"
        for server in self._journal.acceptors_at(self._journal.durable_slot):
            await self._clear(folder)
            maker = TableMaker(self._volume, self._journal, self._reign, self._key, folder)
            try:
                refs = await maker.make(server, wall_s())
            except TableUnproven as error:
                why = str(error)
                log.warning("no snapshot from server %s: %s", server.port, why)
                continue
            self._space.kept.keep(name, refs)
            self._known.add(name)
            try:
                await self._volume.rename(folder, UNFINISHED, folder, name, replace=False, exchange=False)
                await self._volume.fsyncdir(folder)
            except TrivetError:
                if name not in self._space.directories[folder]:
                    self._forget(name)
                raise
            return
        await self._clear(folder)
        raise NoMajority(
            f"no bank could give all records, each at its slot: {why}; `trivet verify` says more"
        )

    async def _clear(self, folder: int) -> None:
        with suppress(FileSystemError):  # mostly there is none
            await self._volume.unlink(folder, UNFINISHED)

    def _forget(self, name: bytes) -> Sequence[int]:
        self._known.discard(name)
        return self._space.kept.release(name)

    async def remove(self, name: bytes) -> int:
        """Remove a snapshot; return how many blobs nothing names from here on, its own left out."""
        async with self._busy:
            self._ino(name)
            folder = self._folder()
            assert folder is not None
            await self._volume.unlink(folder, name)
            await self._volume.fsyncdir(folder)
            # Freed behind the entry that takes the name away: what a killed keeper leaves are orphans.
            released = self._forget(name)
            named = self._space.layout.owners
            freed = [blob for blob in released if blob not in named]
            for at in range(0, len(freed), FREED_AT_ONCE):
                self._space.changes.freed += freed[at : at + FREED_AT_ONCE]
                await self._volume.fsyncdir(folder)
            return len(freed)
