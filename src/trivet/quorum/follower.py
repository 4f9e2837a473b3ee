"""What a leader knows of one bank's acceptor, and what it sends there next.

Rule: replies to what was sent on an earlier link are not for this follower.
Rule: only appends renew the lease, so only they put a heartbeat off.
Rule: a bank that lags is served from the leader's log, one part at a time, and holds nobody else up.
"""

from collections import deque
from typing import Literal

from trivet.quorum.leader_commands import Send
from trivet.quorum.leader_log import LeaderLog
from trivet.wire.entries import Epoch
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Append,
    BankMessage,
    Identity,
)

PART_BYTES = 1 << 20
BACKLOG_BYTES = 32 << 20
BACKLOG_S = 0.1
RETRY_S = 1.0
State = Literal[
    "away", "preparing", "prepared", "resetting", "transferring", "adopting", "admitting", "live", "parked"
]


class Follower:
    """One bank as its leader sees it; `counted` once it is a voter with this epoch's log.

    `part_bytes` is how much of a log travels at once.
    """

    __slots__ = (
        "_inflight", "_inflight_bytes", "_unmade", "admit_after", "admitted", "applied", "bank", "behind",
        "compared", "counted", "degraded", "doubted", "excluded", "head", "identity", "is_whole",
        "last_appended_at", "link", "moving_to", "part_bytes", "retry_at", "sent", "staged", "state",
        "stored_meanwhile", "sync_sent", "synced", "syncing_blobs", "want_sync", "was_incarnation",
        "was_synced",
    )  # fmt: skip

    def __init__(self, bank: int) -> None:
        self.bank = bank
        self.part_bytes = PART_BYTES
        self.link = 0
        self.was_synced = 0
        self.was_incarnation = ""
        self.excluded = self.doubted = False
        self.degraded = False
        self.behind = False
        self.moving_to = 0
        self.admitted: set[str] = set()
        self._unmade: set[str] = set()
        self.compared = False
        self.applied = 0
        self.last_appended_at = float("-inf")
        self.retry_at = float("inf")
        self.stored_meanwhile: set[int] = set()
        self._inflight: deque[tuple[int, float, int]] = deque()
        self.reset("away")

    def reset(self, state: State) -> None:
        """Begin anew on a new link, in `state`."""
        self.link += 1
        self.state: State = state
        self.identity: Identity | None = None
        self.counted = self.is_whole = False
        self.head = self.synced = self.sent = self.staged = 0
        self.want_sync = self.sync_sent = 0
        self.syncing_blobs = False
        self.stored_meanwhile.clear()
        self.admit_after = 0
        self.forget_inflight()

    def heard(self, identity: Identity) -> None:
        """Take in what a server says of itself that promised this epoch."""
        self.identity = identity
        if identity.standing == "joining":
            self._unmade.add(identity.incarnation)

    def never_voted(self, incarnation: str) -> bool:
        """Tell whether `incarnation` surely was no voter ever, and can't become one unless we admit it."""
        return incarnation in self._unmade and incarnation not in self.admitted

    def admit(self, epoch: Epoch, now: float) -> Send:
        """Admit the server as the incarnation it told: from now on it may be a voter."""
        assert self.identity is not None
        self.admitted.add(self.identity.incarnation)
        return self.send(Admit(self.identity.incarnation, epoch), now)

    def note_compared(self, *, whole: bool) -> None:
        """Take in that its records add up; `whole` unless it lacks some that a bank that is away may have."""
        self.compared, self.is_whole = True, whole

    @property
    def is_being_filled(self) -> bool:
        """It answers, and holds nothing that counts."""
        return self.identity is not None and self.identity.standing in ("empty", "joining")

    def forget_inflight(self) -> None:
        """Forget what was sent and not answered."""
        self._inflight.clear()
        self._inflight_bytes = 0

    def send(self, message: BankMessage, now: float, body: bytes = b"") -> Send:
        """Return the command that sends `message`."""
        return Send(self.bank, self.link, message, body, now)

    def is_overdue(self, now: float) -> bool:
        """Tell whether the bank's backlog is over the limits, so that nobody should wait for it."""
        return self._inflight_bytes > BACKLOG_BYTES or self.is_late(now, BACKLOG_S)

    def is_late(self, now: float, limit_s: float) -> bool:
        """Tell whether what was sent `limit_s` ago is still unanswered."""
        return bool(self._inflight) and now - self._inflight[0][1] > limit_s

    def sent_entry(self, slot: int, size_bytes: int, now: float, *, sync: bool) -> None:
        """Note that the entries up to `slot` were sent, asking for a `sync` or not."""
        self.sent = slot
        if sync:
            self.sync_sent = slot
        self.last_appended_at = now
        self._inflight.append((slot, now, size_bytes))
        self._inflight_bytes += size_bytes

    def answered(self, head: int, synced: int) -> None:
        """Note what the bank says it holds."""
        if head > self.head:
            self.head = head
            inflight = self._inflight
            while inflight and inflight[0][0] <= head:
                self._inflight_bytes -= inflight.popleft()[2]
        if synced > self.synced:
            self.synced = self.was_synced = synced

    @property
    def is_idle(self) -> bool:
        """Nothing sent is unanswered."""
        return not self._inflight

    def adopt(self, log: LeaderLog, epoch: Epoch, now: float) -> Send:
        """Begin to install the leader's whole log, keeping what the bank already has of it."""
        identity = self.identity
        assert identity is not None
        self.state = "adopting"
        trusted = identity.standing != "joining" and not self.excluded
        fits = trusted and log.joins(identity.head, identity.head_hash)
        self.staged = identity.head if fits else log.floor
        self.behind = not fits and identity.applied < log.floor
        return self.send(AdoptBegin(epoch, self.staged, log.hash_at(self.staged)), now)

    def adopt_more(self, log: LeaderLog, epoch: Epoch, now: float) -> Send:
        """Return the next part of the log being installed, or its end."""
        if self.staged < log.floor:
            return self.adopt(log, epoch, now)
        if self.staged < log.head:
            body, self.staged = log.part(self.staged, self.part_bytes)
            return self.send(AdoptPart(), now, body)
        return self.send(AdoptEnd(log.head, log.head_hash), now)

    def wants_sync(self) -> bool:
        """Tell whether the next append should ask for a sync: wanted, and the blobs are synced."""
        return self.want_sync > self.sync_sent and not self.syncing_blobs

    def pump(self, log: LeaderLog, epoch: Epoch, durable: int, now: float) -> list[Send]:
        """Return the appends a live bank should get now: everything, or one part if it is degraded."""
        sends: list[Send] = []
        while self.sent < log.head and not (self.degraded and self._inflight):
            if self._inflight_bytes > BACKLOG_BYTES:
                break
            previous, previous_hash = self.sent, log.hash_at(self.sent)
            body, last = log.part(previous, self.part_bytes)
            sync = self.wants_sync()
            sends.append(self.send(Append(epoch, previous, previous_hash, durable, sync), now, body))
            self.sent_entry(last, len(body), now, sync=sync)
        if self.wants_sync() and self.sent >= self.want_sync:
            sends.append(self.heartbeat(log, epoch, durable, now, sync=True))
        return sends

    def heartbeat(
        self, log: LeaderLog, epoch: Epoch, durable: int, now: float, *, sync: bool = False
    ) -> Send:
        """Return an append without entries."""
        self.last_appended_at = now
        if sync:
            self.sync_sent = self.sent
        return self.send(Append(epoch, self.sent, log.hash_at(self.sent), durable, sync), now)
