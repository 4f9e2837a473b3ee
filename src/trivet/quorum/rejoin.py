"""How a bank's acceptor comes to follow a reign: promise, adoption, transfer, admission.

Rule: a voter with this epoch's log needs the missing tail only; any other log is replaced whole.
Rule: an empty server, or one that CONFIG does not name, is reset and filled before it gets the log.
Rule: a suspect one is cured by the whole log, then admitted.
Rule: a seat whose new server never voted goes back to who held it before, as soon as that one is asked.
"""

from trivet.quorum.follower import RETRY_S, Follower
from trivet.quorum.leader_commands import Compare, Degraded, LeaderCommand, LogMended, NotAcceptor, Transfer
from trivet.quorum.membership import NOBODY, BankSeat
from trivet.quorum.reign import Reign
from trivet.quorum.seat_moves import holds_still, turn_back
from trivet.wire.journal_messages import Appended, Identity, Prepare, Reset


class Rejoin:
    """Leads each bank's acceptor into `reign`."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign
        self.forming = False

    def prepare(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Ask for a promise; what was sent before is void."""
        follower.excluded = follower.doubted = False
        self._reign.forget(follower, "preparing")
        return [follower.send(Prepare(self._reign.epoch), now)]

    def park(self, follower: Follower, reason: str, now: float) -> list[LeaderCommand]:
        """Leave a bank alone for a moment, then ask again."""
        self._reign.forget(follower, "parked")
        follower.retry_at = now + RETRY_S
        if follower.degraded:
            return []
        follower.degraded = True
        return [Degraded(follower.bank, reason)]

    def on_promised(self, follower: Follower, identity: Identity, now: float) -> list[LeaderCommand]:
        """Take in the answer to Prepare; before the log is known it only waits."""
        if identity.standing == "blobs" or identity.volume != self._reign.volume:
            return self.leave(follower, now)
        follower.heard(identity)
        follower.state = "prepared"
        if self.forming:
            return self.form(follower, now)
        return self.enrol(follower, now) if self._reign.phase in ("install", "serve") else []

    def enrol(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Lead a bank that promised towards the log, by what it says of itself."""
        reign, identity = self._reign, follower.identity
        assert identity is not None
        config = reign.log.config
        assert config is not None
        seat = config.seats.get(follower.bank)
        if holds_still(seat, follower, identity):
            seat = BankSeat(identity.port, identity.incarnation)
            given_back = reign.change_config(config.with_seat(follower.bank, seat), now)
            return given_back + self.enrol(follower, now)
        if seat is not None and identity.port not in (seat.port, follower.moving_to):
            return self.leave(follower, now)
        is_named = config.names(follower.bank, identity.incarnation)
        if is_named and identity.incarnation in follower.admitted and identity.standing == "joining":
            return [follower.adopt(reign.log, reign.epoch, now)]
        if identity.standing in ("empty", "joining") or not is_named:
            return self._refill(follower, now)
        commands = self._doubts(follower, identity)
        tail_only = identity.standing == "voter" and identity.accepted_epoch == reign.epoch
        if tail_only and reign.log.joins(identity.head, identity.head_hash):
            self._go_live(follower, identity.head, identity.synced)
            return commands + reign.count(follower, now)
        return [*commands, follower.adopt(reign.log, reign.epoch, now)]

    def leave(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Have nothing to do with a server that does not hold its bank's seat."""
        self._reign.forget(follower, "parked")
        follower.retry_at = now + RETRY_S
        config = self._reign.log.config
        seat = config.seats.get(follower.bank) if config else None
        return [NotAcceptor(follower.bank, seat.port if seat else 0)]

    def _refill(self, follower: Follower, now: float) -> list[LeaderCommand]:
        if not self._reign.may_refill:
            return []
        follower.state = "resetting"
        follower.compared = False
        self._reign.marks.blobs_lost(follower.bank)
        return [follower.send(Reset(self._reign.epoch, self._reign.log.floor), now)]

    def _doubts(self, follower: Follower, identity: Identity) -> list[LeaderCommand]:
        """Say when a bank holds less than it once synced, or may do so."""
        lossy = follower.was_incarnation == identity.incarnation and (
            identity.head < follower.was_synced or identity.applied < follower.applied
        )
        follower.was_synced = identity.synced
        follower.applied = identity.applied
        if identity.standing == "suspect" or lossy:
            follower.compared = False
            self._reign.marks.blobs_lost(follower.bank)
            return [Compare(follower.bank, "it lost what it had synced" if lossy else "its power was cut")]
        return []

    def form(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Make a bank of a new volume empty under this epoch."""
        follower.state = "resetting"
        return [follower.send(Reset(self._reign.epoch, 0), now)]

    def on_reset(self, follower: Follower, identity: Identity, now: float) -> list[LeaderCommand]:
        """Take in the incarnation of a server that is empty now; have it filled."""
        follower.heard(identity)
        if self.forming:
            return [follower.adopt(self._reign.log, self._reign.epoch, now)]
        follower.state = "transferring"
        return [Transfer(follower.bank, identity.applied)]

    def on_transferred(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Install the log on a server that holds all records now."""
        if follower.state != "transferring":
            return []
        return [follower.adopt(self._reign.log, self._reign.epoch, now)]

    def on_adopt_reply(self, follower: Follower, now: float) -> list[LeaderCommand]:
        """Go on with an installation after its beginning or a part."""
        return [follower.adopt_more(self._reign.log, self._reign.epoch, now)]

    def on_adopted(self, follower: Follower, reply: Appended, now: float) -> list[LeaderCommand]:
        """Take in that the whole log stands, synced; then a voter counts, others are admitted."""
        reign, identity = self._reign, follower.identity
        assert identity is not None
        self._go_live(follower, reply.head, reply.synced)
        if identity.standing == "voter":
            return reign.count(follower, now)
        if identity.standing == "suspect" or self.forming or identity.incarnation in follower.admitted:
            return [follower.admit(reign.epoch, now)]
        config = reign.log.config
        assert config is not None
        seat = config.seats.get(follower.bank)
        commands: list[LeaderCommand] = []
        if seat is None or seat.incarnation != identity.incarnation:
            commands += reign.reseat(follower.bank, identity, now)
        follower.admit_after = reign.log.config_slot
        return commands + reign.pump(follower, now) + reign.admissions(now)

    def _go_live(self, follower: Follower, head: int, synced: int) -> None:
        follower.state = "live"
        follower.forget_inflight()
        follower.sent = head
        follower.answered(head, synced)
        follower.degraded = self._reign.phase == "serve"

    def on_admitted(self, follower: Follower, identity: Identity, now: float) -> list[LeaderCommand]:
        """Take in that a server is a voter again."""
        was = follower.identity
        follower.identity = identity
        if identity.standing != "voter":
            return self.park(follower, "it was not admitted", now)
        if self.forming:
            follower.counted = True
            return []
        commands = self._settle(follower.bank, now) + self._reign.count(follower, now)
        refilled = was is not None and was.standing == "joining"
        if was is not None and was.lossy:
            commands.append(LogMended(follower.bank))
        return [*commands, Compare(follower.bank, "it was refilled")] if refilled else commands

    def _settle(self, bank: int, now: float) -> list[LeaderCommand]:
        """Let a seat that has moved be its new holder's alone."""
        config = self._reign.log.config
        seat = config.seats.get(bank) if config else None
        if config is None or seat is None or seat.before == NOBODY:
            return []
        return self._reign.change_config(config.with_seat(bank, seat.settled()), now)

    def turn_back(self, now: float) -> list[LeaderCommand]:
        """Give up moves of seats where another bank must be filled besides: each would wait for the other."""
        reign = self._reign
        if reign.phase != "serve" or reign.log.config is None:
            return []
        commands = turn_back(reign.followers, reign.log.config)
        for command in commands:
            reign.forget(reign.followers[command.bank], "parked")
            reign.followers[command.bank].retry_at = now + RETRY_S
        return [*commands]
