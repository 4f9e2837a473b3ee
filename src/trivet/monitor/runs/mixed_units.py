"""Files in which some times count another unit than the rest: found by where on the calendar they fall.

Rule: a number is suspected only beside others of its file that are dates of 2000 to 2100 in the unit that was
told; alone it may be a time since a start, and stays. What stayed so before the first
date is told at the end.
"""

from dataclasses import dataclass, field

import numpy as np

from trivet.insight.runs.event_table import SECOND_NS, UNKNOWN, Ints, Mask
from trivet.monitor.runs.time_columns import UNITS_NS

_NEARLY_ALL = 0.9
_FIRST_NS, _LAST_NS = 946_684_800 * SECOND_NS, 4_102_444_800 * SECOND_NS


@dataclass(slots=True)
class UnitWatch:
    """What was seen of the times of one file that were read as `unit`."""

    unit: str
    dates: int = 0
    others: dict[str, int] = field(default_factory=dict)
    numbers: int = 0
    kept: int = 0

    def suspects(self, times: Ints) -> Mask:
        """Which of `times` (ns, read as `unit`) are dates only in a larger unit, while others are in this."""
        self.numbers += int(np.count_nonzero(times != UNKNOWN))
        self.dates += int(np.count_nonzero((times >= _FIRST_NS) & (times < _LAST_NS)))
        found = np.zeros(len(times), np.bool_)
        for unit in ("us", "ms", "s"):
            factor = UNITS_NS[unit] // UNITS_NS[self.unit]
            if factor > 1:
                would = (times >= _FIRST_NS // factor) & (times < _LAST_NS // factor)
                if would.any():
                    self.others[unit] = self.others.get(unit, 0) + int(np.count_nonzero(would))
                    found |= would
        if self.dates:
            return found
        self.kept += int(np.count_nonzero(found))
        return np.zeros(len(times), np.bool_)

    def words(self, path: str) -> str:
        """What is to be told of the file `path`, if anything."""
        counted = " and ".join(f"{count:,} in {unit}" for unit, count in self.others.items())
        if self.dates and counted:
            told = f"{self.dates:,} times are dates in {self.unit}, {counted}; these were left out"
            if self.kept:
                told += f", but for {self.kept:,} before the first date in {self.unit}, which count wrongly"
            return f"{path} mixes units: {told}: write all in {self.unit}, or put them into another file"
        if sum(self.others.values()) > _NEARLY_ALL * self.numbers:
            meant = " or ".join(self.others)
            return (
                f"nearly all times of {path} would be dates after 2000 if they were {meant}: is --unit right?"
            )
        return ""
