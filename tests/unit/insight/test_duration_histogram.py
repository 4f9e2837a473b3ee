"""Histograms of durations: percentiles within 1 %, merging is adding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.insight.duration_histogram import (
    BUCKETS,
    GROWTH,
    LOWEST_MS,
    counts_of,
    pack,
    percentiles,
    unpack_into,
)

HIGHEST_MS = LOWEST_MS * GROWTH ** (BUCKETS - 1)
durations = st.lists(st.floats(LOWEST_MS * 1.1, HIGHEST_MS), min_size=1, max_size=300)


@given(durations, st.sampled_from([0, 50, 95, 99, 100]))
def test_percentiles_are_near_the_exact_rank(values: list[float], percent: int) -> None:
    ordered = np.sort(values)
    found = percentiles(counts_of(ordered)[None, :], percent)[0]
    rank = percent / 100 * (len(ordered) - 1)
    low, high = ordered[int(np.floor(rank))], ordered[int(np.ceil(rank))]
    assert low / GROWTH <= found <= high * GROWTH


def test_percentiles_of_many_are_within_one_per_cent() -> None:
    values = np.random.default_rng(1).lognormal(5, 1, 100_000)
    for percent in (50, 95, 99):
        found = percentiles(counts_of(values)[None, :], percent)[0]
        assert found == pytest.approx(np.percentile(values, percent), rel=0.01)


def test_an_empty_histogram_has_none() -> None:
    assert np.isnan(percentiles(np.zeros((1, BUCKETS), np.int64), 50)[0])


@given(st.lists(st.tuples(durations, st.integers(0, 3)), max_size=8))
def test_packed_histograms_add_up_by_group(parts: list[tuple[list[float], int]]) -> None:
    packed = [pack(counts_of(np.array(values))) for values, _ in parts]
    sums = unpack_into(packed, np.array([group for _, group in parts], dtype=np.int64), 4)
    for group in range(4):
        together = [value for values, own in parts if own == group for value in values]
        assert (sums[group] == counts_of(np.array(together, dtype=float))).all()


def test_what_is_out_of_range_goes_to_the_ends() -> None:
    counts = counts_of(np.array([0.0, -5.0, 1e12]))
    assert (counts[0], counts[-1], counts.sum()) == (2, 1, 3)
