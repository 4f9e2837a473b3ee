"""What a takeover makes of damaged journals and of blobs that too few banks have."""

from leader_rig import BANKS, Rig, formed, successor

from trivet.quorum.leader_commands import CheckBlobs, Durable, Stuck
from trivet.wire.entries import RecordOp

A, B, C = BANKS
BLOB = (7, 4, bytes(16))


def put(rig: Rig, count: int = 1, *, sync: bool = True) -> int:
    slot = 0
    for _ in range(count):
        entry, commands = rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now, sync=sync)
        slot = entry.slot
        rig.do(commands)
    rig.pass_time(0.05)
    return slot


def behind_and_damaged() -> tuple[Rig, int]:
    """A volume of which C missed the last entries, and A lost them to damage of its journal."""
    rig = formed()
    rig.up = {A, B}
    rig.do(rig.leader.on_lost(C, rig.now))
    slot = put(rig, 6)
    rig.banks[A].restart("boot", keep=3, damaged=True)
    return rig, slot


def test_a_damaged_journal_and_a_bank_behind_do_not_pass_for_a_rollback() -> None:
    rig, slot = behind_and_damaged()
    other = successor(rig, high_water=slot)
    other.pass_time(1)
    assert other.leader.is_serving
    assert min(other.heads()) > slot


def test_a_damaged_journal_never_lets_a_log_win_that_lacks_what_was_durable() -> None:
    rig, slot = behind_and_damaged()
    other = successor(rig, A, C, high_water=slot)
    other.pass_time(15)
    assert not other.leader.is_serving
    assert f"slot {slot} was durable" in str(other.of(Stuck)[-1])


def test_damage_is_remembered_until_the_bank_is_cured() -> None:
    rig, slot = behind_and_damaged()
    rig.banks[A].restart("boot")
    assert rig.banks[A].acceptor.identity().lossy
    other = successor(rig, high_water=slot)
    other.pass_time(1)
    assert not rig.banks[A].acceptor.identity().lossy


def with_a_doubtful_blob() -> tuple[Rig, int]:
    """A successor that is asked to look for a blob of an entry that nobody knows to be durable."""
    rig = formed()
    entry, commands = rig.leader.append([RecordOp(b"i/x", 0, b"value")], rig.now, new_blobs=[BLOB])
    rig.do(commands)
    rig.pass_time(0.05)
    other = successor(rig)
    assert other.of(CheckBlobs) == [CheckBlobs([(entry.slot, *BLOB)])]
    return other, entry.slot


def test_a_takeover_waits_until_two_banks_have_the_blobs_of_what_it_adopts() -> None:
    other, slot = with_a_doubtful_blob()
    lacking = [(B, slot), (C, slot)]
    [asked] = other.of(CheckBlobs)
    other.do(other.leader.on_blobs_checked(asked, 0, other.now, all_asked=True, lacking=lacking))
    other.pass_time(1)
    assert not other.leader.is_serving
    assert other.leader.missing_blobs(B) == [slot]
    other.do(other.leader.on_blobs_stored(B, slot, other.now))
    other.do(other.leader.sync(other.now))
    other.pass_time(1)
    assert other.leader.is_serving
    assert other.of(Durable) or other.leader.reign.marks.durable >= slot


def test_what_is_said_of_the_blobs_of_a_log_that_was_given_up_ends_no_takeover() -> None:
    other, slot = with_a_doubtful_blob()
    earlier = CheckBlobs([(slot + 1, 8, 4, bytes(16))])
    other.do(other.leader.on_blobs_checked(earlier, 0, other.now, all_asked=True, lacking=[(C, slot + 1)]))
    other.pass_time(1)
    assert not other.leader.is_serving
    [asked] = other.of(CheckBlobs)
    other.do(other.leader.on_blobs_checked(asked, 0, other.now, all_asked=True, lacking=[]))
    other.do(other.leader.sync(other.now))
    other.pass_time(1)
    assert other.leader.is_serving


def test_one_bank_without_the_blobs_holds_nobody_up() -> None:
    other, slot = with_a_doubtful_blob()
    [asked] = other.of(CheckBlobs)
    other.do(other.leader.on_blobs_checked(asked, 0, other.now, all_asked=True, lacking=[(C, slot)]))
    other.do(other.leader.sync(other.now))
    other.pass_time(1)
    assert other.leader.is_serving


def test_history_ends_before_a_blob_that_is_lost_only_when_all_were_asked_or_a_person_says_so() -> None:
    other, slot = with_a_doubtful_blob()
    [asked] = other.of(CheckBlobs)
    other.do(other.leader.on_blobs_checked(asked, slot, other.now, all_asked=False, lacking=[]))
    assert "recover --accept-cut" in str(other.of(Stuck)[-1])
    other.pass_time(5)
    assert not other.leader.is_serving
    other.do(other.leader.accept(rollback=False, cut=True, now=other.now))
    other.pass_time(5)
    *_, asked = other.of(CheckBlobs)
    other.do(other.leader.on_blobs_checked(asked, slot, other.now, all_asked=False, lacking=[]))
    other.do(other.leader.sync(other.now))
    other.pass_time(1)
    assert other.leader.is_serving
    assert next(entry.body.new_blobs for entry in other.leader.reign.log.above(slot - 1)) == []
