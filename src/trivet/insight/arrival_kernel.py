"""Requests out of blocks of log lines by the compiled kernel: the same rows as line by line, much sooner.

Rule: one scan a thread, and it runs without the GIL; who owns the scans joins what they read.
Rule: it stops before a batch of lines for which a table has no room, and goes on there when it has.
"""

from typing import Any

import numpy as np

from trivet.insight.arrival_builder import Batch
from trivet.insight.logs.kernel_bytes import compiled, find_byte
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
from trivet.insight.logs.kernel_tables import (
    ARENA_USED,
    COUNT,
    LENGTH,
    OFFSET,
    Strings,
    find_or_add_all,
    grown_strings,
    new_strings,
    room_in,
)

#: no record is shorter: `a b c [03/Jun/2024:00:00:00 +0000] "" 200 -`
SHORTEST_RECORD = 43
#: lines looked up together
BATCH = 64
# what a scan counts
ROWS, LINES = range(2)
#: the zone's sign stands this far before the request: `+0200] "`
_ZONE_BEFORE_REQUEST = 8
_MINUS = 45
_FIRST_STRINGS = 1 << 14
_SEED = np.uint64(hash(b"trivet floods") & 0xFFFFFFFFFFFFFFFF)


@compiled
def scan_arrivals(
    data: Any, start: int, dialect: Any, tables: Any, columns: Any, counts: Any, seed: Any
) -> int:
    """Put the requests of the lines of `data` from `start` into `columns`; return where it stopped.

    That is the end, or the beginning of a line for which `tables` (addresses, URLs) have no room.
    """
    times, offsets, ips, urls, numbers = columns
    parts = np.zeros(PARTS, np.int64)
    starts, ends = np.zeros((2, BATCH), np.int64), np.zeros((2, BATCH), np.int64)
    hashes, ids = np.zeros(BATCH, np.uint64), np.zeros((2, BATCH), np.int64)
    place, end = start, len(data)
    while place < end:
        string_room, byte_room = room_in(tables)
        if string_room < BATCH:
            return place
        first, count, lines = counts[ROWS], 0, 0
        while place < end and lines < BATCH:
            newline = find_byte(data, place, end, 10)
            byte_room -= newline - place
            if byte_room < 0:
                break
            lines += 1
            if parse_line(data, place, newline, dialect, parts):
                zone = parts[REQUEST] - _ZONE_BEFORE_REQUEST
                offset = two(data, zone + 1) * 3600 + two(data, zone + 3) * 60
                starts[0, count], ends[0, count] = parts[IP], parts[IP_END]
                starts[1, count], ends[1, count] = parts[TARGET], parts[TARGET_END]
                times[first + count] = parts[TIME]
                offsets[first + count] = -offset if data[zone] == _MINUS else offset
                numbers[first + count] = counts[LINES] + lines
                count += 1
            place = newline + 1
        find_or_add_all(tables[0], data, starts[0], ends[0], count, seed, hashes, ids[0])
        find_or_add_all(tables[1], data, starts[1], ends[1], count, seed, hashes, ids[1])
        for k in range(count):
            ips[first + k], urls[first + k] = ids[0, k], ids[1, k]
        counts[ROWS] += count
        counts[LINES] += lines
        if lines == 0:
            return place
    return place


class ArrivalScan:
    """Reads up to `most_bytes` of blocks in one thread; `joined` gives out what scans have read."""

    def __init__(self, most_bytes: int) -> None:
        rows = most_bytes // SHORTEST_RECORD + 1
        # memory that no row was written to is not taken from the machine
        self.columns: tuple[Any, ...] = (
            np.empty(rows, np.float64), np.empty(rows, np.int32), np.empty(rows, np.int32),
            np.empty(rows, np.int32), np.empty(rows, np.int64),
        )  # fmt: skip
        self.tables = self._new_tables()
        self.counts = np.zeros(2, np.int64)
        #: of each block: its number, its rows in `columns`, its lines
        self.blocks: list[tuple[int, slice, int]] = []

    @staticmethod
    def _new_tables() -> tuple[Strings, Strings]:
        arena_bytes = 32 * _FIRST_STRINGS
        return new_strings(_FIRST_STRINGS, arena_bytes), new_strings(_FIRST_STRINGS, arena_bytes)

    def feed(self, number: int, block: bytes, dialect: int) -> None:
        """Read the `block` of lines in `dialect` that has this `number` in its file."""
        data = np.frombuffer(block, np.uint8)
        first = int(self.counts[ROWS])
        self.counts[LINES] = 0
        place = 0
        while True:
            place = scan_arrivals(data, place, dialect, self.tables, self.columns, self.counts, _SEED)
            if place >= len(data):
                break
            self._make_room(len(data) - place)
        self.blocks.append((number, slice(first, int(self.counts[ROWS])), int(self.counts[LINES])))

    def _make_room(self, block_left: int) -> None:
        """Grow the tables that are full; `block_left` bytes are still to be read."""
        tables = []
        for table in self.tables:
            count, capacity = int(table.state[COUNT]), len(table.hashes)
            used, size = int(table.state[ARENA_USED]), len(table.arena)
            if capacity - count < BATCH:
                capacity *= 2
            if size - used < max(size // 8, 1 << 16):
                size = max(2 * size, used + min(block_left, 1 << 22))
            tables.append(grown_strings(table, capacity, size))
        if all(len(new.arena) == len(old.arena) and len(new.hashes) == len(old.hashes)
               for new, old in zip(tables, self.tables, strict=True)):  # fmt: skip
            # one line is longer than all the room that is left
            tables = [
                grown_strings(table, len(table.hashes), int(table.state[ARENA_USED]) + block_left)
                for table in self.tables
            ]
        self.tables = (tables[0], tables[1])

    def clear(self) -> None:
        """Forget what was read."""
        self.tables = self._new_tables()
        self.counts[ROWS] = 0
        self.blocks.clear()


def joined(scans: list[ArrivalScan], first_line: int) -> tuple[Batch, int]:
    """Return what `scans` read, in the file's order, as one batch, and how many lines that was.

    Lines are counted from `first_line`. The scans are cleared.
    """
    ips: list[bytes] = []
    urls: list[bytes] = []
    pieces = []
    for scan in scans:
        pieces += [(number, rows, lines, scan, len(ips), len(urls)) for number, rows, lines in scan.blocks]
        ips += names_of(scan.tables[0])
        urls += names_of(scan.tables[1])
    pieces.sort(key=lambda piece: piece[0])
    columns: list[list[Any]] = [[], [], [], [], []]
    line = first_line - 1
    for _, rows, lines, scan, ip_base, url_base in pieces:
        for taken, column, base in zip(columns, scan.columns, (0, 0, ip_base, url_base, line), strict=True):
            taken.append(column[rows] + base if base else column[rows].copy())
        line += lines
    for scan in scans:
        scan.clear()
    t, offset_s, ip, url, number = (np.concatenate(taken) for taken in columns)
    return Batch(ips, urls, t, offset_s, ip, url, number), line - first_line + 1


def names_of(table: Strings) -> list[bytes]:
    """Return the strings of `table` in the order of their ids."""
    arena = table.arena[: table.state[ARENA_USED]].tobytes()
    figures = table.figures[: table.state[COUNT]]
    return [arena[at : at + size] for at, size in figures[:, [OFFSET, LENGTH]].tolist()]
