"""What `make faults` and a soak run, how much of it, for how long, and what they say of it."""

import argparse
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import pytest

from faults import PARTS, SPREAD, Lane, Part, Tally, amount, rounds, work

KILLS = Part("kills", "TRIVET_NO_SUCH_KILLS", 200, 5000, ("tests/x.py",))
MUTANTS = Part("mutants", "TRIVET_NO_SUCH_MUTANTS", 1000, 1000, ("tests/y.py",))
WIPES = Part("wipes", "TRIVET_NO_SUCH_WIPES", 10, 500, ("tests/z.py",))


class Clock:
    """A clock that goes on only when something runs."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def ran(lane: Lane, *, hours: float, soak: bool, takes_s: float, bad: set[int]) -> list[tuple[str, int, int]]:
    """Return what `work` ran, each for `takes_s`; what begins at a seed of `bad` fails."""
    clock, calls = Clock(), []

    def run(part: Part, count: int, seed: int, _lane: Lane) -> bool:
        calls.append((part.what, count, seed))
        clock.now += takes_s
        return seed not in bad

    work(lane, argparse.Namespace(hours=hours, soak=soak), 7, run, clock)
    return calls


@pytest.fixture
def make_lane(tmp_path: Path) -> Callable[..., Lane]:
    return lambda *parts: Lane(tmp_path / "log", 0, {part: Tally() for part in parts})


def test_one_round_without_hours_and_as_many_as_fit_with_them() -> None:
    clock = Clock()
    assert list(rounds(0.0, clock)) == [0]
    seen = []
    for number in takewhile(lambda number: number < 100, rounds(1.0, clock)):
        seen.append(number)
        clock.now += 1000.0
    assert seen == [0, 1, 2, 3]


def test_how_much_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert amount(KILLS, soak=False, hours=0.0) == 200
    assert amount(KILLS, soak=True, hours=0.0) == 5000
    assert amount(KILLS, soak=True, hours=2.0) == 10
    assert amount(WIPES, soak=True, hours=2.0) == 1
    assert amount(MUTANTS, soak=True, hours=2.0) == 1000
    monkeypatch.setenv(KILLS.variable, "3")
    assert amount(KILLS, soak=True, hours=0.0) == 3


def test_without_hours_each_part_runs_once(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(KILLS, MUTANTS)
    assert ran(lane, hours=0.0, soak=False, takes_s=50.0, bad={7}) == [
        ("kills", 200, 7),
        ("mutants", 1000, 7),
    ]
    assert lane.tallies == {KILLS: Tally(200, 50.0, [7]), MUTANTS: Tally(1000, 50.0, [7])}


def test_a_soak_goes_round_with_new_seeds_until_its_time_is_over(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(KILLS, MUTANTS, WIPES)
    calls = ran(lane, hours=1.0, soak=True, takes_s=900.0, bad={17})
    assert calls == [
        ("kills", 10, 7),
        ("mutants", 1000, 7),
        ("wipes", 1, 7),
        ("kills", 10, 17),
        ("wipes", 1, 8),
    ]
    assert lane.tallies[KILLS] == Tally(20, 1800.0, [17])
    assert lane.tallies[MUTANTS] == Tally(1000, 900.0)
    assert lane.tallies[WIPES] == Tally(2, 1800.0)


def test_mutants_alone_end_after_a_round(make_lane: Callable[..., Lane]) -> None:
    assert len(ran(make_lane(MUTANTS), hours=1.0, soak=True, takes_s=1.0, bad=set())) == 1


def test_every_part_names_tests_that_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    for part in PARTS:
        paths = [root / word.partition("::")[0] for word in part.tests if word not in SPREAD]
        assert paths
        assert all(path.exists() for path in paths), part
