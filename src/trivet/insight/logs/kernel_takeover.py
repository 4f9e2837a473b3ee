"""What the regular expressions counted by name, as tables of the kernel.

Rule: ids are the places of the names in their dictionaries.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trivet.insight.logs.kernel_tables import (
    HITS,
    TIMED,
    TIMED_MAX_US,
    Pairs,
    Strings,
    find_or_add_all,
    merge_pairs,
    new_pairs,
    new_strings,
)
from trivet.insight.logs.summary import Counted
from trivet.wire.access_log import section_of

_FIRST_STRINGS = 1 << 12


def tables_of(counted: Counted, seed: np.uint64) -> tuple[tuple[Strings, ...], Pairs]:
    """Return (tables of addresses, URLs, agents and referrers; pairs) that hold what was `counted`."""
    names = (counted.ips, counted.urls, counted.agents, counted.referrers)
    tables = tuple(_strings(counts, seed) for counts in names)
    ip_ids, url_ids = ({name: k for k, name in enumerate(counts)} for counts in names[:2])
    for url, figures in counted.slow.items():
        tables[1].figures[url_ids[url], TIMED : TIMED_MAX_US + 1] = figures
    count = len(counted.pairs)
    keys = (ip_ids[ip] << 32 | url_ids[url] for ip, url in counted.pairs)
    cells = np.zeros((count, 2), np.uint64)
    cells[:, 0] = np.fromiter(keys, np.uint64, count) + np.uint64(1)
    cells[:, 1] = np.fromiter(counted.pairs.values(), np.uint64, count)
    pairs = new_pairs(max(_FIRST_STRINGS, 2 * count))
    same = np.arange(max(len(ip_ids), len(url_ids)) + 1)
    merge_pairs(pairs, cells, same, same)
    return tables, pairs


def _strings(counts: Mapping[bytes, int], seed: Any) -> Strings:
    count = len(counts)
    lengths = np.fromiter(map(len, counts), np.int64, count)
    ends = np.cumsum(lengths)
    size = int(lengths.sum())
    table = new_strings(max(_FIRST_STRINGS, 2 * count), max(_FIRST_STRINGS * 32, 2 * size))
    data = np.frombuffer(b"".join(counts), np.uint8)
    ids, hashes = np.zeros(count, np.int64), np.zeros(count, np.uint64)
    find_or_add_all(table, data, ends - lengths, ends, count, seed, hashes, ids)
    table.figures[:count, HITS] = list(counts.values())
    return table


def beyond_tables(counted: Counted) -> dict[bytes, list[int]]:
    """Return what the sections have, as [hits, bytes], beyond the hits that the URLs' table gives them.

    That table can't know the bytes of each URL, nor which requests were bad.
    """
    beyond = {name: list(figures) for name, figures in counted.sections.items()}
    for url, hits in counted.urls.items():
        beyond.setdefault(section_of(url), [0, 0])[0] -= hits
    return beyond
