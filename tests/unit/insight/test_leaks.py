"""What is a leak and what is not: growth, noise, walks, teeth and warm-ups made with a seed."""

import random
from collections.abc import Callable
from math import exp

import pytest

from trivet.insight.leaks import GrowthWatch, Scale, leak_in

MIB = 1 << 20
HOUR_S = 3600


def first_told_s(value: Callable[[int], float], seconds: int, every_s: int = 5) -> int | None:
    """Feed `value` of each second; return when a leak was first told."""
    watch = GrowthWatch(16 * MIB)
    for at_s in range(0, seconds, every_s):
        watch.add(at_s, value(at_s))
        if at_s % 60 == 0 and watch.leak() is not None:
            return at_s
    return None


def test_steady_growth_is_told_within_half_an_hour_with_noise_on_it() -> None:
    rng = random.Random(1)
    told = first_told_s(lambda s: 100 * MIB + s / 60 * 2 * MIB + rng.gauss(0, 2 * MIB), HOUR_S)
    assert told is not None
    assert told <= 1860


def test_rare_steps_are_told_by_the_coarse_scale() -> None:
    assert first_told_s(lambda s: 100 * MIB + s // 1200 * 8 * MIB, 8 * HOUR_S) is not None


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_random_walks_are_no_leak(seed: int) -> None:
    rng = random.Random(seed)
    walked = 500.0 * MIB

    def walk(_: int) -> float:
        nonlocal walked
        walked += rng.gauss(0, MIB)
        return walked

    assert first_told_s(lambda _: 200 * MIB + rng.gauss(0, 30 * MIB), 4 * HOUR_S) is None
    assert first_told_s(walk, 4 * HOUR_S) is None


@pytest.mark.parametrize("tooth_s", [7, 60, 190, 600, 900])
def test_a_sawtooth_is_no_leak(tooth_s: int) -> None:
    assert first_told_s(lambda s: 100 * MIB + s % tooth_s / tooth_s * 400 * MIB, 4 * HOUR_S) is None


def test_a_sawtooth_whose_floor_rises_is_a_leak() -> None:
    told = first_told_s(lambda s: 100 * MIB + s % 50 * 4 * MIB + s / 60 * 2 * MIB, HOUR_S)
    assert told is not None


@pytest.mark.parametrize("warm_s", [60, 200, 500])
def test_a_process_that_warms_up_is_no_leak(warm_s: int) -> None:
    assert first_told_s(lambda s: 50 * MIB + 400 * MIB * (1 - exp(-s / warm_s)), 4 * HOUR_S) is None


def test_growth_that_does_not_matter_is_not_told() -> None:
    assert first_told_s(lambda s: 2000 * MIB + s / 60 * 0.1 * MIB, HOUR_S) is None


def test_a_gap_begins_anew_and_handles_are_counted_alike() -> None:
    watch = GrowthWatch(20, [Scale(1.0, 30)])
    for at_s in range(25):
        watch.add(at_s, 100 + 5 * at_s)
    assert watch.leak() is not None
    watch.add(3600, 1000)
    assert watch.leak() is None


def test_few_values_prove_nothing() -> None:
    assert not leak_in([1.0, 2e9, 4e9], 1)
