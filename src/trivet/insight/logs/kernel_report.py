"""Reading the kernel's tables: names out of the arena, heaviest entries first.

Rule: only names that are shown are taken out as bytes; everything else stays arrays.
"""

from collections.abc import Iterator
from heapq import nsmallest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.insight.logs.kernel_tables import (
    BYTES,
    COUNT,
    HITS,
    LENGTH,
    OFFSET,
    TIMED,
    TIMED_MAX_US,
    TIMED_SUM_US,
    Pairs,
    Strings,
)
from trivet.insight.logs.summary import (
    MOST_AGENTS,
    MOST_SECTIONS,
    TOP,
    AccessSummary,
    SlowUrl,
    ranked,
    ranked_ips,
    ranked_sections,
    ranked_slow,
)

Ints = NDArray[np.int64]
#: weights from here on are told apart by sorting
_HEAVY = 1 << 16


def name_of(table: Strings, k: int) -> bytes:
    """Return the string with id `k`."""
    offset = int(table.figures[k, OFFSET])
    return bytes(table.arena[offset : offset + int(table.figures[k, LENGTH])])


def _edge(weights: Ints, top: int) -> int:
    """Return the largest value that at least `top` of the `weights` (none negative) reach."""
    # partition is slow where most are equal, as counts are: that is left for the few heavy ones
    reached = np.cumsum(np.bincount(np.minimum(weights, _HEAVY))[::-1])[::-1]
    value = int(np.flatnonzero(reached >= top)[-1])
    if value < _HEAVY:
        return value
    heavy = weights[weights >= _HEAVY]
    return int(np.partition(heavy, len(heavy) - top)[len(heavy) - top])


def heaviest(table: Strings, top: int) -> Iterator[tuple[bytes, int]]:
    """Yield the `top` strings by hits and those tied with the last of them, in no order."""
    count = int(table.state[COUNT])
    weights: Ints = table.figures[:count, HITS]
    # the empty name is left out by `ranked`: one more than asked for
    chosen = np.flatnonzero(weights >= _edge(weights, top + 1)) if count > top + 1 else np.arange(count)
    return ((name_of(table, k), int(weights[k])) for k in chosen.tolist())


def pair_arrays(pairs: Pairs) -> tuple[Ints, Ints, Ints]:
    """Return (ip ids, url ids, counts) of all pairs."""
    cells = pairs.cells[pairs.cells[:, 0] != 0]
    return *_ids(cells), cells[:, 1].astype(np.int64)


def _ids(cells: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Return (ip ids, url ids) of `cells`."""
    keys = (cells[:, 0] - np.uint64(1)).astype(np.int64)
    return keys >> 32, keys & 0xFFFFFFFF


def heaviest_pairs(pairs: Pairs, ips: Strings, urls: Strings, top: int) -> list[tuple[bytes, bytes, int]]:
    """Return the `top` pairs by count, ties by address and URL."""
    counts = pairs.cells[:, 1].astype(np.int64)
    edge = max(1, _edge(counts, top)) if len(counts) >= top else 1
    above, ties = np.flatnonzero(counts > edge), np.flatnonzero(counts == edge)
    ties = _first_by_address(ties, _ids(pairs.cells[ties])[0], ips, top)
    chosen = pairs.cells[np.concatenate([above, ties])]
    ip_ids, url_ids = _ids(chosen)
    named = [
        (name_of(ips, int(ip)), name_of(urls, int(url)), int(count))
        for ip, url, count in zip(ip_ids, url_ids, chosen[:, 1], strict=True)
    ]
    return sorted(named, key=lambda pair: (-pair[2], pair[0], pair[1]))[:top]


def _first_by_address(ties: Ints, ip_ids: Ints, ips: Strings, top: int) -> Ints:
    """Return those of (maybe millions of) `ties` that the first `top` by address can be among."""
    if len(ties) <= 500:
        return ties
    tied = np.zeros(int(ips.state[COUNT]), np.bool_)
    tied[ip_ids] = True
    first = nsmallest(top, np.flatnonzero(tied).tolist(), key=lambda k: name_of(ips, k))
    wanted = np.zeros_like(tied)
    wanted[first] = True
    return ties[wanted[ip_ids]]


def named_sections(table: Strings) -> dict[bytes, list[int]]:
    """Return hits and bytes of the sections in `table`; of very many, the heavier ones."""
    count = int(table.state[COUNT])
    chosen = np.arange(count)
    if count > MOST_SECTIONS:
        hits = table.figures[:count, HITS]
        chosen = np.flatnonzero(hits >= _edge(hits, MOST_SECTIONS))
    figures = table.figures[chosen][:, [HITS, BYTES]].tolist()
    return {name_of(table, k): figure for k, figure in zip(chosen.tolist(), figures, strict=True)}


def read_tables(tables: tuple[Strings, ...], pairs: Pairs, sections: dict[bytes, list[int]]) -> AccessSummary:
    """Return what the tables say; `sections` were collected before."""
    ips, urls, agents, referrers = tables
    return AccessSummary(
        distinct_ips=int(ips.state[COUNT]),
        distinct_pairs=int(pairs.state[0]),
        distinct_urls=int(urls.state[COUNT]),
        sections=ranked_sections(sections),
        top_ips=ranked_ips(heaviest(ips, TOP)),
        top_pairs=heaviest_pairs(pairs, ips, urls, TOP),
        top_urls=ranked(heaviest(urls, TOP), TOP),
        slow_urls=_slowest(urls, int(urls.state[COUNT])),
        agents=ranked(heaviest(agents, MOST_AGENTS), MOST_AGENTS),
        referrers=ranked(heaviest(referrers, TOP), TOP),
    )


def names_counted(tables: tuple[Strings, ...], pairs: Pairs) -> tuple[Any, ...]:
    """Return what the tables hold by name, as `Counted` wants it: from `ips` to `slow`."""
    sizes = [int(table.state[COUNT]) for table in tables]
    names = ([name_of(table, k) for k in range(n)] for table, n in zip(tables, sizes, strict=True))
    ips, urls, agents, referrers = names
    hits = [table.figures[:n, HITS].tolist() for table, n in zip(tables, sizes, strict=True)]
    ip_ids, url_ids, counts = (column.tolist() for column in pair_arrays(pairs))
    named = (((ips[ip], urls[url]), n) for ip, url, n in zip(ip_ids, url_ids, counts, strict=True))
    figures = tables[1].figures[: sizes[1]]
    slow = np.flatnonzero(figures[:, TIMED]).tolist()
    return (
        dict(zip(ips, hits[0], strict=True)),
        dict(zip(urls, hits[1], strict=True)),
        dict(named),
        dict(zip(agents, hits[2], strict=True)),
        dict(zip(referrers, hits[3], strict=True)),
        {urls[k]: figures[k, [TIMED, TIMED_SUM_US, TIMED_MAX_US]].tolist() for k in slow},
    )


def _slowest(urls: Strings, count: int) -> list[SlowUrl]:
    figures = urls.figures[:count]
    timed = np.flatnonzero(figures[:, TIMED])
    if not len(timed):
        return []
    means = figures[timed, TIMED_SUM_US] / figures[timed, TIMED]
    if len(timed) > TOP:
        edge = np.partition(means, len(timed) - TOP)[len(timed) - TOP]
        timed = timed[means >= edge]
    return ranked_slow(
        SlowUrl(
            name_of(urls, k),
            int(figures[k, TIMED]),
            int(figures[k, TIMED_SUM_US]) / int(figures[k, TIMED]) / 1e6,
            int(figures[k, TIMED_MAX_US]) / 1e6,
        )
        for k in timed.tolist()
    )
