"""Requests out of a block of log lines by the compiled kernel: the same rows as line by line, much sooner.

Rule: a block stands alone: it brings its own distinct names, and whoever collects blocks joins them.
"""

from typing import Any

import numpy as np

from trivet.insight.arrivals import Batch
from trivet.insight.logs.kernel_bytes import compiled, find_byte, hash_bytes
from trivet.insight.logs.kernel_lines import (
    IP,
    IP_END,
    PARTS,
    REQUEST,
    TARGET,
    TARGET_END,
    TIME,
    parse_line,
    two,
)
from trivet.insight.logs.kernel_tables import COUNT, LENGTH, OFFSET, Strings, find_or_add, new_strings

#: columns of the rows that the scan gives out
ROW_IP, ROW_URL, ROW_TIME, ROW_ZONE, ROW_LINE = range(5)
_ROW = 5
#: the zone's sign stands this far before the request: `+0200] "`
_ZONE_BEFORE_REQUEST = 8
_MINUS = 45
_SEED = np.uint64(hash(b"trivet floods") & 0xFFFFFFFFFFFFFFFF)


@compiled
def scan_arrivals(data: Any, dialect: Any, ips: Any, urls: Any, seed: Any, rows: Any) -> tuple[int, int]:
    """Put the requests of the block `data` into `rows`; return (how many, lines seen).

    `rows`, `ips` and `urls` have room for every line of the block.
    """
    parts = np.zeros(PARTS, np.int64)
    place, lines, count, end = 0, 0, 0, len(data)
    while place < end:
        newline = find_byte(data, place, end, 10)
        lines += 1
        if parse_line(data, place, newline, dialect, parts):
            zone = parts[REQUEST] - _ZONE_BEFORE_REQUEST
            offset = two(data, zone + 1) * 3600 + two(data, zone + 3) * 60
            ip = hash_bytes(data, parts[IP], parts[IP_END], seed)
            url = hash_bytes(data, parts[TARGET], parts[TARGET_END], seed)
            rows[count, ROW_IP] = find_or_add(ips, data, parts[IP], parts[IP_END], ip)
            rows[count, ROW_URL] = find_or_add(urls, data, parts[TARGET], parts[TARGET_END], url)
            rows[count, ROW_TIME] = parts[TIME]
            rows[count, ROW_ZONE] = -offset if data[zone] == _MINUS else offset
            rows[count, ROW_LINE] = lines
            count += 1
        place = newline + 1
    return count, lines


def read_block(block: bytes, dialect: int) -> tuple[Batch, int]:
    """Return the requests of a `block` of lines in `dialect`, their lines counted from 1, and its lines."""
    data = np.frombuffer(block, np.uint8)
    most = block.count(b"\n") + 1
    rows = np.empty((most, _ROW), np.int64)
    ips, urls = new_strings(most, len(block)), new_strings(most, len(block))
    count, lines = scan_arrivals(data, dialect, ips, urls, _SEED, rows)
    kept = rows[:count]
    return Batch(
        ips=names_of(ips),
        urls=names_of(urls),
        t=kept[:, ROW_TIME].astype(np.float64),
        offset_s=kept[:, ROW_ZONE],
        ip=kept[:, ROW_IP],
        url=kept[:, ROW_URL],
        line=kept[:, ROW_LINE],
    ), lines


def names_of(table: Strings) -> list[bytes]:
    """Return the strings of `table` in the order of their ids."""
    arena = table.arena.tobytes()
    figures = table.figures[: table.state[COUNT]]
    return [arena[at : at + size] for at, size in figures[:, [OFFSET, LENGTH]].tolist()]
