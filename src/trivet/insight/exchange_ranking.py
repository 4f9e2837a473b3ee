"""Exchanges put in order: the slow ones, the errors, and totals per host and per URL."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from trivet.insight.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Group:
    """Totals of one host or URL; waits in seconds, None where nothing was answered."""

    name: str
    exchanges: int
    errors: int
    unanswered: int
    bytes: int
    wait_p50_s: float | None
    wait_p95_s: float | None
    total_max_s: float | None


def slowest(exchanges: Iterable[Exchange], count: int) -> list[Exchange]:
    """Return the `count` exchanges that took longest, slowest first."""
    timed = [one for one in exchanges if one.total_s is not None]
    return sorted(timed, key=lambda one: -(one.total_s or 0.0))[:count]


def failed(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Return the exchanges that went wrong: status 400 and above, no answer, or not the whole of it."""
    return [one for one in exchanges if one.status is None or one.status >= 400 or not one.whole]


def path_url(one: Exchange) -> str:
    """Return the URL without its query."""
    return one.url.partition("?")[0]


def grouped(exchanges: Iterable[Exchange], key: Callable[[Exchange], str]) -> list[Group]:
    """Return totals per `key`, the most frequent first, then the slowest."""
    members: dict[str, list[Exchange]] = defaultdict(list)
    for one in exchanges:
        members[key(one)].append(one)
    groups = []
    for name, ones in members.items():
        waits = [one.wait_s for one in ones if one.wait_s is not None]
        totals = [one.total_s for one in ones if one.total_s is not None]
        p50, p95 = np.percentile(waits, [50, 95]) if waits else (None, None)
        groups.append(
            Group(
                name,
                len(ones),
                sum(one.status is not None and one.status >= 400 for one in ones),
                sum(one.status is None for one in ones),
                sum(one.response_bytes for one in ones),
                None if p50 is None else float(p50),
                None if p95 is None else float(p95),
                max(totals, default=None),
            )
        )
    return sorted(groups, key=lambda group: (-group.exchanges, -(group.wait_p95_s or 0.0)))
