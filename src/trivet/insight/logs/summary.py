"""What a log says once it was read: the figures of every report, whichever engine counted them.

Rule: names and meanings of `as_json` are a contract with other programs; new ones are added at the end.
Rule: ties are broken by the bytes of the names, so that both engines and every run say the same
(addresses by number).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trivet.wire.access_log import escape

TOP = 20
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
#: sections that are listed; a log with more of them is under attack, and the rest is summed up as one
MOST_SECTIONS = 10_000
#: user agents that are kept for the reports
MOST_AGENTS = 10_000


class Fed(NamedTuple):
    """What an engine says of one block: `bad_lines` are (line number in the block, start, end) rows.

    `rows` are (second, hits, bytes, 4xx, 5xx), a second may come several times; `timings` (second, µs).
    """

    lines: int
    bad_lines: NDArray[np.int64]
    rows: NDArray[np.int64]
    timings: NDArray[np.int64]


class SlowUrl(NamedTuple):
    """A URL with durations: how often, the mean and the longest."""

    url: bytes
    hits: int
    mean_s: float
    max_s: float


@dataclass(slots=True)
class AccessSummary:
    """The counts of all records; `undercount` tells by how much a listed figure may be too low, if at all."""

    lines: int = 0
    records: int = 0
    malformed: int = 0
    bad_requests: int = 0
    bytes_sum: int = 0
    distinct_ips: int = 0
    distinct_pairs: int = 0
    distinct_urls: int = 0
    status: Mapping[int, int] = field(default_factory=dict)
    sections: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)
    top_ips: Sequence[tuple[bytes, int]] = ()
    top_pairs: Sequence[tuple[bytes, bytes, int]] = ()
    top_urls: Sequence[tuple[bytes, int]] = ()
    slow_urls: Sequence[SlowUrl] = ()
    agents: Sequence[tuple[bytes, int]] = ()
    referrers: Sequence[tuple[bytes, int]] = ()
    undercount: Mapping[str, int] = field(default_factory=dict)

    def status_classes(self) -> dict[str, int]:
        """Return records by status class, exactly the four from 2xx to 5xx."""
        classes = dict.fromkeys(STATUS_CLASSES, 0)
        for status, count in self.status.items():
            name = f"{status // 100}xx"
            if name in classes:
                classes[name] += count
        return classes

    def as_json(self, malformed_lines: Sequence[int]) -> dict[str, Any]:
        """Return the figures in the shape that other programs rely on."""
        return {
            "lines": self.lines,
            "records": self.records,
            "malformed": self.malformed,
            "malformed_lines": list(malformed_lines),
            "bad_requests": self.bad_requests,
            "bytes_sum": self.bytes_sum,
            "distinct_ips": self.distinct_ips,
            "distinct_pairs": self.distinct_pairs,
            "status": {str(status): count for status, count in sorted(self.status.items())},
            "status_class": self.status_classes(),
            "sections": {
                escape(name): {"hits": hits, "bytes": size} for name, (hits, size) in self.sections.items()
            },
            "top_ips": [[escape(ip), hits] for ip, hits in self.top_ips],
            "top_pairs": [[escape(ip), escape(url), hits] for ip, url, hits in self.top_pairs],
            "top_urls": [[escape(url), hits] for url, hits in self.top_urls],
        }


class Counted(NamedTuple):
    """Everything an engine counted by name, for another engine to go on with; nothing was dropped so far.

    `sections` are [hits, bytes], `slow` [how often, microseconds in all, the longest] by URL.
    """

    summary: AccessSummary
    sections: dict[bytes, list[int]]
    ips: dict[bytes, int]
    urls: dict[bytes, int]
    pairs: dict[tuple[bytes, bytes], int]
    agents: dict[bytes, int]
    referrers: dict[bytes, int]
    slow: dict[bytes, list[int]]


def ranked(counts: Iterable[tuple[bytes, int]], top: int | None = None) -> list[tuple[bytes, int]]:
    """Return (name, count) with the heaviest first, ties by name; the empty name is left out."""
    return sorted((item for item in counts if item[0]), key=lambda item: (-item[1], item[0]))[:top]


def natural(address: bytes) -> tuple[int | bytes, ...]:
    """Return a key that sorts IPv4 addresses by number and before everything else."""
    parts = address.split(b".")
    if len(parts) == 4 and all(part.isdigit() and len(part) < 4 for part in parts):
        return (0, *(int(part) for part in parts))
    return (1, address)


def ranked_ips(counts: Iterable[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Return the TOP addresses with the most hits, ties by number."""
    return sorted(counts, key=lambda item: (-item[1], natural(item[0])))[:TOP]


def ranked_sections(figures: Mapping[bytes, Sequence[int]]) -> dict[bytes, tuple[int, int]]:
    """Return sections with the most hits first, at most MOST_SECTIONS of them."""
    order = sorted(figures.items(), key=lambda item: (-item[1][0], item[0]))
    return {name: (int(hits), int(size)) for name, (hits, size) in order[:MOST_SECTIONS]}


def ranked_slow(urls: Iterable[SlowUrl], top: int = TOP) -> list[SlowUrl]:
    """Return the slowest URLs by their mean, ties by name."""
    return sorted(urls, key=lambda slow: (-slow.mean_s, slow.url))[:top]
