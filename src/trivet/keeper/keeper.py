"""One keeper: takes the volume over, loads it, serves it, and keeps its copies whole.

Rule: whoever is told something here passes it on; the rules live in the rooms below.
"""

import asyncio
import logging
import os
from contextlib import AbstractAsyncContextManager
from functools import partial

from trivet.errors import NoMajority, NotFound, ReplicaError
from trivet.io.clock import wall_ns
from trivet.io.volume_folder import VolumeFolder
from trivet.keeper.bank_links import Fleet, ServerLink
from trivet.keeper.blob_check import BlobCheck
from trivet.keeper.blob_service import BlobService
from trivet.keeper.companion import Companion
from trivet.keeper.high_water import HighWater, MarkKeeping
from trivet.keeper.journal import Journal
from trivet.keeper.last_words import LastWords
from trivet.keeper.leader_events import Secured
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.loaded import Loaded
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.log_transfer import copy_rows
from trivet.keeper.record_keys import keys_in
from trivet.keeper.record_service import RecordService
from trivet.keeper.recovery import recover
from trivet.keeper.refresh import Refresher
from trivet.keeper.repair_history import RepairLog
from trivet.keeper.repair_queue import RepairQueue
from trivet.keeper.rolled_back import RolledBack, opened
from trivet.keeper.row_check import RowCheck
from trivet.keeper.seat import Seat
from trivet.keeper.snapshots import Snapshots
from trivet.keeper.stalled_blobs import StalledBlobs, secure_blobs
from trivet.keeper.standing_by import StandingBy
from trivet.keeper.stores import Durability
from trivet.keeper.takeover import begin_reign, load_volume
from trivet.quorum.leader_log import LeaderLog
from trivet.volume.blob_names import BlobNames
from trivet.volume.entry_names import find_path
from trivet.volume.interface import PRIVATE_INO, ROOT_INO
from trivet.volume.private import make_private
from trivet.wire.blobs import BlobRef
from trivet.wire.entries import Entry
from trivet.wire.path_text import path_text
from trivet.wire.recover_messages import RecoverReport, RecoverWhat

log = logging.getLogger(__name__)


class Keeper:
    """Everything that serves a volume: `start`, `take_over`, then `close`; `notes` say what is wrong."""

    def __init__(
        self, folder: VolumeFolder, durability: Durability | None, refresh_s: float, seat: Seat | None = None
    ) -> None:
        self.config, self.key = folder.read_config(), folder.read_key()
        self.notes: dict[str, str] = {}
        self.fleet = Fleet(folder, self)
        self.ended = asyncio.Event()
        self.is_deposed = False
        self.rolled_back = RolledBack()
        self.shell: LeaderShell | None = None
        self.loaded: Loaded | None = None
        default: Durability = "always" if self.config.durability == "always" else "default"
        self._durability: Durability = durability or default
        self._refresh_s = refresh_s
        self._seat = seat or Seat(folder)
        self.name = self._seat.name
        self._serving, self._enthroned = asyncio.Event(), asyncio.Event()
        self._blobs: BlobService | None = None
        self._stalled: StalledBlobs | None = None
        self._journal: Journal | None = None

    # -- life

    async def start(self) -> None:
        """Begin to link to the banks."""
        self.fleet.start()

    async def take_over(self) -> None:
        """Become the leader, load the volume and serve it; waits as long as the banks can't elect."""
        fleet, seat, notes = self.fleet, self._seat, self.notes
        heritage = await StandingBy(fleet, self.key, seat, notes).turn() if seat.stands_by else None
        await fleet.grow()  # whoever added a server while we had no ears told nobody
        leader, wait_s = await begin_reign(fleet, self.config.volume, self.key, seat, heritage, notes)
        self.shell = LeaderShell(leader, self.fleet, self)
        names = BlobNames(leader.reign.epoch.number)
        self._blobs = BlobService(self.fleet, names.take, self._blob_stored, self._bad_blob)
        self._stalled = StalledBlobs(self.shell, self.fleet, self._blobs)
        for server in self.fleet.servers:
            if server.is_up:
                self.shell.server_up(server)
        await self._serving.wait()
        await asyncio.sleep(wait_s)
        await self._enthroned.wait()
        await self._load(self.shell, self._blobs, names)

    async def _load(self, shell: LeaderShell, blobs: BlobService, names: BlobNames) -> None:
        reign = shell.leader.reign
        space, index = await load_volume(shell, self.key, names, self.notes)
        journal = self._journal = Journal(shell, index, self._durability)
        if ROOT_INO not in space.inodes:
            space.make_root(os.getuid(), os.getgid(), wall_ns())
        if PRIVATE_INO not in space.inodes:
            make_private(space, os.getuid(), os.getgid(), wall_ns())
        records = RecordService(journal, self.key, self._bad_row)
        volume = LocalVolume(space, commit=journal, blobs=blobs, records=records, access=self, room=self)
        await volume.start()
        history = RepairLog(self._seat.folder.keeper_path / "repairs.sqlite")
        await history.open()
        row_check = RowCheck(journal, reign, self.key, shell.leader.on_compared, partial(keys_in, space))
        blob_check = BlobCheck(blobs, reign.epoch.number)
        queue = RepairQueue(space, self.fleet, shell, row_check, blob_check, history)
        # Before anything is deleted: it holds what snapshots name.
        snapshots = Snapshots(volume, journal, reign, self.key, self.notes)
        refresher = Refresher(queue, journal, self._refresh_s)
        companion = Companion(shell, self._seat, volume, self.notes)
        mark = MarkKeeping(self._seat.mark_paths[0], self._mark)
        words = LastWords(self._seat.folder.keeper_path, reign, space)
        self.loaded = Loaded(
            journal, blobs, records, volume, queue, refresher, history, companion, mark, snapshots, words
        )
        log.info("serving epoch %s from slot %s on", reign.epoch.number, reign.barrier)

    async def close(self) -> None:
        """Store what is dirty, as far as the banks allow, and let go of everything."""
        if self.loaded is not None:
            loaded = self.loaded
            await loaded.snapshots.close()
            try:
                await loaded.volume.close()
            except (NoMajority, ReplicaError) as error:
                log.error("not everything could be stored: %s", error)
            for healing in (loaded.refresher, loaded.queue, loaded.history, loaded.companion):
                await healing.close()
            for kept in (loaded.journal, loaded.mark, loaded.words):
                await kept.close()
        if self._stalled is not None:
            await self._stalled.close()
        if self._blobs is not None:
            await self._blobs.close()
        if self.shell is not None:
            await self.shell.close()
        await self.fleet.close()

    def _mark(self) -> HighWater:
        assert self.shell is not None
        reign = self.shell.leader.reign
        slot, known = reign.marks.durable, reign.log
        return HighWater(reign.epoch, slot, known.hash_at(slot) if known.floor <= slot <= known.head else b"")

    # -- told by the fleet

    def server_up(self, server: ServerLink) -> None:
        """Pass on that a server's links stand."""
        if self.shell is not None:
            self.shell.server_up(server)
        if self.loaded is not None:
            self.loaded.refresher.came_back(server)

    def server_down(self, server: ServerLink) -> None:
        """Pass on that a server's links are gone."""
        if self.shell is not None:
            self.shell.server_down(server)

    def touched(self, server: ServerLink, path: bytes) -> None:
        """Have what somebody changed by hand compared."""
        if self.loaded is not None:
            try:
                directories = self.loaded.volume.space.directories
                self.loaded.queue.look_at(find_path(directories, path_text(path)))
            except NotFound:
                log.info("server %s was given something for the unknown %r", server.port, path)

    # -- told by the leader

    def sealed(self, entry: Entry) -> None:
        """Take the leader's own entry into the index."""
        if self._journal is not None:
            self._journal.sealed(entry)

    def acked(self, slot: int) -> None:
        """Wake who waits for the acknowledgement."""
        if self._journal is not None:
            self._journal.acked(slot)

    def durable(self, slot: int) -> None:
        """Wake who waits for two syncs."""
        if self._journal is not None:
            self._journal.durable(slot)

    def serving(self) -> None:
        """Go on to loading."""
        self.notes.pop("takeover", None)
        self._serving.set()

    def enthroned(self) -> None:
        """Go on to answering: the log says who reigns, so another may stand by under the other name."""
        self._seat.let_go_other()
        self._enthroned.set()

    def stuck(self, reason: str) -> None:
        """Tell people why nobody serves."""
        log.info("the takeover waits: %s", reason)
        self.notes["takeover"] = f"NoMajority: {reason}"
        assert self.shell is not None
        self.rolled_back.turn(self.shell.leader.election.kept)

    def deposed(self) -> None:
        """Stop at once: another keeper leads."""
        log.error("deposed: another keeper took over")
        self.is_deposed = True
        self.ended.set()

    def doubted(self, base: int, reason: str) -> None:
        """Have a bank compared, at once if it is there: if not, its return will."""
        log.warning("bank %s must be compared: %s", base, reason)
        if self.loaded is not None and all(server.is_up for server in self.fleet.bank_at(base)):
            self.loaded.refresher.refresh_now()

    def log_mended(self, base: int) -> None:
        """Write down that a damaged journal is whole again."""
        if self.loaded is not None and self.shell is not None:
            self.loaded.queue.log_mended(self.shell.acceptor(base).port)

    async def secure_blobs(self, blobs: list[tuple[int, int, int, bytes]]) -> Secured:
        """See stalled_blobs.secure_blobs."""
        assert self._blobs is not None
        return await secure_blobs(self._blobs, self.fleet.banks, blobs)

    async def copy_records(self, base: int) -> None:
        """Fill the acceptor of a bank from another's."""
        assert self.shell is not None
        target = self.shell.acceptor(base)
        for source in self.shell.acceptors_at(0):
            if source is not target:
                await copy_rows(source, target, self.key, self.shell.leader.reign.epoch)
                return
        raise ReplicaError("no other bank can be copied from yet")

    # -- asked by status

    def degradations(self) -> list[str]:
        """Return a sentence for each bank that commits do not wait for, and for each wrong clock."""
        degraded = self.shell.degraded.items() if self.shell else ()
        told = [f"bank {base} is degraded: {reason}" for base, reason in degraded]
        away = [(server.port, server.stat.trouble) for server in self.fleet.servers if server.stat]
        told += [f"server {port}: {trouble}" for port, trouble in away if trouble]
        return told + self.fleet.notes()

    def is_joining(self, server: ServerLink) -> bool:
        """Tell whether `server` should hold its bank's journal and does not yet."""
        if self.shell is None or server is not self.shell.acceptor(server.base):
            return False
        return not self.shell.leader.reign.followers[server.base].counted

    async def recover(self, what: RecoverWhat, *, apply: bool) -> RecoverReport:
        """Say what accepting a loss means; accepting it needs a keeper that is stuck in its takeover."""
        if self.shell is None or self.loaded is not None:
            return RecoverReport(needed=False, done=False)
        return await recover(self.shell, self.key, self._seat, what, apply=apply)

    def as_rolled_back(self, held: LeaderLog) -> AbstractAsyncContextManager[LocalVolume]:
        """Give the volume at the head of `held`, read-only; raises NoMajority if that can't be proved."""
        assert self.shell is not None
        assert self._blobs is not None
        return opened(held, self.shell, self._blobs, self.key, self, self)

    # -- told by reads and writes

    def _blob_stored(self, name: int, base: int) -> None:
        if self._journal is not None:
            self._journal.blob_stored(name, base)

    def _bad_blob(self, ref: BlobRef, server: ServerLink) -> None:
        if self.loaded is not None:
            self.loaded.queue.bad_blob(ref.name, server)

    def _bad_row(self, bank: int, key: bytes, why: str) -> None:
        if self.loaded is not None:
            self.loaded.queue.bad_row(self.config.bases[bank], key)

    def accessed(self, ino: int) -> None:
        """Have what somebody looks at compared."""
        if self.loaded is not None:
            self.loaded.queue.look_at(ino)

    def space(self) -> tuple[int, int]:
        """Return (total, free) bytes for one copy: what the fullest bank has."""
        rooms = []
        for bank in self.fleet.banks:
            stats = [server.stat for server in bank if server.stat is not None]
            if stats:
                free = sum(stat.free_bytes for stat in stats)
                rooms.append((free + sum(stat.size_bytes for stat in stats), free))
        return min(rooms, key=lambda room: room[1], default=(0, 0))
