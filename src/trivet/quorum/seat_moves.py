"""Who votes for a bank while its seat moves to another of its servers.

Rule: a server that says it is joining, and has promised our epoch, was never admitted as that incarnation,
and no earlier epoch can admit it any more: then who held the seat before still votes, and may have it back.
Rule: what this epoch has sent an Admit may vote at any moment, so that move is not taken back.
Rule: a seat is given back only where another bank must be filled besides: each would wait for the other.
"""

from collections.abc import Mapping
from itertools import chain

from trivet.quorum.follower import RETRY_S, Follower
from trivet.quorum.leader_commands import LeaderCommand, NotAcceptor
from trivet.quorum.membership import NOBODY, BankSeat, Config
from trivet.wire.journal_messages import Identity


def holds_still(seat: BankSeat | None, follower: Follower, identity: Identity) -> bool:
    """Tell whether `identity` held `seat` before a server that surely never voted."""
    if seat is None or not follower.never_voted(seat.incarnation):
        return False
    return seat.before == (identity.port, identity.incarnation)


def seat_for(follower: Follower, seat: BankSeat | None, identity: Identity) -> BankSeat:
    """Return the seat that names the fresh `identity` in place of `seat`, and who holds it until then."""
    before = NOBODY
    if seat is not None and follower.never_voted(seat.incarnation):
        before = seat.before
    elif seat is not None and seat.incarnation and seat.port != identity.port:
        before = (seat.port, seat.incarnation)
    return BankSeat(identity.port, identity.incarnation, before=before)


def elected_seat(follower: Follower, seat: BankSeat | None, identity: Identity) -> BankSeat:
    """Return the seat of a bank whose `identity` had a part in an election: given back, if it was moving."""
    if seat is None or holds_still(seat, follower, identity):
        return BankSeat(identity.port, identity.incarnation)
    return seat


def turn_back(followers: Mapping[int, Follower], config: Config) -> list[NotAcceptor]:
    """Turn to who holds a seat that is moving, if another bank waits for being filled meanwhile."""
    waiting = [one for one in followers.values() if not one.counted and one.is_being_filled]
    if len(waiting) < 2:
        return []
    return list(chain.from_iterable(_give_up_move(one, config) for one in waiting))


def _give_up_move(follower: Follower, config: Config) -> list[NotAcceptor]:
    seat, identity = config.seats.get(follower.bank), follower.identity
    assert identity is not None
    if seat is None or identity.incarnation in follower.admitted:
        return []
    port = seat.before[0] if follower.never_voted(seat.incarnation) else seat.port
    if port in (0, identity.port):
        return []
    follower.moving_to = 0
    return [NotAcceptor(follower.bank, port)]


class ElectionSeats:
    """Whose promise is a vote in an election among `followers`."""

    def __init__(self, followers: Mapping[int, Follower]) -> None:
        self._followers = followers
        self._moving: dict[int, BankSeat] = {}

    def unseat(self, config: Config, now: float, *, given_up: bool) -> list[LeaderCommand] | None:
        """Take the vote from every server that `config` does not name; None if there was none to take.

        They are asked again: one may have been given its seat by an earlier leader meanwhile. With `given_up`
        what they hold was given up by a person.
        """
        found: list[LeaderCommand] | None = None
        for bank, follower in self._followers.items():
            identity = follower.identity
            if identity is None or follower.excluded or identity.standing not in ("voter", "suspect"):
                continue
            seat = config.seats.get(bank)
            if config.names(bank, identity.incarnation) or holds_still(seat, follower, identity):
                continue
            found = found or []
            port = seat.port if seat is not None else identity.port
            if given_up and port == identity.port:
                follower.excluded = True  # it has answered
                continue
            follower.reset("parked")
            follower.retry_at = now + RETRY_S
            if port != identity.port:
                found.append(NotAcceptor(bank, port))
                if seat is not None and seat.before == (identity.port, identity.incarnation):
                    self._moving[bank] = seat
        return found

    def ask_former(self, now: float) -> list[LeaderCommand]:
        """Turn back, once, to who held a seat before a server that says it never voted."""
        commands: list[LeaderCommand] = []
        for bank, seat in list(self._moving.items()):
            follower = self._followers[bank]
            if follower.identity is not None and follower.identity.incarnation == seat.incarnation:
                del self._moving[bank]
                if follower.never_voted(seat.incarnation):
                    follower.reset("parked")
                    follower.retry_at = now + RETRY_S
                    commands.append(NotAcceptor(bank, seat.before[0]))
        return commands
