"""A seat that moves to another server of its bank while one of the other banks is lost whole."""

import pytest
from leader_rig import BANKS, Rig, RigBank, formed

from trivet.quorum import seat_moves
from trivet.quorum.follower import Follower
from trivet.quorum.leader_commands import Acked, Deposed, NotAcceptor
from trivet.quorum.membership import NOBODY, BankSeat, Config
from trivet.wire import journal_messages as m
from trivet.wire.entries import RecordOp

A, B, C = BANKS
NEXT = A + 1


def put(rig: Rig, count: int = 1) -> int:
    """Commit entries; return the slot of the last."""
    for number in range(count):
        slot = rig.leader.next_slot
        entry, commands = rig.leader.append([RecordOp(b"i/%d" % (slot + number), 0, b"value")], rig.now)
        rig.do(commands)
    return entry.slot


def config_of(rig: Rig) -> Config:
    assert rig.leader.reign.log.config is not None
    return rig.leader.reign.log.config


class Move:
    """Bank 7000 is away while changes are acknowledged, its seat moves to 7001, then bank 9000 loses all.

    The new server is `admitted` before that, or its Admit was lost on the way.
    """

    def __init__(self, *, admitted: bool = False) -> None:
        self.rig = formed()
        put(self.rig, 3)
        self.rig.do(self.rig.leader.on_lost(A, self.rig.now))
        self.slot = put(self.rig, 3)
        assert self.rig.of(Acked)[-1] == Acked(self.slot)
        self.old, self.new = self.rig.banks[A], RigBank(NEXT)
        self.rig.hold = None if admitted else m.Admit
        self.rig.leader.move(A, NEXT)
        self.reach(self.rig, self.new)
        self.rig.do(self.rig.leader.sync(self.rig.now))
        assert admitted or self.rig.held
        assert self.new.acceptor.meta.standing == ("voter" if admitted else "joining")
        self.rig.do(self.rig.leader.on_lost(C, self.rig.now))
        self.rig.banks[C] = RigBank(C)

    def reach(self, rig: Rig, server: RigBank) -> None:
        """Let a keeper be connected to this `server` of bank 7000."""
        rig.do(rig.leader.on_lost(A, rig.now))
        rig.banks[A] = server
        rig.connect(A)

    def follow(self, rig: Rig, seconds: float = 3.0) -> None:
        """Let time pass; the keeper is connected to whichever server of bank 7000 it wants."""
        for _ in range(round(seconds / 0.1)):
            wanted = [c.port for c in rig.told if isinstance(c, NotAcceptor) and c.bank == A]
            rig.told = [c for c in rig.told if not isinstance(c, NotAcceptor)]
            if wanted and wanted[-1]:
                self.reach(rig, self.new if wanted[-1] == NEXT else self.old)
            rig.pass_time(0.1)

    def successor(self) -> Rig:
        """Another keeper, connected to all banks, to the old server of bank 7000."""
        banks = {**self.rig.banks, A: self.old}
        rig = Rig(fresh_volume=False, epoch=self.rig.epoch.number + 1, banks=banks)
        rig.connect()
        return rig


def test_the_log_says_who_held_a_seat_until_the_new_server_is_admitted() -> None:
    move = Move(admitted=True)
    assert config_of(move.rig).seats[A].port == NEXT
    assert config_of(move.rig).seats[A].before == NOBODY


def test_a_keeper_that_finds_a_bank_lost_gives_the_moving_seat_back() -> None:
    rig = formed()
    put(rig, 3)
    rig.do(rig.leader.on_lost(A, rig.now))
    slot = put(rig, 3)
    old, new = rig.banks[A], RigBank(NEXT)
    was = old.acceptor.meta.incarnation
    rig.do(rig.leader.on_lost(C, rig.now))
    rig.leader.move(A, NEXT)
    rig.banks[A] = new
    rig.connect(A)
    assert config_of(rig).seats[A].before == (A, was)
    rig.banks[C] = RigBank(C)
    rig.connect(C)
    rig.pass_time(0.2)
    assert NotAcceptor(A, A) in rig.told
    rig.banks[A] = old
    rig.connect(A)
    rig.pass_time(2)
    assert config_of(rig).names(A, was)
    assert [rig.banks[bank].acceptor.meta.standing for bank in BANKS] == ["voter"] * 3
    last = put(rig)
    assert Acked(last) in rig.told
    assert rig.heads() == [last] * 3
    assert old.acceptor.chain.joins(slot, rig.leader.reign.log.hash_at(slot))


def test_a_new_keeper_elects_with_the_old_server_once_the_new_one_says_it_never_voted() -> None:
    move = Move()
    rig = move.successor()
    move.follow(rig)
    assert rig.leader.is_serving
    assert config_of(rig).names(A, move.old.acceptor.meta.incarnation)
    assert config_of(rig).seats[A].before == NOBODY
    assert [rig.banks[bank].acceptor.meta.standing for bank in BANKS] == ["voter"] * 3
    log = rig.leader.reign.log
    assert log.joins(move.slot, move.rig.leader.reign.log.hash_at(move.slot))
    last = put(rig)
    assert rig.heads() == [last] * 3


def test_the_old_server_has_no_vote_while_nobody_heard_the_new_one() -> None:
    move = Move()
    rig = move.successor()
    rig.pass_time(20)
    assert not rig.leader.is_serving


def test_believing_the_old_server_unheard_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant of the rule: who held the seat votes whatever the new server may have become."""

    def held(seat: BankSeat | None, _follower: Follower, identity: m.Identity) -> bool:
        return seat is not None and seat.before == (identity.port, identity.incarnation)

    monkeypatch.setattr(seat_moves, "holds_still", held)
    with pytest.raises(AssertionError):
        test_the_old_server_has_no_vote_while_nobody_heard_the_new_one()


def test_the_old_server_has_no_vote_once_the_new_one_was_admitted() -> None:
    move = Move(admitted=True)
    slot = move.slot
    rig = move.successor()
    rig.pass_time(20)
    assert not rig.leader.is_serving
    move.reach(rig, move.new)
    rig.pass_time(2)
    assert rig.leader.is_serving
    assert rig.leader.reign.log.joins(slot, move.rig.leader.reign.log.hash_at(slot))


def test_a_late_admission_is_refused_by_a_server_that_promised_a_new_keeper() -> None:
    move = Move()
    admit = m.Admit(move.new.acceptor.meta.incarnation, move.rig.epoch)
    rig = move.successor()
    move.follow(rig, 0.3)
    reply, _ = move.new.handle(admit, b"")
    assert isinstance(reply, m.Refusal)
    assert reply.reason == "promised"
    assert not rig.of(Deposed)


def test_an_admission_that_may_have_arrived_is_repeated_and_the_seat_stays() -> None:
    move = Move()
    move.reach(move.rig, move.new)
    move.rig.hold = None
    move.rig.connect(C)
    move.rig.pass_time(0.2)
    move.reach(move.rig, move.new)
    move.rig.pass_time(2)
    assert config_of(move.rig).seats[A].port == NEXT
    assert [move.rig.banks[bank].acceptor.meta.standing for bank in BANKS] == ["voter"] * 3


def test_a_seat_moves_only_beside_banks_that_were_compared_since_they_came_back() -> None:
    rig = formed()
    rig.do(rig.leader.on_lost(A, rig.now))
    assert not rig.leader.may_move(A, rig.now)
    rig.leader.on_compared(B)
    rig.leader.on_compared(C, whole=False)
    assert not rig.leader.may_move(A, rig.now)
    rig.leader.on_compared(C)
    assert rig.leader.may_move(A, rig.now)
    rig.connect(C)
    assert not rig.leader.may_move(A, rig.now)
