"""The keeper's side of the commit protocol: takeover, then entry by entry who holds what.

The keeper translates: it calls `on_connected`, `on_lost`, `on_reply`, `on_tick`, `append`, `sync` and the
`on_...` of blobs and transfers, and carries out the commands each returns, in order.
Rule: a refusal that names a higher promise deposes; nothing is sent or told after that.
Rule: no clock and no I/O; `now` is a clock that never jumps and counts suspended time, in seconds.
"""

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from trivet.quorum import upkeep
from trivet.quorum.election import Election, Lacking
from trivet.quorum.follower import Follower
from trivet.quorum.leader_commands import CaughtUp, CheckBlobs, Deposed, LeaderCommand, Send
from trivet.quorum.lease import HEARTBEAT_S
from trivet.quorum.membership import KEEPER, Config
from trivet.quorum.reign import Reign
from trivet.quorum.rejoin import Rejoin
from trivet.quorum.succession import Silence, Succession
from trivet.wire.entries import Entry, EntryBody, Epoch, RecordOp
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Append,
    Appended,
    BankMessage,
    Identity,
    LogPart,
    Prepare,
    ReadLog,
    Refusal,
    Reset,
    Trim,
)


class Leader:
    """One reign of `volume` over `banks`: `epoch` is new at every keeper start.

    `high_water` is the last slot any keeper here knew to be durable (0: none), `fresh` that none ever
    served; the two `accept_...` are what `trivet recover` allows; `name`, `silent`: see Succession.
    """

    def __init__(
        self, volume: str, volume_key: bytes, banks: Sequence[int], epoch: Epoch, now: float, *,
        high_water: int = 0, fresh: bool = False, accept_rollback: bool = False, accept_cut: bool = False,
        name: str = KEEPER, silent: Silence = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.reign = Reign(volume, volume_key, banks, epoch)
        self.election = Election(
            volume_key, epoch, self.reign.followers, now, high_water=high_water, fresh=fresh,
            accept_rollback=accept_rollback, accept_cut=accept_cut,
        )  # fmt: skip
        self.succession = Succession(self.reign, name, silent)
        self._rejoin = Rejoin(self.reign)

    @property
    def is_serving(self) -> bool:
        """Tell whether `append` may be called."""
        return self.reign.phase == "serve"

    # links

    def on_connected(self, bank: int, now: float) -> list[LeaderCommand]:
        """Begin with a connection to the acceptor of `bank`; what was sent on earlier ones is void."""
        if self.reign.phase == "deposed":
            return []
        return self._rejoin.prepare(self.reign.followers[bank], now)

    def on_lost(self, bank: int, now: float) -> list[LeaderCommand]:
        """Count the acceptor of `bank` for nothing: its connection is gone or it does not answer."""
        if self.reign.phase == "deposed":
            return []
        self.reign.forget(self.reign.followers[bank], "away")
        self.succession.forget(bank)
        return self._elect(self.election.disqualify(bank, now), now)

    def on_reply(self, sent: Send, reply: BankMessage, now: float, body: bytes = b"") -> list[LeaderCommand]:
        """Take in the `reply` (and its `body`) to a Send."""
        reign = self.reign
        follower = reign.followers[sent.bank]
        if sent.link != follower.link or reign.phase == "deposed":
            return []
        if isinstance(reply, Appended) and isinstance(sent.message, Append):
            return self._on_appended(follower, reply, sent.at, now)
        if isinstance(reply, Refusal):
            return self._on_refused(follower, sent.message, reply, now)
        return self._on_other(follower, sent.message, reply, body, now)

    def _on_appended(
        self, follower: Follower, reply: Appended, sent_at: float, now: float
    ) -> list[LeaderCommand]:
        reign = self.reign
        follower.answered(reply.head, reply.synced)
        commands: list[LeaderCommand] = []
        if follower.counted:
            reign.lease.answered(follower.bank, sent_at)
            reign.marks.holds(follower.bank, follower.head, follower.synced)
            commands = reign.progress(now)
        if follower.degraded and follower.is_idle and follower.sent == reign.log.head:
            follower.degraded = False
            commands.append(CaughtUp(follower.bank))
        if follower.sent < reign.log.head or follower.wants_sync():
            commands += reign.catch_up(follower, now)
        return commands

    def _on_other(
        self, follower: Follower, asked: BankMessage, reply: BankMessage, body: bytes, now: float
    ) -> list[LeaderCommand]:
        rejoin = self._rejoin
        match asked, reply:
            case Prepare(), Identity():
                commands = rejoin.on_promised(follower, reply, now)
                return commands + self._elect(self.election.consider(now), now)
            case ReadLog(), LogPart():
                return self._elect(self.election.on_log_part(follower.bank, body, now), now)
            case ((AdoptBegin() | AdoptPart()), _):
                return rejoin.on_adopt_reply(follower, now)
            case AdoptEnd(), Appended():
                return rejoin.on_adopted(follower, reply, now)
            case Trim(), Identity():
                follower.applied = reply.applied
                return []
            case Reset(), Identity():
                return rejoin.on_reset(follower, reply, now)
            case Admit(), Identity():
                return rejoin.on_admitted(follower, reply, now) + self._formed(now)
        return []

    def _on_refused(
        self, follower: Follower, asked: BankMessage, refusal: Refusal, now: float
    ) -> list[LeaderCommand]:
        if refusal.reason == "promised" and refusal.promised.number >= self.reign.epoch.number:
            self.reign.phase = "deposed"
            return [Deposed(refusal.promised)]
        if isinstance(asked, ReadLog):
            return self._elect(self.election.disqualify(follower.bank, now), now)
        if isinstance(asked, Prepare) and refusal.reason == "standing":
            return self._rejoin.leave(follower, now)
        if refusal.reason == "promised" or (
            isinstance(asked, Append) and refusal.reason in ("gap", "standing")
        ):
            return self._rejoin.prepare(follower, now)
        return self._rejoin.park(follower, refusal.message, now)

    # takeover

    def _elect(self, commands: list[LeaderCommand], now: float) -> list[LeaderCommand]:
        """Go on from what the election came to."""
        if self.reign.phase != "elect" or self._rejoin.forming:
            return commands
        followers = self.reign.followers.values()
        if self.election.phase == "form":
            self._rejoin.forming = True
            for follower in followers:
                commands += self._rejoin.form(follower, now)
        elif self.election.phase == "done":
            self.reign.alone = self.election.alone
            commands += self.reign.install(
                self.election.log, self.election.mark, now, self.election.lacking,
                given_up=self.election.given_up)  # fmt: skip
            self.succession.begin(now)
            for follower in followers:
                if follower.state == "prepared":
                    commands += self._rejoin.enrol(follower, now)
        return commands

    def _formed(self, now: float) -> list[LeaderCommand]:
        """Once all banks of a new volume are voters, begin its log."""
        followers = self.reign.followers.values()
        if not self._rejoin.forming or not all(follower.counted for follower in followers):
            return []
        self._rejoin.forming = False
        commands = self.reign.install(self.reign.log, 0, now)
        self.succession.begin(now)
        for follower in followers:
            commands += self.reign.count(follower, now)
        return commands

    def accept(self, *, rollback: bool, cut: bool, now: float) -> list[LeaderCommand]:
        """Go on with a takeover that is stuck, giving up what may be missing (`trivet recover`)."""
        return self._elect(self.election.accept(rollback=rollback, cut=cut, now=now), now)

    def on_blobs_checked(
        self, asked: CheckBlobs, lost_at: int, now: float, *, all_asked: bool, lacking: Lacking
    ) -> list[LeaderCommand]:
        """Take in the answer to a CheckBlobs; see there."""
        on_checked = self.election.on_blobs_checked
        return self._elect(on_checked(asked, lost_at, now, all_asked=all_asked, lacking=lacking), now)

    # entries

    def append(
        self, ops: list[RecordOp], now: float, *, freed: Sequence[int] = (),
        new_blobs: Sequence[tuple[int, int, bytes]] = (),
        missing: Iterable[int] = (), sync: bool = False,
    ) -> tuple[Entry, list[LeaderCommand]]:  # fmt: skip
        """Author the next entry and send it; the banks in `missing` do not hold its `new_blobs` yet.

        With `sync` the banks sync it at once. CONFIG goes through `change_config`, sums through `anchor`.
        """
        reign = self.reign
        assert reign.phase == "serve"
        entry = reign.seal(EntryBody(reign.marks.durable, ops, list(freed), list(new_blobs)))
        if new_blobs:
            reign.marks.new_blobs(entry.slot, missing)
        return entry, reign.spread(entry, now, sync=sync)

    def sync(self, now: float, *, hurry: bool = False) -> list[LeaderCommand]:
        """Have every bank sync what there is; Durable follows. To be called every 50 ms.

        In a `hurry` (somebody waits) only as many banks as it takes need do it.
        """
        return self.reign.sync(now, hurry=hurry) if self.reign.phase in ("install", "serve") else []

    def may_move(self, bank: int, now: float) -> bool:
        """Tell whether the acceptor's role of `bank` may be given to another of its servers."""
        return upkeep.may_move(self.reign, bank, now)

    def move(self, bank: int, port: int) -> None:
        """Have the server at `port` take the seat of `bank`, which it may: Assign, then `on_connected`."""
        self.reign.followers[bank].moving_to = port

    def change_config(self, config: Config, now: float) -> list[LeaderCommand]:
        """Author a CONFIG entry (Sealed tells it) and have it synced."""
        assert self.reign.phase == "serve"
        return self.reign.change_config(config, now)

    @property
    def next_slot(self) -> int:
        """The slot that the next entry gets."""
        return self.reign.log.head + 1

    def anchor(self, sums: bytes, now: float) -> tuple[Entry, list[LeaderCommand]]:
        """Author an entry with the digests `sums` of all records after it, and CONFIG again; have it synced.

        The keeper moves CONFIG_KEY to `next_slot` in its index before it takes the sums.
        """
        return upkeep.anchor(self.reign, sums, now)

    def trim(self, now: float) -> list[LeaderCommand]:
        """Drop what two compared banks have applied, here and there, and ask all how far they have got.

        It stops before the newest anchor: when it gets nowhere, author one.
        """
        return upkeep.trim(self.reign, now) if self.reign.phase == "serve" else []

    def on_compared(self, bank: int, *, whole: bool = True) -> None:
        """Take in that the records of `bank` added up to the sums at a slot of this reign."""
        self.reign.followers[bank].note_compared(whole=whole)

    # blobs and transfers

    def on_blobs_synced(self, bank: int, through: int, now: float) -> list[LeaderCommand]:
        """Take in that SyncBlobs(`bank`, `through`) was done; the journal's sync follows."""
        return self.reign.blobs_synced(bank, through, now)

    def on_blobs_stored(self, bank: int, slot: int, now: float) -> list[LeaderCommand]:
        """Take in that `bank` holds the blobs of the entry at `slot` now, which it had missed."""
        return self.reign.blobs_stored(bank, slot, now)

    def on_blobs_lost(self, bank: int) -> list[int]:
        """Take in that a server of `bank` may have lost blobs, or failed to sync; return `missing_blobs`."""
        self.reign.blobs_lost(bank)
        return self.missing_blobs(bank)

    def missing_blobs(self, bank: int) -> list[int]:
        """Return the slots, not durable yet, whose blobs `bank` must be given (then `on_blobs_stored`)."""
        return self.reign.marks.holes(bank)

    def on_transferred(self, bank: int, now: float) -> list[LeaderCommand]:
        """Take in that Transfer(`bank`) was done."""
        return self._rejoin.on_transferred(self.reign.followers[bank], now)

    # time

    def on_tick(self, now: float) -> list[LeaderCommand]:
        """Let time pass; to be called every 20 to 50 ms."""
        reign = self.reign
        if reign.phase == "deposed":
            return []
        commands = self._elect(self.election.consider(now), now) + self._rejoin.turn_back(now)
        for follower in reign.followers.values():
            if follower.state == "parked" and now >= follower.retry_at:
                commands += self._rejoin.prepare(follower, now)
            if follower.state == "prepared" and reign.may_refill:
                commands += self._rejoin.enrol(follower, now)
            if follower.state != "live":
                continue
            if not follower.degraded and follower.is_overdue(now):
                commands.append(reign.degrade(follower, "it does not keep up"))
            if follower.counted and not follower.degraded and follower.sent < reign.log.head:
                commands += reign.catch_up(follower, now)
            if now - follower.last_appended_at >= HEARTBEAT_S:
                commands += reign.heartbeat(follower, now)
        return commands + self.succession.step(now)
