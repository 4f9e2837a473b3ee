"""Where blobs lie, how far the log may be trimmed, how fast checks go on."""

from collections import Counter

from trivet.quorum.lease import Lease, wait_out_s
from trivet.quorum.marks import Marks
from trivet.quorum.membership import BankSeat, Config, decode_config, encode_config, likely_acceptor
from trivet.quorum.placement import belongs, goes, ranking
from trivet.quorum.rebalancing import Move, move_of
from trivet.quorum.scrub_plan import Pace, ScrubPosition, ShardTurn
from trivet.quorum.trimming import trim_floor
from trivet.wire.entries import NO_EPOCH, Epoch
from trivet.wire.journal_messages import Identity

PORTS = [7000, 7001, 7002]


def test_blobs_spread_evenly_and_a_new_server_moves_only_what_it_wins() -> None:
    names = range(3000)
    before = {name: belongs(name, PORTS) for name in names}
    assert all(900 < count < 1100 for count in Counter(before.values()).values())
    after = {name: belongs(name, [*PORTS, 7003]) for name in names}
    moved = [name for name in names if before[name] != after[name]]
    assert all(after[name] == 7003 for name in moved)
    assert 650 < len(moved) < 850


def test_blob_goes_to_the_next_healthy_server_and_comes_home() -> None:
    first, second, third = ranking(42, PORTS)
    assert goes(42, PORTS, {second, third}) == second
    assert goes(42, PORTS, set()) is None
    assert move_of(42, [second, third], PORTS) == Move(42, first, False, (second, third))
    assert move_of(42, [first, third], PORTS) == Move(42, first, True, (third,))
    assert move_of(42, [first], PORTS) is None


def test_trim_floor_is_the_second_highest_applied() -> None:
    assert trim_floor({1: 9, 2: 7, 3: 2}, 3, 100, 100) == 7
    assert trim_floor({1: 9}, 3, 100, 100) == 0
    assert trim_floor({1: 9, 2: 7}, 3, 6, 100) == 5
    assert trim_floor({1: 9, 2: 7}, 3, 100, 4) == 4


def test_lease_counts_from_the_second_last_answer() -> None:
    lease = Lease([1, 2, 3])
    lease.answered(1, 10.0)
    assert not lease.holds(10.0)
    lease.answered(2, 11.0)
    assert lease.holds(14.4)
    assert not lease.holds(14.6)
    assert lease.end() < 10.0 + wait_out_s()


def test_marks_wait_for_blobs() -> None:
    marks = Marks([1, 2, 3], 0)
    marks.new_blobs(1, missing=[2, 3])
    marks.holds(1, 2, 2)
    marks.holds(2, 2, 2)
    marks.advance()
    assert (marks.acked, marks.durable) == (0, 0)
    marks.blobs_stored(2, 1)
    marks.advance()
    assert (marks.acked, marks.durable) == (2, 0)
    marks.blobs_synced(1, 2)
    marks.advance()
    assert marks.durable == 0
    marks.blobs_synced(2, 2)
    marks.advance()
    assert marks.durable == 2


def test_lost_blobs_hold_durable_back_until_stored_again() -> None:
    marks = Marks([1, 2, 3], 0)
    marks.new_blobs(1, missing=[3])
    for bank in (1, 2):
        marks.holds(bank, 1, 1)
    marks.advance()
    marks.blobs_lost(2)
    assert marks.holes(2) == [1]
    marks.blobs_synced(1, 1)
    marks.advance()
    assert (marks.acked, marks.durable) == (1, 0)
    marks.blobs_stored(2, 1)
    marks.blobs_synced(2, 1)
    marks.advance()
    assert marks.durable == 1


def test_config_is_the_same_bytes_whatever_the_order() -> None:
    one = Config({8000: BankSeat(8001, "b"), 7000: BankSeat(7000, "a", 5)})
    other = Config({7000: BankSeat(7000, "a", 5)}).with_seat(8000, BankSeat(8001, "b"))
    assert encode_config(one) == encode_config(other)
    assert decode_config(encode_config(one)) == one
    assert one.names(8000, "b")
    assert not one.names(9000, "b")


def test_acceptor_is_guessed_by_what_the_servers_say() -> None:
    def says(port: int, standing: str, head: int) -> Identity:
        return Identity("v", port, "", "", standing, NO_EPOCH, Epoch(1, 1), 0, b"", head, b"", 0, 0)  # type: ignore[arg-type]

    assert likely_acceptor([says(7000, "blobs", 9), says(7001, "voter", 5)]) == 7001
    assert likely_acceptor([says(7000, "voter", 3), says(7001, "voter", 5)]) == 7001
    assert likely_acceptor([says(7000, "empty", 0), says(7001, "suspect", 5)]) == 7001
    assert likely_acceptor([says(7000, "blobs", 0)]) is None


def test_small_volumes_are_compared_whole_and_large_ones_in_turns() -> None:
    assert ShardTurn(40).take(0.01, 60) == range(256)
    turn = ShardTurn()
    seen: list[int] = []
    while not seen or turn.position:
        taken = turn.take(0.1, 60)
        assert len(taken) <= 30
        seen += taken
        turn = turn.after(taken, 5.0)
    assert seen == list(range(256))


def test_scrub_keeps_its_rate_and_position() -> None:
    pace = Pace(0.0, bytes_per_s=100)
    assert pace.allowed(0.5, busy=False) == 50
    pace.spent(80)
    assert pace.allowed(0.6, busy=False) == 0
    assert pace.allowed(9.0, busy=False) == 100
    pace.spent(100)
    assert pace.allowed(10.0, busy=True) == 10
    position = ScrubPosition().advanced(7, 100, more=True, wall_time=1.0)
    assert position.left_s(300, 100) == 2
    assert position.advanced(9, 100, more=False, wall_time=2.0) == ScrubPosition(0, 0, 1, 2.0)
