"""The kernel itself: one pass over a block of lines that counts everything the reports need.

Rule: it stops before a line for which a table or a buffer has no room, and says which; called again, it
goes on at the same line.
Rule: per-second rows are given out when the second changes; whoever reads them adds rows of a second up.
"""

from typing import Any, NamedTuple

import numpy as np

from trivet.insight.logs.kernel_bytes import compiled, find_byte
from trivet.insight.logs.kernel_lines import (
    AGENT,
    AGENT_END,
    BAD_REQUEST,
    IP,
    IP_END,
    PARTS,
    REFERRER,
    REFERRER_END,
    SIZE,
    STATUS,
    TARGET,
    TARGET_END,
    TIME,
    TOOK_US,
    parse_line,
)
from trivet.insight.logs.kernel_tables import (
    BAD,
    BYTES,
    COUNT,
    TIMED,
    TIMED_MAX_US,
    TIMED_SUM_US,
    add_pairs,
    find_or_add_all,
    room_in,
)

# columns of `totals`
LINES, RECORDS, MALFORMED, BAD_REQUESTS, BYTES_SUM, BAD_BYTES, ROWS, TIMINGS, BAD_LINES = range(9)
TOTALS = 9
#: why the scan stopped
DONE, STRINGS_FULL, PAIRS_FULL, BUFFER_FULL = range(4)
# columns of a per-second row
SECOND, ROW_HITS, ROW_BYTES, ROW_4XX, ROW_5XX = range(5)
ROW = 5
#: lines looked up together
BATCH = 64


class Buffers(NamedTuple):
    """What a scan gives out: per-second `rows`, (second, µs) `timings`, (line, start, end) of `bad_lines`."""

    rows: Any
    timings: Any
    bad_lines: Any


def new_buffers(count: int) -> Buffers:
    """Return buffers with room for `count` entries each."""
    return Buffers(
        np.zeros((count, ROW), np.int64), np.zeros((count, 2), np.int64), np.zeros((count, 3), np.int64)
    )


@compiled
def _keep(batch: Any, k: Any, parts: Any) -> None:
    """Keep the strings and figures of the record in `parts` as number `k` of the batch."""
    starts, ends, figures = batch[0], batch[1], batch[2]
    starts[0, k], ends[0, k] = parts[IP], parts[IP_END]
    starts[1, k], ends[1, k] = parts[TARGET], parts[TARGET_END]
    starts[2, k], ends[2, k] = parts[AGENT], parts[AGENT_END]
    starts[3, k], ends[3, k] = parts[REFERRER], parts[REFERRER_END]
    figures[0, k], figures[1, k], figures[2, k] = parts[SIZE], parts[BAD_REQUEST], parts[TOOK_US]


@compiled
def _count_batch(tables: Any, pairs: Any, data: Any, batch: Any, count: Any, seed: Any) -> None:
    """Count addresses, URLs, pairs, agents and referrers of `count` records."""
    starts, ends, records, hashes, ids = batch
    find_or_add_all(tables[0], data, starts[0], ends[0], count, seed, hashes, ids[0])
    find_or_add_all(tables[1], data, starts[1], ends[1], count, seed, hashes, ids[1])
    find_or_add_all(tables[2], data, starts[2], ends[2], count, seed, hashes, ids[2])
    find_or_add_all(tables[3], data, starts[3], ends[3], count, seed, hashes, ids[3])
    add_pairs(pairs, ids[0], ids[1], count)
    figures = tables[1][2]
    for k in range(count):
        url = ids[1, k]
        if records[1, k]:
            figures[url, BAD] += 1
        else:
            figures[url, BYTES] += records[0, k]
        took = records[2, k]
        if took >= 0:
            figures[url, TIMED] += 1
            figures[url, TIMED_SUM_US] += took
            figures[url, TIMED_MAX_US] = max(figures[url, TIMED_MAX_US], took)


@compiled
def _count_figures(parts: Any, totals: Any, statuses: Any, buffers: Any) -> None:
    """Count status, bytes, second and duration of the record in `parts`."""
    rows, timings, _ = buffers
    totals[RECORDS] += 1
    totals[BYTES_SUM] += parts[SIZE]
    if parts[BAD_REQUEST]:
        totals[BAD_REQUESTS] += 1
        totals[BAD_BYTES] += parts[SIZE]
    status = parts[STATUS]
    statuses[status] += 1
    last = totals[ROWS] - 1
    if last < 0 or rows[last, SECOND] != parts[TIME]:
        last += 1
        rows[last, SECOND] = parts[TIME]
        rows[last, 1:] = 0
        totals[ROWS] = last + 1
    rows[last, ROW_HITS] += 1
    rows[last, ROW_BYTES] += parts[SIZE]
    if 400 <= status < 500:
        rows[last, ROW_4XX] += 1
    elif 500 <= status < 600:
        rows[last, ROW_5XX] += 1
    if parts[TOOK_US] >= 0:
        timings[totals[TIMINGS], 0] = parts[TIME]
        timings[totals[TIMINGS], 1] = parts[TOOK_US]
        totals[TIMINGS] += 1


@compiled
def scan_block(
    data: Any, start: int, end: int, dialect: int, tables: Any, pairs: Any, totals: Any, statuses: Any,
    buffers: Any, seed: Any,
) -> tuple[int, int]:  # fmt: skip
    """Count the lines of `data[start:end]`; return (where the next line begins, why it stopped)."""
    parts = np.zeros(PARTS, np.int64)
    batch = (
        np.zeros((4, BATCH), np.int64), np.zeros((4, BATCH), np.int64), np.zeros((3, BATCH), np.int64),
        np.zeros(BATCH, np.uint64), np.zeros((4, BATCH), np.int64),
    )  # fmt: skip
    bad_lines = buffers[2]
    buffer_room = min(len(buffers[0]), len(buffers[1]), len(bad_lines)) - BATCH
    place = start
    while place < end:
        if max(totals[ROWS], totals[TIMINGS], totals[BAD_LINES]) > buffer_room:
            return place, BUFFER_FULL
        if pairs[1][COUNT] + BATCH > len(pairs[0]) * 2 // 3:
            return place, PAIRS_FULL
        string_room, byte_room = room_in(tables)
        if string_room < BATCH:
            return place, STRINGS_FULL
        count, lines = 0, 0
        while place < end and lines < BATCH:
            newline = find_byte(data, place, end, 10)
            byte_room -= newline - place
            if byte_room < 0:
                break
            lines += 1
            totals[LINES] += 1
            if parse_line(data, place, newline, dialect, parts):
                _count_figures(parts, totals, statuses, buffers)
                _keep(batch, count, parts)
                count += 1
            else:
                bad = totals[BAD_LINES]
                bad_lines[bad, 0], bad_lines[bad, 1], bad_lines[bad, 2] = totals[LINES], place, newline
                totals[BAD_LINES] = bad + 1
                totals[MALFORMED] += 1
            place = newline + 1
        _count_batch(tables, pairs, data, batch, count, seed)
        if lines == 0:
            return place, STRINGS_FULL
    return place, DONE
