"""Making the kernel's tables smaller when memory is out: the lighter half goes.

Rule: what is dropped had at most `cut` counts; a figure shown later is too low by at most the sum of cuts.
Rule: an address or URL that a kept pair names is kept.
"""

import numpy as np
from numpy.typing import NDArray

from trivet.insight.logs.kernel_report import pair_arrays
from trivet.insight.logs.kernel_tables import (
    ARENA_USED,
    COUNT,
    HITS,
    LENGTH,
    OFFSET,
    Pairs,
    Strings,
    copy_strings,
    new_strings,
    refill_slots,
)

Ints = NDArray[np.int64]


def heavier_pairs(pairs: Pairs) -> tuple[Ints, int]:
    """Return ((key, count) rows of the heavier half, the most counts that a dropped pair had)."""
    ips, urls, counts = pair_arrays(pairs)
    cut = int(np.partition(counts, len(counts) // 2)[len(counts) // 2])
    kept = counts > cut
    return np.stack([ips[kept] << 32 | urls[kept], counts[kept]], axis=1), cut


def heavier_strings(table: Strings, needed: Ints) -> tuple[Strings, Ints, int]:
    """Return (a table of the heavier half and the `needed` ids, new ids by old, most hits dropped)."""
    count = int(table.state[COUNT])
    hits = table.figures[:count, HITS]
    cut = int(np.partition(hits, count // 2)[count // 2]) if count else 0
    keep = hits > cut
    keep[needed] = True
    old = np.flatnonzero(keep)
    lengths = table.figures[old, LENGTH]
    offsets = np.cumsum(lengths) - lengths
    smaller = new_strings(max(4096, 2 * len(old)), max(1 << 17, 2 * int(lengths.sum())))
    smaller.hashes[: len(old)] = table.hashes[old]
    smaller.figures[: len(old)] = table.figures[old]
    smaller.figures[: len(old), OFFSET] = offsets
    copy_strings(table.arena, table.figures[old, OFFSET], lengths, smaller.arena, offsets)
    smaller.state[COUNT], smaller.state[ARENA_USED] = len(old), int(lengths.sum())
    refill_slots(smaller.slots, smaller.hashes, len(old))
    new_ids = np.full(max(count, 1), -1, np.int64)
    new_ids[old] = np.arange(len(old))
    return smaller, new_ids, cut


def pair_hashes(pairs: Pairs, ips: Strings, urls: Strings) -> NDArray[np.uint64]:
    """Return a hash of each pair that does not depend on ids."""
    ip_ids, url_ids, _ = pair_arrays(pairs)
    mixed: NDArray[np.uint64] = ips.hashes[ip_ids] * np.uint64(0x9E3779B97F4A7C15) ^ urls.hashes[url_ids]
    return mixed
