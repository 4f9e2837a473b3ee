"""The first half of a takeover: from promises to the log that the new leader installs.

Rule: the log is taken whole from the voter with the highest (accepted_epoch, length), read and verified.
Rule: a promise of an incarnation that the CONFIG in that log does not name is no vote (but see seat_moves).
Rule: one bank is enough only when all banks answered and a person accepted that (`trivet recover`).
Rule: a volume is formed only when all banks are empty and no keeper has ever served it.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from trivet.errors import CorruptReplica, NoMajority
from trivet.quorum.follower import RETRY_S, Follower
from trivet.quorum.leader_commands import CheckBlobs, LeaderCommand, Stuck
from trivet.quorum.leader_log import LeaderLog
from trivet.quorum.seat_moves import ElectionSeats
from trivet.quorum.takeover import refuse_other_history, refuse_rollback, takeover
from trivet.wire.entries import Epoch, open_entry, split_entries
from trivet.wire.journal_messages import Identity, Prepare, ReadLog

READ_BYTES = 4 << 20
SETTLE_S = 0.3
SUSPECTS_ELECT_S = 10.0
Lacking = Iterable[tuple[int, int]]


class Election:
    """Chooses and reads the log; `phase` is "done" when `log` may be installed, "form" for a new volume.

    `high_water` is the last slot this keeper's predecessor knew to be durable (0: none), `fresh` that no
    keeper ever served this volume; `known` is a durable (slot, hash), b"" for one that nobody knows.
    """

    def __init__(
        self, volume_key: bytes, epoch: Epoch, followers: Mapping[int, Follower], now: float, *,
        high_water: int, fresh: bool, accept_rollback: bool, accept_cut: bool,
    ) -> None:  # fmt: skip
        self.phase: Literal["prepare", "read", "check", "form", "done"] = "prepare"
        self.log = LeaderLog()
        self.by_suspects = self.alone = self.given_up = False
        self.mark, self.known = high_water, (0, b"")
        self.votes = 0
        self.lacking: dict[int, set[int]] = {}
        self._volume_key = volume_key
        self._epoch = epoch
        self._followers = followers
        self._seats = ElectionSeats(followers)
        self._fresh = fresh
        self._accept_rollback = accept_rollback
        self._accept_cut = accept_cut
        self._deadline = now + SUSPECTS_ELECT_S
        self._settled_at = float("inf")
        self._again_at = now
        self._winner, self._asked = 0, CheckBlobs([])
        self._told = ""
        self._rolled_back: list[tuple[int, str, int]] | None = None

    def consider(self, now: float) -> list[LeaderCommand]:
        """Elect, if the promises at hand allow it; called whenever one came in and as time goes by."""
        if self.phase != "prepare":
            return []
        if now < self._again_at or (self._rolled_back is not None and self._rolled_back == self._heads()):
            return []
        self._rolled_back = None
        everybody = {b: f.identity for b, f in self._followers.items() if f.identity is not None}
        if self._fresh and self._is_new(everybody):
            self.phase, self.votes = "form", len(everybody)
            return []
        replies = self._replies()
        all_answered = len(replies) == len(self._followers)
        self.by_suspects = self.alone = False
        try:
            self._winner = self._choose(replies, everybody, suspects=all_answered or now >= self._deadline)
        except NoMajority as reason:
            return self._seats.ask_former(now) + self._stuck(str(reason))
        if not all_answered and not self.alone:
            self._settled_at = min(self._settled_at, now + SETTLE_S)
            if now < self._settled_at:
                return []
        return self._begin_read(now)

    def _choose(
        self, replies: Mapping[int, Identity], everybody: Mapping[int, Identity], *, suspects: bool
    ) -> int:
        """Return the bank whose log to install: voters decide, then suspects, then one bank if accepted."""
        count = len(self._followers)
        try:
            return takeover(replies, count)
        except NoMajority:
            if not suspects:
                raise
        self.by_suspects = True
        try:
            return takeover(replies, count, suspects_elect=True)
        except NoMajority:
            if len(everybody) < count:
                raise
        last = takeover(replies, count, alone=True)
        if not self._accept_rollback:
            raise NoMajority(
                f"only bank {last} still holds a log it can vouch for; bring copies of the others back, or "
                f"make them anew from bank {last} alone with `trivet recover --accept-rollback`"
            )
        self.alone = True
        return last

    def _replies(self) -> dict[int, Identity]:
        """Return what those banks said that are not disqualified."""
        return {b: f.identity for b, f in self._followers.items() if f.identity and not f.excluded}

    @property
    def kept(self) -> LeaderLog | None:
        """The whole log that a rollback leaves while a person has to decide about it, else None."""
        return self.log if self._rolled_back is not None else None

    def candidate(self) -> int | None:
        """Return the bank whose log would be installed if a person accepted that now, None if none can."""
        try:
            return takeover(self._replies(), len(self._followers), alone=True)
        except NoMajority:
            return None

    def accept(self, *, rollback: bool, cut: bool, now: float) -> list[LeaderCommand]:
        """Give up what may be missing, as a person asked with `trivet recover`, and elect again."""
        self._accept_rollback = self._accept_rollback or rollback
        self._accept_cut = self._accept_cut or cut
        self._rolled_back, self._again_at = None, now
        return self.consider(now)

    def _is_new(self, everybody: Mapping[int, Identity]) -> bool:
        voters = sum(identity.standing == "voter" for identity in everybody.values())
        blank = all(i.head == 0 and i.standing in ("empty", "joining", "voter") for i in everybody.values())
        return blank and len(everybody) == len(self._followers) and voters <= len(everybody) // 2

    def _stuck(self, reason: str) -> list[LeaderCommand]:
        if reason == self._told:
            return []
        self._told = reason
        return [Stuck(reason)]

    def _begin_read(self, now: float) -> list[LeaderCommand]:
        identity = self._identity_of_winner()
        self.log = LeaderLog(identity.floor, identity.floor_hash)
        self.phase = "read"
        if identity.head == identity.floor:
            return self._have_log(now)
        return [self._read_more(now)]

    def _identity_of_winner(self) -> Identity:
        identity = self._followers[self._winner].identity
        assert identity is not None
        return identity

    def _read_more(self, now: float) -> LeaderCommand:
        return self._followers[self._winner].send(ReadLog(self.log.head + 1, READ_BYTES), now)

    def on_log_part(self, bank: int, body: bytes, now: float) -> list[LeaderCommand]:
        """Take in a part of the winner's log; entries that do not verify disqualify the bank."""
        if self.phase != "read" or bank != self._winner:
            return []
        identity = self._identity_of_winner()
        before = self.log.head
        try:
            for raw in split_entries(body):
                entry = open_entry(self._volume_key, raw)
                if not self.log.follows(entry):
                    raise CorruptReplica("the entries do not follow one another")
                if entry.slot <= identity.head:
                    self.log.add(entry)
        except CorruptReplica:
            return self._doubt(now)
        if before < self.log.head < identity.head:
            return [self._read_more(now)]
        if (self.log.head, self.log.head_hash) != (identity.head, identity.head_hash):
            return self._doubt(now)
        return self._have_log(now)

    def _doubt(self, now: float) -> list[LeaderCommand]:
        """Ask the winner once more who it is: an earlier leader's late Trim may have moved its floor."""
        follower = self._followers[self._winner]
        if follower.doubted:
            return self.disqualify(self._winner, now)
        self.phase = "prepare"
        follower.reset("preparing")
        follower.doubted = True
        return [follower.send(Prepare(self._epoch), now)]

    def disqualify(self, bank: int, now: float) -> list[LeaderCommand]:
        """Elect again without `bank`: its log can't be read, or its server is gone."""
        self._followers[bank].excluded = True
        if self.phase in ("read", "check") and bank == self._winner:
            self.phase = "prepare"
        return self.consider(now)

    def _heads(self) -> list[tuple[int, str, int]]:
        """Who has answered with what."""
        answers = ((bank, follower.identity) for bank, follower in self._followers.items())
        return [(bank, i.incarnation, i.head) for bank, i in answers if i is not None]

    def _have_log(self, now: float) -> list[LeaderCommand]:
        self.log.find_landmarks()
        config = self.log.config
        if config is not None and len(self._followers) == 1:
            config = self.log.config = config.moved_to(self._winner, self._identity_of_winner())
        if config is None and self.log.head > 0:
            return self.disqualify(self._winner, now)
        given_up = self._accept_rollback
        if config and (commands := self._seats.unseat(config, now, given_up=given_up)) is not None:
            self.phase = "prepare"
            return commands + self.consider(now)
        if not self._is_still_highest():
            self.phase = "prepare"
            return self.consider(now)
        self.votes = sum(reply.standing in ("voter", "suspect") for reply in self._replies().values())
        if self.log.entries:
            said = self.log.entries[-1].body.durable
            self.given_up = self._accept_rollback and self.mark > self.log.head
            self.mark = said if self.given_up else max(self.mark, said)
        if not self._accept_rollback:
            try:
                refuse_rollback(self._replies(), len(self._followers), self.mark, self.log.head)
                refuse_other_history(self.log, *self.known)
            except NoMajority as reason:
                self.phase = "prepare"
                self._rolled_back = self._heads()
                return self._stuck(str(reason))
        return self._check_blobs()

    def _is_still_highest(self) -> bool:
        """Tell whether the log just read is what the promises at hand, all of them true votes, ask for.

        While it was read a voter may have been lost, or a server without a seat have given way to the one
        that has it: then the choice rested on too few.
        """
        replies = self._replies()
        try:
            best = takeover(replies, len(self._followers), suspects_elect=self.by_suspects, alone=self.alone)
        except NoMajority:
            return False
        highest = replies[best]
        read = self._identity_of_winner()
        return (highest.accepted_epoch, highest.head) == (read.accepted_epoch, read.head)

    def _check_blobs(self) -> list[LeaderCommand]:
        """Entries above the last mark may name blobs that too few banks kept.

        Those freed again by a later entry do not matter: they may be gone, and rightly so.
        """
        bodies = [(entry.slot, entry.body) for entry in self.log.above(self.mark)]
        freed = {name for _, body in bodies for name in body.freed}
        doubtful = [
            (slot, name, size, root)
            for slot, body in bodies
            for name, size, root in body.new_blobs
            if name not in freed
        ]
        self.lacking = {slot: set() for slot, *_ in doubtful}
        self.phase = "check" if doubtful else "done"
        self._asked = CheckBlobs(doubtful)
        return [self._asked] if doubtful else []

    def on_blobs_checked(
        self, asked: CheckBlobs, lost_at: int, now: float, *, all_asked: bool, lacking: Lacking
    ) -> list[LeaderCommand]:
        """Take in the first slot of `asked` that names a blob without any good copy (0: there is none).

        And `lacking`, (bank, slot) pairs: a bank that may not have all that the slot names.
        An answer about a log that was given up since for another one says nothing.
        Only when `all_asked` says that no server was left out it is really lost; else all is looked at again.
        """
        if self.phase != "check" or asked != self._asked:
            return []
        if lost_at and not all_asked and not self._accept_cut:
            self.phase = "prepare"
            self._again_at = now + RETRY_S
            return self._stuck(
                f"the servers that answer lack blobs that slot {lost_at} names; start the others, or "
                "end history before it with `trivet recover --accept-cut`"
            )
        if lost_at:
            self.log.cut(lost_at - 1)
        for bank, slot in lacking:
            self.lacking[slot].add(bank)
        self.lacking = {slot: banks for slot, banks in self.lacking.items() if slot <= self.log.head}
        self.phase = "done"
        return []
