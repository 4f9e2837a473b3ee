"""Which segments are old, which run ahead: retransmissions, reordering and gaps of each direction.

Rule: sequence numbers are unwrapped to 64 bits first, so that more than 4 GiB a direction is no special case.
Rule: only the few segments out of line are looked at one by one.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: A late segment that fills a gap this soon was reordered, not sent again (tshark's limit too).
REORDER_NS = 3_000_000
#: Gaps remembered per direction; beyond that the oldest count as lost for good.
MAX_GAPS = 64
_BIG = 1 << 62


def unwrap(raw: Ints, groups: Ints, start: Ints, last_raw: Ints, last: Ints) -> Ints:
    """Return 64-bit sequence numbers of `raw` (32-bit, grouped; `start` = first index of each group).

    `last_raw`/`last` are the latest raw and unwrapped number of each group from before, `last_raw` -1 = none.
    """
    fresh = last_raw < 0
    previous = np.empty_like(raw)
    previous[1:] = raw[:-1]
    previous[start] = np.where(fresh, raw[start], last_raw)
    step = ((raw - previous + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
    total = np.cumsum(step)
    base = np.where(fresh, raw[start], last) - (total[start] - step[start])
    unwrapped: Ints = total + base[groups]
    return unwrapped


def earlier_maximum(ends: Ints, groups: Ints, start: Ints, known: Ints) -> Ints:
    """Return per row the largest of `ends` before it in its group, beginning with the group's `known`."""
    before = np.empty_like(ends)
    before[1:] = ends[:-1]
    before[start] = known
    low = np.minimum.reduceat(before, start)
    flat = before - low[groups]
    span = int(flat.max(initial=0)) + 1
    if span > _BIG // max(len(start), 1):  # absurd sequence numbers: one group at a time
        for first, stop in zip(start, [*start[1:], len(ends)], strict=True):
            before[first:stop] = np.maximum.accumulate(before[first:stop])
        return before
    result: Ints = np.maximum.accumulate(flat + groups * span) - groups * span + low[groups]
    return result


class Gaps:
    """The ranges of each direction that were skipped and have not come yet."""

    def __init__(self) -> None:
        self._open: dict[int, list[tuple[int, int, int]]] = {}

    def skip(self, direction: int, first: int, end: int, time_ns: int) -> None:
        """Note that `direction` went on at `end` although `first` was next."""
        gaps = self._open.setdefault(direction, [])
        gaps.append((first, end, time_ns))
        del gaps[:-MAX_GAPS]

    def fill(self, direction: int, first: int, end: int, time_ns: int) -> str:
        """Take a late segment: `retransmissions`, or `reordered` when it closes a gap that is fresh."""
        gaps = self._open.get(direction, [])
        kind = "retransmissions"
        left: list[tuple[int, int, int]] = []
        for low, high, since_ns in gaps:
            if end <= low or first >= high:
                left.append((low, high, since_ns))
                continue
            if time_ns - since_ns < REORDER_NS:
                kind = "reordered"
            if low < first:
                left.append((low, first, since_ns))
            if end < high:
                left.append((end, high, since_ns))
        if left:
            self._open[direction] = left
        else:
            self._open.pop(direction, None)
        return kind

    def streams(self) -> set[int]:
        """Return the connections that have a gap."""
        return {direction >> 1 for direction in self._open}

    def missing_bytes(self) -> dict[int, int]:
        """Return direction -> bytes that never came."""
        return {direction: sum(high - low for low, high, _ in gaps) for direction, gaps in self._open.items()}
