"""What a leader's parts share: the log it leads, who follows it, and the marks that follow from it.

Rule: a bank counts once it is a voter and holds the log under this epoch.
Rule: a reign serves once its barrier is durable.
Rule: while all banks keep up, one that the majority does not need rests: it gets entries in parcels, some
milliseconds late, which saves a third of the work; as soon as another is late or away it gets them at once.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from trivet.quorum.follower import Follower
from trivet.quorum.leader_commands import (
    Acked,
    Compare,
    Degraded,
    Durable,
    LeaderCommand,
    Sealed,
    Serving,
    SyncBlobs,
)
from trivet.quorum.leader_log import LeaderLog
from trivet.quorum.lease import Lease
from trivet.quorum.marks import Marks
from trivet.quorum.membership import CONFIG_KEY, BankSeat, Config, encode_config
from trivet.quorum.seat_moves import elected_seat, seat_for
from trivet.wire.entries import Entry, EntryBody, Epoch, RecordOp, seal_entry
from trivet.wire.journal_messages import Append, Identity, Prepare

PARCEL_S = 0.02
PARCEL_ENTRIES = 128
LATE_S = 0.01
NOTHING: Mapping[int, Collection[int]] = MappingProxyType({})


class Reign:
    """The shared state of one keeper's reign under `epoch`."""

    __slots__ = (
        "_told_acked", "_told_durable", "_volume_key", "alone", "barrier", "epoch", "followers", "lease",
        "log", "marks", "phase", "volume",
    )  # fmt: skip

    def __init__(self, volume: str, volume_key: bytes, banks: Sequence[int], epoch: Epoch) -> None:
        self.volume = volume
        self.epoch = epoch
        self.phase: Literal["elect", "install", "serve", "deposed"] = "elect"
        self.followers = {bank: Follower(bank) for bank in banks}
        self.log = LeaderLog()
        self.marks = Marks(banks, 0)
        self.lease = Lease(banks)
        self.barrier = 0
        self.alone = False
        self._volume_key = volume_key
        self._told_acked = self._told_durable = 0

    @property
    def may_refill(self) -> bool:
        """Whether banks that hold nothing may be filled.

        Before the reign serves only when a person let one bank begin `alone`, and from that bank.
        """
        counts = any(follower.counted for follower in self.followers.values())
        return self.phase == "serve" or (self.phase == "install" and self.alone and counts)

    def seal(self, body: EntryBody) -> Entry:
        """Author the next entry and add it to the log."""
        log = self.log
        entry = seal_entry(self._volume_key, log.head + 1, self.epoch, log.head_hash, body)
        log.add(entry)
        return entry

    def seal_config(self, config: Config, sums: bytes = b"") -> Entry:
        """Author an entry that records `config`; with `sums` it is an anchor."""
        log = self.log
        op = RecordOp(CONFIG_KEY, log.config_slot, encode_config(config))
        entry = self.seal(EntryBody(self.marks.durable, [op], [], [], sums))
        log.config, log.config_slot = config, entry.slot
        if sums:
            log.anchor_slot = entry.slot
        return entry

    def spread(self, entry: Entry, now: float, *, sync: bool = False) -> list[LeaderCommand]:
        """Send the entry just sealed to every live bank that is not behind."""
        commands: list[LeaderCommand] = []
        slot, size = entry.slot, len(entry.raw)
        plain = synced = None
        resting = self._resting(now)
        for follower in self.followers.values():
            if follower.state != "live" or follower.degraded or follower is resting:
                continue
            if follower.sent != slot - 1:
                if follower.counted:
                    commands += self.pump(follower, now)
                continue
            if sync and slot > follower.want_sync:
                self._want_sync(follower, commands)
            flag = follower.wants_sync()
            message = synced if flag else plain
            if message is None:
                message = Append(self.epoch, slot - 1, entry.previous_hash, self.marks.durable, flag)
                if flag:
                    synced = message
                else:
                    plain = message
            commands.append(follower.send(message, now, entry.raw))
            follower.sent_entry(slot, size, now, sync=flag)
            if follower.is_overdue(now):
                commands.append(self.degrade(follower, "its backlog is too long"))
        return commands

    def _resting(self, now: float) -> Follower | None:
        """Return the bank that need not get the newest entries now: the last, while all of them keep up."""
        *others, last = self.followers.values()
        if not others:
            return None
        if not last.counted or last.degraded or now - last.last_appended_at >= PARCEL_S:
            return None
        for other in others:
            if not other.counted or other.degraded or other.is_late(now, LATE_S):
                return None
        return last if self.log.head - last.sent <= PARCEL_ENTRIES else None

    def _want_sync(self, follower: Follower, commands: list[LeaderCommand]) -> None:
        follower.want_sync = self.log.head
        commands += self.sync_blobs(follower)

    def sync_blobs(self, follower: Follower) -> list[LeaderCommand]:
        """Have a bank sync the blobs it has not synced, unless it is about that."""
        if follower.syncing_blobs or not self.marks.dirty_through(follower.bank):
            return []
        follower.syncing_blobs = True
        return [SyncBlobs(follower.bank, self.log.head)]

    def blobs_synced(self, bank: int, through: int, now: float) -> list[LeaderCommand]:
        """Count blobs that a sync has covered; those that came meanwhile wait for another."""
        follower = self.followers[bank]
        self.marks.blobs_synced(bank, through, follower.stored_meanwhile)
        follower.syncing_blobs = False
        commands = self.sync_blobs(follower) if follower.stored_meanwhile else []
        follower.stored_meanwhile.clear()
        if follower.state == "live":
            commands += self.pump(follower, now)
        return commands + self.progress(now)

    def blobs_stored(self, bank: int, slot: int, now: float) -> list[LeaderCommand]:
        """Count blobs that a bank has got late, and have them synced where nobody else asks for that."""
        follower = self.followers[bank]
        self.marks.blobs_stored(bank, slot)
        if follower.syncing_blobs:
            follower.stored_meanwhile.add(slot)
        commands = self.sync_blobs(follower) if self.phase == "install" else []
        return commands + self.progress(now)

    def blobs_lost(self, bank: int) -> None:
        """Count no blob of a bank whose server may have lost some."""
        self.followers[bank].syncing_blobs = False
        self.followers[bank].stored_meanwhile.clear()
        self.marks.blobs_lost(bank)

    def sync(self, now: float, *, hurry: bool = False) -> list[LeaderCommand]:
        """Have every live bank sync all there is: blobs first, then the journal.

        In a `hurry` the bank that rests is left to the next time: two that sync are enough.
        """
        commands: list[LeaderCommand] = []
        head = self.log.head
        resting = self._resting(now) if hurry else None
        for follower in self.followers.values():
            if follower is resting:
                continue
            dirty = self.marks.dirty_through(follower.bank) and not follower.syncing_blobs
            if follower.state == "live" and (follower.want_sync < head or dirty):
                self._want_sync(follower, commands)
                if follower.wants_sync() and not follower.degraded:
                    commands += self.pump(follower, now)
        return commands

    def pump(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Send a live bank what it lacks; one that the floor has overtaken begins anew."""
        if follower.sent < self.log.floor:
            self.forget(follower, "preparing")
            return [follower.send(Prepare(self.epoch), now)]
        return [*follower.pump(self.log, self.epoch, self.marks.durable, now)]

    def catch_up(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Send a live bank what it lacks unless it rests."""
        if follower is self._resting(now) and not follower.wants_sync():
            return []
        return self.pump(follower, now)

    def heartbeat(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Send a live bank an append without entries."""
        if follower.sent < self.log.floor:
            return self.pump(follower, now)
        return [follower.heartbeat(self.log, self.epoch, self.marks.durable, now)]

    def degrade(self, follower: Follower, reason: str) -> LeaderCommand:
        """Stop waiting for a bank; it is served one part at a time until it has caught up."""
        follower.degraded = True
        return Degraded(follower.bank, reason)

    def count(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Let a bank that is a voter with this epoch's log count from now on."""
        assert follower.identity is not None
        follower.counted = True
        follower.was_incarnation = follower.identity.incarnation
        self.marks.holds(follower.bank, follower.head, follower.synced)
        commands: list[LeaderCommand] = []
        self._want_sync(follower, commands)
        if follower.behind:
            follower.compared = False
            commands.append(Compare(follower.bank, "it was behind the floor"))
        commands += self.pump(follower, now)
        return commands + self.progress(now)

    def progress(self, now: float) -> list[LeaderCommand]:
        """Tell how far the marks have moved, and what that allows."""
        commands: list[LeaderCommand] = []
        marks = self.marks
        marks.advance()
        if self.phase == "install" and marks.durable >= self.barrier:
            self.phase = "serve"
            commands.append(Serving(self.barrier))
        if self.phase != "serve":
            return commands + (self.admissions(now) if self.may_refill else [])
        if marks.acked > self._told_acked:
            self._told_acked = marks.acked
            commands.append(Acked(marks.acked))
        if marks.durable > self._told_durable:
            self._told_durable = marks.durable
            commands.append(Durable(marks.durable))
        return commands + self.admissions(now)

    def admissions(self, now: float) -> list[LeaderCommand]:
        """Admit servers whose CONFIG all other banks have synced (a bank alone: all that count)."""
        commands: list[LeaderCommand] = []
        begins_alone = self.phase == "install" and self.alone
        for follower in self.followers.values():
            slot = follower.admit_after
            if not slot:
                continue
            others = [other for other in self.followers.values() if other is not follower]
            if begins_alone:
                others = [other for other in others if other.counted]
            if others and all(other.counted and other.synced >= slot for other in others):
                follower.admit_after = 0
                commands.append(follower.admit(self.epoch, now))
        return commands

    def change_config(self, config: Config, now: float) -> list[LeaderCommand]:
        """Author, tell and spread an entry with `config`, and have it synced."""
        entry = self.seal_config(config)
        return [Sealed(entry), *self.spread(entry, now), *self.sync(now)]

    def reseat(self, bank: int, identity: Identity, now: float) -> list[LeaderCommand]:
        """Give the seat of `bank` to the server that calls itself `identity`, in a new CONFIG."""
        assert self.log.config is not None
        seat = seat_for(self.followers[bank], self.log.config.seats.get(bank), identity)
        return self.change_config(self.log.config.with_seat(bank, seat), now)

    def install(
        self, log: LeaderLog, mark: int, now: float, lacking: Mapping[int, Collection[int]] = NOTHING, *,
        given_up: bool = False,
    ) -> list[LeaderCommand]:  # fmt: skip
        """Take `log` as this reign's, its slots up to `mark` durable before, and seal the barrier.

        `lacking` says of every slot above that names blobs which banks may not have them all.
        With `given_up` slots were durable that it lacks: a bank that has no part in this may show them, so it
        loses its seat and is made anew when it comes.
        """
        self.log = log
        self.marks = Marks(self.followers, min(mark, log.head))
        self._told_acked = self._told_durable = self.marks.durable
        for slot in sorted(lacking):
            self.marks.new_blobs(slot, lacking[slot])
        seats = dict(log.config.seats) if log.config else {}
        for bank, follower in self.followers.items():
            identity = follower.identity
            if identity and not follower.excluded and identity.standing in ("voter", "suspect"):
                seats[bank] = elected_seat(follower, seats.get(bank), identity)
            elif given_up and bank in seats:
                seats[bank] = BankSeat(seats[bank].port, "")
        config = log.config or Config({})
        entry = self.seal_config(msgspec.structs.replace(config, seats=seats))
        self.barrier = entry.slot
        self.marks.unsynced_blobs(entry.slot)
        self.phase = "install"
        return [Sealed(entry)]

    def forget(self, follower: Follower, state: Literal["away", "preparing", "parked"]) -> None:
        """Count a bank for nothing until it says again what it holds."""
        follower.reset(state)
        self.marks.lost(follower.bank)
