"""Whether runs wait because there is nobody to work on them.

Rule: a run waits from queue_start to queue_end and is worked on from then to its last event.
Rule: a queue is saturated while somebody waits and as many are worked on as there ever were.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.insight.runs.cleaning import CleanEvents
from trivet.insight.runs.durations import phase_spans
from trivet.insight.runs.event_table import SECOND_NS, Ints, Mask
from trivet.insight.runs.phases import TEST_RUN_PHASES

#: The phase in which a run waits for a device; all others are work.
QUEUE = next(phase for phase in TEST_RUN_PHASES if phase.name == "queue")

#: The dimensions that name a queue of its own, the first that a table has.
_QUEUE_DIMENSIONS = ("queue", "device_group")
_MOST_QUEUES = 20


@dataclass(frozen=True, slots=True)
class Saturation:
    """One queue over the time its runs span: how many waited and were worked on at a time.

    `longest_s` from `longest_begin_ns` is the longest stretch with somebody waiting; shares are of time.
    """

    queue: str
    runs: int
    most_waiting: int
    mean_waiting: float
    most_working: int
    mean_working: float
    waiting_share: float
    saturated_share: float
    longest_s: float
    longest_begin_ns: int


def saturation(events: CleanEvents) -> list[Saturation]:
    """The saturation of each queue (of all runs as one, `*all*`, where no dimension names queues)."""
    table = events.table
    spans = phase_spans(events, QUEUE, TEST_RUN_PHASES)
    right = spans.end >= spans.begin
    run, begin, end = spans.run[right], spans.begin[right], spans.end[right]
    if not len(run):
        return []
    last = np.full(len(table.run_ids), np.iinfo(np.int64).min)
    np.maximum.at(last, table.run, events.time)
    column = next((table.dimensions[d] for d in _QUEUE_DIMENSIONS if d in table.dimensions), None)
    if column is None:
        return [_one_queue("*all*", begin, end, last[run])]
    busiest = np.argsort(-np.bincount(column.value, minlength=len(column.values)), kind="stable")[
        :_MOST_QUEUES
    ]
    found = []
    for value in busiest:
        mine: Mask = np.zeros(len(table.run_ids), np.bool_)
        mine[column.run[column.value == value]] = True
        chosen = mine[run]
        if chosen.any():
            queue = str(column.values[value])
            found.append(_one_queue(queue, begin[chosen], end[chosen], last[run[chosen]]))
    return sorted(found, key=lambda queue: -queue.saturated_share)


def _one_queue(name: str, begin: Ints, end: Ints, done: Ints) -> Saturation:
    """Step through all arrivals, starts and ends of one queue, sorted by time."""
    times = np.concatenate([begin, end, done])
    order = np.argsort(times, kind="stable")
    edges, last_of_edge = _last_of_each(times[order])
    waiting, working = (
        np.cumsum(np.repeat(np.array(steps, np.int8), len(begin))[order], dtype=np.int32)[last_of_edge]
        for steps in ((1, -1, 0), (0, 1, -1))
    )
    del times, order, last_of_edge
    lengths = np.diff(edges, append=edges[-1]) / SECOND_NS
    span = float(lengths.sum()) or 1.0
    most_working = int(working.max())
    queued = waiting > 0
    longest_s, longest_begin = _longest(queued, edges)
    return Saturation(
        queue=name,
        runs=len(begin),
        most_waiting=int(waiting.max()),
        mean_waiting=float((waiting * lengths).sum() / span),
        most_working=most_working,
        mean_working=float((working * lengths).sum() / span),
        waiting_share=float(lengths[queued].sum() / span),
        saturated_share=float(lengths[queued & (working == most_working)].sum() / span),
        longest_s=longest_s,
        longest_begin_ns=longest_begin,
    )


def _last_of_each(ordered: Ints) -> tuple[Ints, npt.NDArray[np.intp]]:
    """The distinct times, and the position of the last entry of each."""
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return ordered[last], last


def _longest(queued: Mask, edges: Ints) -> tuple[float, int]:
    """The longest stretch of edges with somebody queued: seconds, and when it began."""
    change = np.flatnonzero(np.diff(queued.astype(np.int8), prepend=0, append=0))
    starts, stops = change[::2], change[1::2]
    if not len(starts):
        return 0.0, int(edges[0])
    lengths = edges[np.minimum(stops, len(edges) - 1)] - edges[starts]
    longest = int(np.argmax(lengths))
    return float(lengths[longest]) / SECOND_NS, int(edges[starts[longest]])
