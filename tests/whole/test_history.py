"""The checker is tested itself: histories that no volume may have are refused, those it may have are not."""

from dataclasses import replace
from typing import Any

import pytest

from history import ABSENT, Event, Operation, Refused, check_linearizable, check_witness

STORE = Operation(1, "store", b"a", 1.0, 7, b"", 2.0, "ok")
LOAD = Operation(2, "load", b"a", 3.0, 7, b"", 4.0, "ok")
REMOVE = Operation(1, "remove", b"a", 5.0, None, b"", 6.0, "ok")
GONE = Operation(2, "load", b"a", 7.0, None, b"", 8.0, "absent")
MOVE = Operation(1, "move", b"a", 5.0, None, b"b", 6.0, "ok")
LOG = [Event(1, 1.5, b"a", 7), Event(2, 5.5, b"a", ABSENT)]
MOVED = [Event(1, 1.5, b"a", 7), Event(2, 5.5, b"a", ABSENT), Event(2, 5.5, b"b", 7)]


def test_what_a_volume_does_is_accepted() -> None:
    check_witness([STORE, LOAD, REMOVE, GONE], LOG)
    check_linearizable([STORE, LOAD, REMOVE, GONE])
    check_witness([STORE, LOAD, MOVE], MOVED)


def test_what_is_moved_is_what_is_there_when_the_log_takes_the_move_in() -> None:
    """A content is stored over the one that stood there when the move was called, before it is done."""
    over = replace(STORE, client=2, content=8, called=4.9, returned=5.3)
    then = [LOG[0], Event(2, 5.2, b"a", 8), Event(3, 5.5, b"a", ABSENT), Event(3, 5.5, b"b", 8)]
    check_witness([STORE, MOVE, over], then)
    for wrong in ([*then[:3], Event(3, 5.5, b"b", 7)], [*then[:3], Event(4, 5.6, b"b", 8)]):
        with pytest.raises(Refused):
            check_witness([STORE, MOVE, over], wrong)


def test_what_nobody_knows_may_have_happened_or_not() -> None:
    unknown = replace(STORE, returned=None, outcome="unknown")
    for load in (LOAD, replace(LOAD, content=None, outcome="absent")):
        check_linearizable([unknown, load])
    check_witness([unknown], [])
    check_witness([unknown], [Event(1, 9.5, b"a", 7)])


@pytest.mark.parametrize(
    ("operations", "log"),
    [
        ([STORE], []),  # acknowledged and lost
        ([STORE], [Event(1, 2.5, b"a", 7)]),  # committed only after it was acknowledged
        ([STORE], [Event(1, 1.5, b"a", 8)]),  # other bytes than those that were stored
        ([], [Event(1, 1.5, b"a", 7)]),  # a phantom
        (
            [STORE, replace(REMOVE, outcome="absent")],
            LOG,
        ),  # removed, and told it was not there
        ([STORE, replace(LOAD, content=8)], LOG),  # wrong bytes
        ([STORE, replace(LOAD, called=6.1, returned=6.2)], LOG),  # read what was gone
        ([STORE, replace(GONE, called=3.0, returned=4.0)], LOG),  # missed what was there
        ([STORE, REMOVE], LOG[:1]),  # removed, and still there
        ([STORE, MOVE], MOVED[:2]),  # moved, and lost on the way
        ([STORE, MOVE], [MOVED[0], MOVED[2]]),  # moved, and still there
        ([replace(STORE, outcome="failed")], [Event(1, 1.5, b"a", 7)]),  # said to have failed, and done
    ],
)
def test_the_witness_refuses(operations: Any, log: Any) -> None:
    with pytest.raises(Refused):
        check_witness(operations, log)


@pytest.mark.parametrize(
    "operations",
    [
        [STORE, replace(LOAD, content=8)],
        [STORE, replace(GONE, called=3.0, returned=4.0)],
        [STORE, REMOVE, replace(LOAD, called=7.0, returned=8.0)],
        [STORE, replace(STORE, content=9, called=2.5, returned=2.8), LOAD],  # a stale read
        [STORE, REMOVE, replace(REMOVE, client=3, called=6.5, returned=6.8)],  # removed twice
        [  # two readers who saw two writes in different orders
            STORE,
            replace(STORE, content=9),
            replace(LOAD, called=2.1, returned=2.2),
            replace(LOAD, called=2.3, returned=2.4, content=9),
            replace(LOAD, called=2.5, returned=2.6),
        ],
    ],
)
def test_the_search_refuses(operations: Any) -> None:
    with pytest.raises(Refused):
        check_linearizable(operations)


def test_the_search_finds_an_order_of_many_at_once() -> None:
    """Fourteen writes at the same time, then readers that agree on the last one."""
    writes = [replace(STORE, client=at, content=at + 1, called=1.0, returned=2.0) for at in range(14)]
    reads = [replace(LOAD, client=at, content=5, called=3.0 + at, returned=3.5 + at) for at in range(3)]
    check_linearizable([*writes, *reads])
