"""The leader together with real acceptors, link by link and fault by fault."""

from copy import deepcopy

from leader_rig import BANKS, Rig, RigBank, formed, successor

from trivet.quorum.leader_commands import Acked, CaughtUp, Compare, Deposed, Durable, Serving, Stuck
from trivet.quorum.reign import PARCEL_ENTRIES
from trivet.wire.entries import Epoch, RecordOp
from trivet.wire.journal_messages import ReadLog

A, B, C = BANKS


def put(rig: Rig, count: int = 1, *, sync: bool = False) -> int:
    slot = 0
    for _ in range(count):
        entry, commands = rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now, sync=sync)
        slot = entry.slot
        rig.do(commands)
    rig.pass_time(0.05)  # the bank that rests gets its parcel
    return slot


def test_three_empty_banks_form_a_volume() -> None:
    rig = formed()
    assert [bank.acceptor.meta.standing for bank in rig.banks.values()] == ["voter"] * 3
    assert rig.of(Serving) == [Serving(1)]
    assert rig.heads() == [1, 1, 1]


def test_two_empty_banks_form_nothing() -> None:
    rig = Rig()
    rig.connect(A, B)
    rig.pass_time(20)
    assert not rig.leader.is_serving
    assert rig.of(Stuck)


def test_empty_banks_of_a_served_volume_form_nothing() -> None:
    rig = Rig(fresh_volume=False)
    rig.connect()
    rig.pass_time(20)
    assert not rig.leader.is_serving


def test_two_banks_acknowledge_and_one_does_not() -> None:
    rig = formed()
    rig.up = {A, B}
    slot = put(rig)
    assert rig.of(Acked)[-1] == Acked(slot)
    assert rig.of(Durable)[-1] == Durable(1)
    rig.up = {A}
    put(rig)
    assert rig.of(Acked)[-1] == Acked(slot)


def test_the_bank_that_is_not_needed_rests_while_all_keep_up() -> None:
    rig = formed()
    head = put(rig)
    for _ in range(3):
        rig.do(rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now)[1])
    assert rig.heads() == [head + 3, head + 3, head]
    assert rig.of(Acked)[-1] == Acked(head + 3)
    rig.do(rig.leader.sync(rig.now, hurry=True))
    assert rig.of(Durable)[-1] == Durable(head + 3)
    assert rig.heads()[2] == head
    rig.do(rig.leader.sync(rig.now))
    assert rig.heads() == [head + 3] * 3
    assert [bank.acceptor.synced for bank in rig.banks.values()] == [head + 3] * 3


def test_nobody_rests_once_a_bank_is_late_or_away() -> None:
    rig = formed()
    put(rig)
    rig.up = {A, C}
    entry, commands = rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now)
    rig.do(commands)
    assert rig.of(Acked)[-1] == Acked(entry.slot - 1), "the bank in demand hangs, the third rests"
    rig.pass_time(0.05)
    assert rig.of(Acked)[-1] == Acked(entry.slot)
    entry, commands = rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now)
    rig.do(commands)
    assert rig.of(Acked)[-1] == Acked(entry.slot)


def test_a_bank_that_rests_is_not_left_far_behind() -> None:
    rig = formed()
    put(rig)
    for _ in range(500):
        rig.do(rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now)[1])
        assert rig.heads()[0] - rig.heads()[2] <= PARCEL_ENTRIES


def test_sync_makes_durable_on_two_banks() -> None:
    rig = formed()
    slot = put(rig, 3)
    rig.do(rig.leader.sync(rig.now))
    assert rig.of(Durable)[-1] == Durable(slot)
    assert put(rig, sync=True) == rig.of(Durable)[-1].slot  # type: ignore[attr-defined]


def test_successor_keeps_what_two_banks_acknowledged() -> None:
    rig = formed()
    rig.up = {A, B}
    slot = put(rig, 5)
    other = successor(rig, B, C)
    assert other.leader.is_serving
    assert other.heads() == [slot, slot + 1, slot + 1]
    assert rig.banks[B].acceptor.chain.hash_at(slot) == rig.banks[C].acceptor.chain.hash_at(slot)


def test_zombie_is_deposed() -> None:
    rig = formed()
    successor(rig)
    put(rig)
    assert rig.of(Deposed) == [Deposed(Epoch(2, 7))]
    assert rig.leader.on_tick(9.0) == []


def test_bank_that_was_away_gets_the_tail() -> None:
    rig = formed()
    rig.up = {A, B}
    rig.do(rig.leader.on_lost(C, rig.now))
    slot = put(rig, 10)
    rig.up = set(BANKS)
    rig.connect(C)
    assert rig.heads() == [slot] * 3
    put(rig)
    assert CaughtUp(C) in rig.told


def test_wiped_bank_votes_only_after_transfer_and_config() -> None:
    rig = formed()
    put(rig, 3)
    rig.do(rig.leader.on_lost(C, rig.now))
    rig.banks[C] = RigBank(C)
    rig.up = {A, C}
    rig.do(rig.leader.on_lost(B, rig.now))
    rig.connect(C)
    rig.pass_time(2)
    assert rig.banks[C].acceptor.meta.standing == "joining"
    rig.up = set(BANKS)
    rig.connect(B)
    rig.pass_time(2)
    assert rig.banks[C].acceptor.meta.standing == "voter"
    assert len(set(rig.heads())) == 1
    config = rig.leader.reign.log.config
    assert config is not None
    assert config.names(C, rig.banks[C].acceptor.meta.incarnation)


def test_power_loss_makes_suspect_and_the_tail_cures() -> None:
    rig = formed()
    put(rig, 4)
    rig.do(rig.leader.on_lost(A, rig.now))
    rig.banks[A].restart("boot 2", keep=2)
    assert rig.banks[A].acceptor.meta.standing == "suspect"
    rig.connect(A)
    assert rig.banks[A].acceptor.meta.standing == "voter"
    assert len(set(rig.heads())) == 1
    assert Compare(A, "its power was cut") in rig.told


def test_log_read_on_the_word_of_a_server_without_its_seat_is_not_taken() -> None:
    """The vote that chose the log came from a server that CONFIG had replaced; its successor knows more."""
    rig = formed()
    old = deepcopy(rig.banks[C])
    rig.do(rig.leader.on_lost(C, rig.now))
    rig.banks[C] = RigBank(C)
    rig.connect(C)
    put(rig)
    other = Rig(fresh_volume=False, epoch=2, banks={A: rig.banks[A], B: rig.banks[B], C: old})
    other.hold = ReadLog
    other.connect(A, C)
    other.pass_time(0.5)
    assert len(other.held) == 1
    rig.up = {B, C}
    slot = put(rig)
    assert rig.of(Acked)[-1] == Acked(slot)
    other.hold = None
    other.banks[C] = rig.banks[C]
    other.do(other.leader.on_lost(C, other.now))
    other.connect(B, C)
    other.do(other.held)
    other.pass_time(1.5)
    assert other.leader.is_serving
    assert other.banks[A].acceptor.chain.joins(slot, rig.leader.reign.log.hash_at(slot))


def test_suspect_does_not_vote_while_voters_may_come() -> None:
    rig = formed()
    put(rig, 4)
    rig.banks[A].restart("boot 2", keep=2)
    other = successor(rig, A, B)
    other.pass_time(5)
    assert not other.leader.is_serving
    other.up = set(BANKS)
    other.connect(C)
    other.pass_time(1)
    assert other.leader.is_serving
    assert len(set(other.heads())) == 1


def test_suspects_elect_after_ten_seconds() -> None:
    rig = formed()
    put(rig, 4, sync=True)
    for bank in (A, B):
        rig.banks[bank].restart("boot 2")
    other = successor(rig, A, B)
    assert not other.leader.is_serving
    other.pass_time(11)
    assert other.leader.is_serving
    assert other.leader.election.by_suspects


def test_two_banks_rolled_back_elect_nobody_until_accepted() -> None:
    rig = formed()
    slot = put(rig, 6, sync=True)
    put(rig, 1, sync=True)
    for bank in (A, B):
        rig.banks[bank].restart("boot", keep=3)
    other = successor(rig)
    other.pass_time(15)
    assert not other.leader.is_serving
    assert "accept-rollback" in str(other.of(Stuck)[-1])
    assert rig.banks[C].acceptor.chain.head > slot


def test_lossy_bank_is_told_and_refilled() -> None:
    rig = formed()
    slot = put(rig, 6, sync=True)
    rig.do(rig.leader.sync(rig.now))
    rig.do(rig.leader.on_lost(C, rig.now))
    rig.banks[C].restart("boot", keep=3)
    rig.connect(C)
    assert Compare(C, "it lost what it had synced") in rig.told
    assert rig.heads() == [slot] * 3


def test_trim_needs_compared_banks_and_stops_before_the_anchor() -> None:
    rig = formed()
    rig.do(rig.leader.on_lost(C, rig.now))
    rig.up = {A, B}
    slot = put(rig, 8, sync=True)
    entry, commands = rig.leader.anchor(b"sums", rig.now)
    rig.do(commands)
    for bank in (A, B):
        rig.banks[bank].acceptor.on_applied(entry.slot)
    rig.do(rig.leader.trim(rig.now))
    rig.do(rig.leader.trim(rig.now))
    assert rig.leader.reign.log.floor == 0
    for bank in (A, B):
        rig.leader.on_compared(bank)
    rig.do(rig.leader.trim(rig.now))
    assert rig.leader.reign.log.floor == slot
    assert rig.banks[A].acceptor.chain.floor == slot
    rig.up = set(BANKS)
    rig.connect(C)
    assert Compare(C, "it was behind the floor") in rig.told
    assert len(set(rig.heads())) == 1
    assert successor(rig).leader.is_serving


def test_asking_how_far_records_are_puts_no_heartbeat_off() -> None:
    rig = formed()
    rig.pass_time(0.1)
    heard = rig.banks[A].acceptor.heard
    for _ in range(50):
        rig.do(rig.leader.trim(rig.now))
        rig.pass_time(0.1)
    assert rig.banks[A].acceptor.heard >= heard + 4
    assert rig.leader.reign.lease.holds(rig.now)
