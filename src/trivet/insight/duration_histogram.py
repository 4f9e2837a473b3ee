"""Durations as mergeable histograms: what an hour keeps of its samples for years.

Rule: buckets grow by 2 %, from 0.05 ms to 20 minutes, so a percentile is right within 1 %.
Rule: packed as (bucket, count) pairs, only those that are not empty; merging is adding.
"""

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

GROWTH = 1.02
LOWEST_MS = 0.05
BUCKETS = 860
_PAIR = np.dtype([("bucket", "<u2"), ("count", "<u4")])


def buckets_of(durations_ms: Floats) -> Counts:
    """Return the bucket of each duration; what is outside the range goes to the first or the last."""
    steps = np.log(np.maximum(durations_ms, LOWEST_MS) / LOWEST_MS) / log(GROWTH)
    return np.minimum(steps, BUCKETS - 1).astype(np.int64)


def counts_of(durations_ms: Floats) -> Counts:
    """Return how many durations fall in each of BUCKETS."""
    return np.bincount(buckets_of(durations_ms), minlength=BUCKETS)


def pack(counts: Counts) -> bytes:
    """Return `counts` as the bytes that a store keeps."""
    used = np.flatnonzero(counts)
    pairs = np.empty(len(used), dtype=_PAIR)
    pairs["bucket"], pairs["count"] = used, np.minimum(counts[used], 2**32 - 1)
    return pairs.tobytes()


def unpack_into(packed: Sequence[bytes], groups: NDArray[np.int64], group_count: int) -> Counts:
    """Return the sums of `packed` histograms by group: a row a group, a column a bucket.

    `groups` names the group of each histogram. Raises ValueError for bytes that are no histogram.
    """
    pairs = np.frombuffer(b"".join(packed), dtype=_PAIR)
    lengths = np.array([len(one) for one in packed], dtype=np.int64) // _PAIR.itemsize
    cells = np.repeat(groups, lengths) * BUCKETS + np.minimum(pairs["bucket"], BUCKETS - 1)
    sums = np.bincount(cells, weights=pairs["count"], minlength=group_count * BUCKETS)
    return sums.astype(np.int64).reshape(group_count, BUCKETS)


def percentiles(counts: Counts, percent: float) -> Floats:
    """Return the `percent` percentile in ms of each row of `counts`, interpolated in its bucket.

    The row of an empty histogram gives NaN.
    """
    totals = counts.sum(axis=1)
    ranks = percent / 100 * np.maximum(totals - 1, 0)
    below = np.cumsum(counts, axis=1)
    bucket = np.minimum((below <= ranks[:, None]).sum(axis=1), BUCKETS - 1)
    here = np.take_along_axis(counts, bucket[:, None], axis=1)[:, 0]
    before = np.take_along_axis(below, bucket[:, None], axis=1)[:, 0] - here
    inside = np.clip((ranks - before + 0.5) / np.maximum(here, 1), 0.0, 1.0)
    values = LOWEST_MS * GROWTH ** (bucket + inside)
    return np.where(totals > 0, values, np.nan)
