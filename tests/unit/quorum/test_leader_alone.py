"""One bank left: nobody is elected until a person accepts that; then it alone fills the others."""

from leader_rig import BANKS, Rig, RigBank, formed, successor

from trivet.quorum.leader_commands import Stuck
from trivet.wire.entries import RecordOp

A, B, C = BANKS


def put(rig: Rig, count: int) -> int:
    """Commit entries, synced; return the last slot."""
    slot = 0
    for _ in range(count):
        entry, commands = rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now, sync=True)
        slot = entry.slot
        rig.do(commands)
    return slot


def test_one_bank_left_elects_nobody_until_accepted_and_then_fills_the_others() -> None:
    rig = formed()
    slot = put(rig, 6)
    for bank in (B, C):
        rig.banks[bank] = RigBank(bank)
    other = successor(rig)
    other.pass_time(15)
    assert not other.leader.is_serving
    assert "bank 7000" in str(other.of(Stuck)[-1])
    assert "accept-rollback" in str(other.of(Stuck)[-1])
    assert other.leader.election.candidate() == A
    other.do(other.leader.accept(rollback=True, cut=False, now=other.now))
    other.pass_time(3)
    assert other.leader.is_serving
    assert {rig.banks[bank].acceptor.meta.standing for bank in BANKS} == {"voter"}
    assert other.leader.reign.log.hash_at(slot) == rig.leader.reign.log.hash_at(slot)
    assert put(other, 1) == min(other.heads())
    assert successor(other).leader.is_serving


def test_one_bank_left_is_not_elected_while_another_does_not_answer() -> None:
    rig = formed()
    put(rig, 6)
    for bank in (B, C):
        rig.banks[bank] = RigBank(bank)
    other = successor(rig, A, B)
    other.do(other.leader.accept(rollback=True, cut=False, now=other.now))
    other.pass_time(15)
    assert not other.leader.is_serving
    other.up = set(BANKS)
    other.connect(C)
    other.pass_time(3)
    assert other.leader.is_serving


def test_nothing_is_begun_without_any_log() -> None:
    rig = formed()
    put(rig, 6)
    rig.banks.update({bank: RigBank(bank) for bank in BANKS})
    other = successor(rig)
    other.do(other.leader.accept(rollback=True, cut=False, now=other.now))
    other.pass_time(15)
    assert not other.leader.is_serving
    assert other.leader.election.candidate() is None


def test_an_old_copy_and_an_empty_bank_are_filled_once_accepted() -> None:
    """The old copy is of before the bank was filled anew: CONFIG does not name it any more."""
    rig = formed()
    put(rig, 3)
    old = rig.banks[B]
    rig.banks[B] = RigBank(B)
    rig.banks[B].mint()  # or it would mint the name that the old one had
    rig.do(rig.leader.on_lost(B, rig.now))
    rig.connect(B)
    rig.pass_time(2)
    slot = put(rig, 3)
    rig.banks[B], rig.banks[C] = old, RigBank(C)
    other = successor(rig)
    other.pass_time(15)
    assert not other.leader.is_serving
    other.do(other.leader.accept(rollback=True, cut=False, now=other.now))
    other.pass_time(5)
    assert other.leader.is_serving
    assert other.leader.reign.log.hash_at(slot) == rig.leader.reign.log.hash_at(slot)
    assert {rig.banks[bank].acceptor.meta.standing for bank in BANKS} == {"voter"}


def test_a_bank_that_was_away_when_a_rollback_was_accepted_is_made_anew() -> None:
    """It still shows what was given up, and would never fit again."""
    rig = formed()
    put(rig, 6)
    for bank in (A, B):
        rig.banks[bank].restart("boot", keep=3)
    other = Rig(fresh_volume=False, epoch=2, banks=rig.banks, high_water=rig.leader.reign.log.head)
    other.up = {A, B}
    other.connect(A, B)
    other.pass_time(15)
    assert not other.leader.is_serving
    other.do(other.leader.accept(rollback=True, cut=False, now=other.now))
    other.pass_time(1)
    assert other.leader.is_serving
    slot = put(other, 12)
    was = rig.banks[C].acceptor.meta.incarnation
    other.up.add(C)
    other.connect(C)
    other.pass_time(2)
    assert rig.banks[C].acceptor.meta.incarnation != was
    assert rig.banks[C].acceptor.meta.standing == "voter"
    assert rig.banks[C].acceptor.chain.hash_at(slot) == other.leader.reign.log.hash_at(slot)
