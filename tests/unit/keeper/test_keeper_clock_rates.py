"""Clocks compared by how far they went: which drift, whose it is, and what says nothing."""

import pytest

from trivet.keeper.clock_rates import ClockRate, clock_notes


def clock(rate: float, seconds: int = 10, took_s: float = 0.01) -> ClockRate:
    """Return what is known of a clock of that rate after some seconds."""
    made = ClockRate()
    for own_s in range(seconds):
        made.note(own_s, own_s + took_s, 1000 + rate * own_s)
    return made


def test_a_rate_is_told_once_it_means_something() -> None:
    assert clock(1.5).rate() == pytest.approx(1.5)
    assert clock(1.5, seconds=3).rate() is None
    assert clock(1.5, took_s=0.5).rate() is None


def test_a_clock_that_begins_anew_is_looked_at_anew() -> None:
    made = clock(1.0)
    made.note(20.0, 20.0, 5.0)
    assert made.rate() is None


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({1: 1.0, 2: 1.05, 3: None}, []),
        ({1: 1.0, 2: 1.3, 3: 1.0}, ["the clock of server 2 runs 1.30 times"]),
        ({1: 0.5, 2: 0.5, 3: 0.5}, ["the keeper's clock runs 2.00 times"]),
        ({}, []),
    ],
)
def test_who_is_named(rates: dict[int, float | None], said: list[str]) -> None:
    told = clock_notes(rates)
    assert len(told) == len(said)
    assert all(note.startswith(words) for note, words in zip(told, said, strict=True))
