"""One bank's vote and log: what it promises, appends, adopts and refuses, as a pure state machine.

Rule: a promise is stored (synced) before its reply; nothing of another epoch is carried out afterwards.
Rule: of two epochs with the same number only one is promised, so that no two reigns share a number (blob
names and inode numbers are made of it).
Rule: an append joins on to the head under the accepted epoch, or is refused with the head.
Rule: a new accepted epoch comes only with the whole adopted log, in one synced step; within one epoch a
log is never shortened.
Rule: empty, suspect and joining servers answer, but only the epoch that cures them may write to them.
"""

from collections.abc import Sequence

import msgspec

from trivet.quorum.acceptor_commands import (
    AcceptorCommand,
    AcceptorMeta,
    ApplyThrough,
    Decision,
    DropJournal,
    InstallLog,
    SkipRecords,
    StageBegin,
    StageEntries,
    StoreMeta,
    SyncJournal,
    TrimThrough,
    WipeRecords,
    WriteEntries,
)
from trivet.quorum.hash_chain import HashChain
from trivet.wire.entries import NO_EPOCH, Entry, Epoch
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    Append,
    Appended,
    Assign,
    Done,
    Identity,
    Refusal,
    Reset,
    Trim,
)


class _Staging:
    """A log on its way in: entries behind (floor, floor_hash), not counted before AdoptEnd."""

    __slots__ = ("chain", "epoch", "staged")

    def __init__(self, begin: AdoptBegin) -> None:
        self.epoch = begin.epoch
        self.chain = HashChain(begin.floor, begin.floor_hash)
        self.staged = 0


class Acceptor:
    """The state of one acceptor; every `on_...` returns the Decision for one request.

    `chain` holds the hashes of the journal as read at start, `applied` the slot its records show.
    Use `acceptor_start.start` to make one.
    """

    __slots__ = ("_staging", "applied", "chain", "durable", "heard", "installed", "meta", "synced")

    def __init__(self, meta: AcceptorMeta, chain: HashChain, applied: int) -> None:
        self.meta = meta
        self.chain = chain
        self.synced = chain.head
        self.applied = applied
        self.durable = applied
        self._staging: _Staging | None = None
        self.installed = self.heard = 0

    def identity(self) -> Identity:
        """Return what this server says of itself."""
        meta, chain = self.meta, self.chain
        return Identity(
            meta.volume, meta.port, meta.incarnation, meta.boot_id, meta.standing, meta.promised,
            meta.accepted_epoch, chain.floor, chain.floor_hash, chain.head, chain.head_hash,
            self.synced, self.applied, meta.lossy, self.heard,
        )  # fmt: skip

    def on_prepare(self, epoch: Epoch) -> Decision:
        """Promise `epoch` if its number is above all promised; a suspect or empty server promises too."""
        if self.meta.standing == "blobs":
            return self._refuse("standing", "this server is not its bank's acceptor")
        if epoch == self.meta.promised:
            return Decision((), self.identity())
        if epoch.number <= self.meta.promised.number:
            return self._refuse_promised()
        return Decision((self._store(promised=epoch),), self.identity())

    def on_append(self, message: Append, entries: Sequence[Entry]) -> Decision:
        """Append `entries` (opened, their MACs checked); none of them is a heartbeat."""
        meta, chain = self.meta, self.chain
        if message.epoch != meta.promised:
            return self._refuse_promised()
        if message.epoch != meta.accepted_epoch or meta.standing in ("empty", "blobs"):
            return self._refuse("standing", "this log was not adopted under that epoch")
        if message.previous != chain.head or message.previous_hash != chain.head_hash:
            return self._refuse("gap", "the append does not join on")
        commands: list[AcceptorCommand] = []
        self.heard += 1
        if entries:
            if not chain.follows(entries):
                return self._refuse("request", "the entries do not follow one another")
            chain.extend(entries)
            commands.append(WriteEntries(list(entries)))
        synced = self.synced
        if message.durable > self.durable:
            before = min(self.durable, self.synced)
            self.durable = message.durable
            if min(self.durable, self.synced) > before:
                commands.append(ApplyThrough(min(self.durable, self.synced)))
        if message.sync:
            synced = chain.head
            commands.append(SyncJournal(synced, self.installed))
        return Decision(tuple(commands), Appended(chain.head, chain.head_hash, synced))

    def refuse_repair(self, epoch: Epoch) -> Refusal | None:
        """Return why the keeper of `epoch` may not change rows beside the log, None if it may."""
        return (
            None if epoch == self.meta.promised else self._refusal("promised", "another epoch was promised")
        )

    def on_synced(self, done: SyncJournal) -> tuple[AcceptorCommand, ...]:
        """Note that the sync `done` is done; return what may be done now."""
        if done.installed != self.installed:
            return ()
        before = min(self.durable, self.synced)
        self.synced = max(self.synced, done.through)
        now = min(self.durable, self.synced)
        return (ApplyThrough(now),) if now > before else ()

    def on_applied(self, slot: int) -> None:
        """Note that the records show slot `slot`."""
        self.applied = max(self.applied, slot)

    def on_sync_failed(self) -> tuple[AcceptorCommand, ...]:
        """Stand as suspect from now on: after a failed sync the page cache lies; then the process ends."""
        if self.meta.standing != "voter":
            return ()
        return (self._store(standing="suspect", trusted=self.synced),)

    def on_stop(self) -> tuple[AcceptorCommand, ...]:
        """Stop cleanly, when no request is under way: sync everything, then say so."""
        return (
            SyncJournal(self.chain.head, self.installed),
            self._store(clean=self.meta.standing == "voter"),
        )

    def on_adopt_begin(self, message: AdoptBegin) -> Decision:
        """Begin to take in a whole log of `message.epoch`, which was promised."""
        if message.epoch != self.meta.promised:
            return self._refuse_promised()
        if self.meta.standing in ("empty", "blobs"):
            return self._refuse("standing", "an empty server takes a log only after Reset")
        if self.meta.standing == "joining" and self.meta.joining != message.epoch:
            return self._refuse("standing", "another epoch's state transfer was under way: Reset first")
        self._staging = _Staging(message)
        return Decision((StageBegin(),), Done())

    def on_adopt_part(self, entries: Sequence[Entry]) -> Decision:
        """Take in more `entries` of the log being installed."""
        staging = self._staging
        if staging is None or not entries or not staging.chain.follows(entries):
            self._staging = None
            return self._refuse("request", "the part does not follow the log being installed")
        staging.chain.extend(entries)
        staging.staged += len(entries)
        return Decision((StageEntries(list(entries)),), Done())

    def on_adopt_end(self, message: AdoptEnd) -> Decision:
        """Swap the staged log in, whole, under its epoch."""
        staging, self._staging = self._staging, None
        if staging is None or (staging.chain.head, staging.chain.head_hash) != (
            message.head,
            message.head_hash,
        ):
            return self._refuse("request", "the log being installed does not end there")
        if staging.epoch != self.meta.promised:
            return self._refuse_promised()
        new, own = staging.chain, self.chain
        same_epoch = staging.epoch == self.meta.accepted_epoch
        if same_epoch and new.floor <= own.head and not new.joins(own.head, own.head_hash):
            return self._refuse("request", "within one epoch a log is never shortened")
        if new.head < self.applied:
            return self._refuse("request", "the records show more than the log being installed")
        kept = new.floor if own.joins(new.floor, new.floor_hash) else -1
        return self._install(staging, kept)

    def _install(self, staging: _Staging, kept: int) -> Decision:
        new, own = staging.chain, self.chain
        commands: list[AcceptorCommand] = []
        base = own if kept >= 0 else new
        store = self._store(accepted_epoch=staging.epoch, floor=base.floor, floor_hash=base.floor_hash)
        if kept == self.synced == own.head and not staging.staged:
            commands.append(store)
        else:
            self.installed += 1
            commands.append(InstallLog(kept, self.meta))
        if kept >= 0:
            own.cut(kept)
            own.append_chain(new)
        else:
            self.chain = new
            if new.floor > self.applied:
                commands.append(SkipRecords(new.floor))
                self.applied = new.floor
        self.synced = self.chain.head
        allowed = min(self.durable, self.synced)
        if allowed > self.applied:
            commands.append(ApplyThrough(allowed))
        return Decision(tuple(commands), Appended(self.chain.head, self.chain.head_hash, self.synced))

    def on_reset(self, message: Reset, incarnation: str) -> Decision:
        """Forget everything and stand as joining, under the fresh `incarnation` the server minted."""
        if self.meta.standing == "blobs":
            return self._refuse("standing", "this server is not its bank's acceptor")
        if message.epoch != self.meta.promised:
            return self._refuse_promised()
        self._staging = None
        self.installed += 1
        self.chain = HashChain(message.applied)
        self.synced = self.applied = self.durable = message.applied
        store = self._store(
            incarnation=incarnation, standing="joining", joining=message.epoch,
            accepted_epoch=NO_EPOCH, floor=message.applied, floor_hash=self.chain.floor_hash, trusted=-1,
            lossy=False,
        )  # fmt: skip
        return Decision((store, DropJournal(-1), WipeRecords(message.applied)), self.identity())

    def on_admit(self, message: Admit) -> Decision:
        """Become a voter again, if addressed by `message.incarnation` under the epoch of the log."""
        meta = self.meta
        if message.epoch != meta.promised:
            return self._refuse_promised()
        if message.incarnation != meta.incarnation or message.epoch != meta.accepted_epoch:
            return self._refuse("standing", "another incarnation, or no log of that epoch")
        if meta.standing == "voter":
            return Decision((), self.identity())
        if meta.standing not in ("joining", "suspect"):
            return self._refuse("standing", f"a server that is {meta.standing} can't be admitted")
        return Decision((self._store(standing="voter", trusted=-1, lossy=False),), self.identity())

    def on_assign(self, message: Assign, incarnation: str) -> Decision:
        """Take the acceptor's role (as an empty one, under the fresh `incarnation`) or lay it down."""
        if message.acceptor == (self.meta.standing != "blobs"):
            return Decision((), self.identity())
        self._staging = None
        if not message.acceptor:
            return Decision((self._store(standing="blobs"),), self.identity())
        self.installed += 1
        self.chain = HashChain()
        self.synced = self.applied = self.durable = 0
        store = self._store(
            incarnation=incarnation, standing="empty", promised=NO_EPOCH, accepted_epoch=NO_EPOCH,
            floor=0, floor_hash=self.chain.floor_hash, joining=NO_EPOCH, trusted=-1, lossy=False,
        )  # fmt: skip
        return Decision((store, DropJournal(-1), WipeRecords(0)), self.identity())

    def on_trim(self, message: Trim) -> Decision:
        """Drop entries up to `message.floor`, as far as they are applied; never the last entry."""
        floor = min(message.floor, self.applied, self.chain.head - 1)
        if floor <= self.chain.floor:
            return Decision((), self.identity())
        self.chain.trim(floor)
        store = self._store(floor=floor, floor_hash=self.chain.floor_hash)
        return Decision((store, TrimThrough(floor)), self.identity())

    def _store(self, **changes: object) -> StoreMeta:
        self.meta = msgspec.structs.replace(self.meta, **changes)
        return StoreMeta(self.meta)

    def _refuse_promised(self) -> Decision:
        return self._refuse("promised", "another epoch was promised")

    def _refuse(self, reason: str, message: str) -> Decision:
        return Decision((), self._refusal(reason, message))

    def _refusal(self, reason: str, message: str) -> Refusal:
        head, head_hash = self.chain.head, self.chain.head_hash
        return Refusal(reason, message, self.meta.promised, head, head_hash)  # type: ignore[arg-type]
