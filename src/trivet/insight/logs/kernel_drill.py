"""What stands behind one section or one address: its URLs and who asks for them.

Rule: only for looking at, so it may take tens of milliseconds; it changes nothing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trivet.insight.logs.kernel_report import name_of, pair_arrays
from trivet.insight.logs.kernel_tables import COUNT, LENGTH, Pairs, Strings
from trivet.insight.logs.summary import TOP

Ints = NDArray[np.int64]


class Drill(NamedTuple):
    """Hits in all, the heaviest URLs and the heaviest addresses."""

    hits: int
    urls: list[tuple[bytes, int]]
    ips: list[tuple[bytes, int]]


def _id_of(table: Strings, name: bytes) -> int:
    """Return the id of `name`, or -1."""
    lengths = table.figures[: table.state[COUNT], LENGTH]
    for k in np.flatnonzero(lengths == len(name)).tolist():
        if name_of(table, k) == name:
            return int(k)
    return -1


def _heaviest(table: Strings, ids: Ints, counts: Ints) -> list[tuple[bytes, int]]:
    """Return names and summed `counts` of the TOP ids."""
    if not len(ids):
        return []
    sums = np.bincount(ids, weights=counts).astype(np.int64)
    top = np.argsort(-sums, kind="stable")[:TOP]
    return [(name_of(table, int(k)), int(sums[k])) for k in top.tolist() if sums[k]]


def drill_address(pairs: Pairs, ips: Strings, urls: Strings, name: bytes) -> Drill:
    """Return what the address `name` asked for."""
    ip_ids, url_ids, counts = pair_arrays(pairs)
    mine = ip_ids == _id_of(ips, name)
    return _drill(ips, urls, ip_ids[mine], url_ids[mine], counts[mine])


def drill_section(
    pairs: Pairs, ips: Strings, urls: Strings, sections: tuple[Strings, Ints], name: bytes
) -> Drill:
    """Return the URLs of the section `name` and who asks for them; `sections` is of `sections_of`."""
    ip_ids, url_ids, counts = pair_arrays(pairs)
    mine = sections[1][url_ids] == _id_of(sections[0], name)
    return _drill(ips, urls, ip_ids[mine], url_ids[mine], counts[mine])


def _drill(ips: Strings, urls: Strings, ip_ids: Ints, url_ids: Ints, counts: Ints) -> Drill:
    return Drill(int(counts.sum()), _heaviest(urls, url_ids, counts), _heaviest(ips, ip_ids, counts))
