"""What a server is asked for most: top (IP, URL) pairs, the busiest IP, its activity hour by hour.

Rule: counts are exact; ties are ordered by name, so that two runs give the same rows.
Rule: every hour of the log's days is shown, the silent ones too.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest

import numpy as np

from trivet.errors import InputError
from trivet.insight.arrivals import Arrivals, Ints, hour_label, wall_hour

TOP = 20
_PAIR_BY = re.compile(r"target|path(\+[^+&=\s]+)*")


def pairing(pair_by: str) -> Callable[[bytes], bytes]:
    """Return the function that takes from a request target what counts as its URL.

    `target`: all of it; `path`: up to the '?'; `path+PARAM`: the path and the parameter's value after
    a space, as in `/path/reminder get` for `/path/reminder?action=get&id=7` and path+action.
    Raises InputError for any other `pair_by`.
    """
    if not _PAIR_BY.fullmatch(pair_by):
        raise InputError(f"--pair-by '{pair_by}' is not target, path or path+PARAM (like path+action)")
    wanted = [name.encode() for name in pair_by.split("+")[1:]]
    if pair_by == "target":
        return _whole
    return partial(_path_and_parameters, wanted) if wanted else _path


def _whole(target: bytes) -> bytes:
    return target


def _path(target: bytes) -> bytes:
    return target.partition(b"?")[0]


def _path_and_parameters(wanted: list[bytes], target: bytes) -> bytes:
    path, _, query = target.partition(b"?")
    given = dict(reversed([part.partition(b"=")[::2] for part in query.split(b"&")]))
    return b" ".join([path, *(given[name] for name in wanted if name in given)])


@dataclass(frozen=True, slots=True)
class Busiest:
    """The IP with the most requests: `hits` in all, `hours` label -> requests, silent hours 0."""

    ip: str
    hits: int
    hours: dict[str, int]


def pair_counts(arrivals: Arrivals) -> tuple[Ints, Ints]:
    """Return the distinct pairs as ip * len(urls) + url, and how often each was seen."""
    key = arrivals.ip.astype(np.int64) * max(len(arrivals.urls), 1) + arrivals.url
    return np.unique(key, return_counts=True)


def top_pairs(arrivals: Arrivals, most: int = TOP, at_least: int = 1) -> list[tuple[str, str, int]]:
    """Return the `most` most frequent (ip, url, n) with n >= `at_least`, most first, equal counts by name."""
    pairs, counts = pair_counts(arrivals)
    if not len(pairs):
        return []
    floor = max(at_least, int(np.partition(counts, -min(most, len(counts)))[-min(most, len(counts))]))
    names, urls = arrivals.ips, arrivals.urls
    ips = pairs // len(urls)
    # Many pairs can share the floor's count, and they are ordered by IP first: only the first IPs matter.
    tied = np.unique(ips[counts == floor])
    first = nsmallest(most, tied.tolist(), key=names.__getitem__)
    wanted = np.flatnonzero((counts > floor) | ((counts == floor) & np.isin(ips, first)))
    rows = [(names[int(ips[k])], urls[int(pairs[k] % len(urls))], int(counts[k])) for k in wanted]
    return nsmallest(most, rows, key=lambda row: (-row[2], row[0], row[1]))


def ip_ranking(arrivals: Arrivals, most: int = TOP) -> list[tuple[int, int]]:
    """Return the `most` busiest (ip index, hits), most first, equal counts by name."""
    if not len(arrivals):
        return []
    counts = np.bincount(arrivals.ip, minlength=len(arrivals.ips))
    floor = max(int(np.sort(counts)[-min(most, len(counts))]), 1)
    ranked = [(int(k), int(counts[k])) for k in np.flatnonzero(counts >= floor)]
    return sorted(ranked, key=lambda pair: (-pair[1], arrivals.ips[pair[0]]))[:most]


def busiest(arrivals: Arrivals, shown: range) -> Busiest | None:
    """Return the busiest IP with its requests in the wall-clock hours `shown`; None for an empty log."""
    ranking = ip_ranking(arrivals, 1)
    if not ranking:
        return None
    ip, hits = ranking[0]
    counts = hour_counts(arrivals, ip, shown)
    hours = {hour_label(hour): int(n) for hour, n in zip(shown, counts, strict=True)}
    return Busiest(arrivals.ips[ip], hits, hours)


def hour_counts(arrivals: Arrivals, ip: int, hours: range) -> Ints:
    """Return the requests of client `ip` in each of `hours` (wall clock)."""
    rows = arrivals.ip == ip
    mine = wall_hour(arrivals.t[rows], arrivals.offset_s[rows]) - hours.start
    return np.bincount(mine[(mine >= 0) & (mine < len(hours))], minlength=len(hours))
