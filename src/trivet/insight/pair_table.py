"""Counts of (IP, URL) pairs for a log that never ends: exact up to a cap, a sketch beyond it.

Rule: a sketch is marked approximate and says by how much a count may be off; it never calls itself exact.
"""

from collections import Counter

import datasketches

#: what one pair costs in the exact table: the key's tuple and texts, the slot and the count
PAIR_BYTES = 400
#: the sketch keeps up to 0.75 * 2^LG_SIZE pairs, about 10 MiB
LG_SIZE = 16
_SEPARATOR = "\x00"


class PairTable:
    """Counts pairs within about `cap_bytes` of memory."""

    def __init__(self, cap_bytes: int) -> None:
        self._most = max(cap_bytes // PAIR_BYTES, 1000)
        self._exact: Counter[tuple[str, str]] = Counter()
        self._sketch: datasketches.frequent_strings_sketch | None = None
        self.requests = 0

    def add(self, ip: str, url: str) -> None:
        """Count one request."""
        self.requests += 1
        if self._sketch is not None:
            self._sketch.update(ip + _SEPARATOR + url)
            return
        self._exact[ip, url] += 1
        if len(self._exact) > self._most:
            self._sketch = datasketches.frequent_strings_sketch(LG_SIZE)
            for (known_ip, known_url), n in self._exact.items():
                self._sketch.update(known_ip + _SEPARATOR + known_url, n)
            self._exact.clear()

    @property
    def approximate(self) -> bool:
        """Whether the cap was reached and counts are estimates now."""
        return self._sketch is not None

    @property
    def error_bound(self) -> int:
        """By how much a count may be too high at most; 0 while exact."""
        return int(self._sketch.epsilon * self._sketch.total_weight) + 1 if self._sketch is not None else 0

    def top(self, most: int) -> list[tuple[str, str, int]]:
        """Return the `most` most frequent (ip, url, n), most first, equal counts by name."""
        if self._sketch is None:
            rows = [(ip, url, n) for (ip, url), n in self._exact.items()]
        else:
            found = self._sketch.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES)
            rows = [(*name.split(_SEPARATOR, 1), estimate) for name, estimate, *_ in found]
        return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:most]
