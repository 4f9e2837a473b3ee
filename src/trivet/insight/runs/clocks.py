"""How far the clocks of the sources of events are apart, told by the fastest message of each.

Rule: only differences between sources are estimated; that a whole set of clocks is wrong can't be seen.
Rule: each source's fastest message is taken to travel as fast as every other source's: an error as large
as the difference of those two journeys stays.
"""

from dataclasses import dataclass

import numpy as np

from trivet.insight.runs.event_table import SECOND_NS, UNKNOWN, EventTable, Ints


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The clock of `source` is `behind_s` seconds behind the clock of `reference` (negative: ahead)."""

    source: str
    behind_s: float
    reference: str
    events: int


def clock_offsets(table: EventTable) -> tuple[ClockOffset, ...]:
    """The offset of each source's clock against that of the source with most events; () with one source."""
    if table.source is None or len(table.sources) < 2:
        return ()
    known = (table.receive != UNKNOWN) & (table.emit != UNKNOWN)
    source = table.source[known]
    count = np.bincount(source, minlength=len(table.sources))
    fastest = np.full(len(table.sources), np.iinfo(np.int64).max)
    np.minimum.at(fastest, source, table.receive[known] - table.emit[known])
    reference = int(np.argmax(count))
    return tuple(
        ClockOffset(
            str(table.sources[code]),
            float(fastest[code] - fastest[reference]) / SECOND_NS,
            str(table.sources[reference]),
            int(count[code]),
        )
        for code in np.flatnonzero(count).tolist()
    )


def corrected(table: EventTable, offsets: tuple[ClockOffset, ...]) -> Ints:
    """The times of emission as the reference's clock would have told them."""
    if table.source is None or not offsets:
        return table.emit
    shift = np.zeros(len(table.sources), np.int64)
    for offset in offsets:
        shift[list(table.sources).index(offset.source)] = round(offset.behind_s * SECOND_NS)
    return np.where(table.emit == UNKNOWN, UNKNOWN, table.emit + shift[table.source])
