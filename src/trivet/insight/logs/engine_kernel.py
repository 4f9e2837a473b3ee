"""Engine A: the compiled kernel's tables, grown as a log asks for it, merged and read at the end.

Rule: one engine a thread; the scan runs without the GIL; merging happens once, at the end.
Rule: over its memory it keeps the heavier half of what it counted and says by how much it may be too low.
"""

from collections import Counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trivet.insight.logs import kernel_scan as scan
from trivet.insight.logs.distinct import DistinctCount
from trivet.insight.logs.kernel_drill import Drill, drill_address, drill_section
from trivet.insight.logs.kernel_report import named_sections, names_counted, read_tables
from trivet.insight.logs.kernel_sections import sections_of
from trivet.insight.logs.kernel_shrink import heavier_pairs, heavier_strings, pair_hashes
from trivet.insight.logs.kernel_tables import (
    ARENA_USED,
    BAD,
    BYTES,
    COUNT,
    HITS,
    Pairs,
    Strings,
    grown_pairs,
    grown_strings,
    merge_pairs,
    merge_strings,
    new_pairs,
    new_strings,
    pair_capacity,
)
from trivet.insight.logs.kernel_takeover import beyond_tables, tables_of
from trivet.insight.logs.summary import AccessSummary, Counted, Fed
from trivet.wire.access_log import NO_SECTION

TABLES = ("ips", "urls", "agents", "referrers")
#: format names that the kernel reads, and the dialect each of them is
DIALECTS = {"common": 0, "combined": 0, "vhost": 1, "combined+duration": 2}
_BUFFER_ROWS = 1 << 15
_FIRST_STRINGS = 1 << 12
#: a table that takes less than this share of the memory is kept whole when others must shrink
_SMALL_SHARE = 16
#: keeps others from choosing URLs whose hashes collide; the same within a process, so that tables merge
_SEED = np.uint64(hash(b"trivet") & 0xFFFFFFFFFFFFFFFF)


class KernelEngine:
    """Counts blocks of Common, Combined, nginx and vhost lines; `memory_bytes` bounds its tables."""

    name: ClassVar[str] = "kernel"

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._tables: tuple[Strings, ...] = tuple(
            new_strings(_FIRST_STRINGS, _FIRST_STRINGS * 32) for _ in TABLES
        )
        self._pairs: Pairs = new_pairs(_FIRST_STRINGS)
        self._totals = np.zeros(scan.TOTALS, np.int64)
        self._statuses = np.zeros(1000, np.int64)
        self._buffers = scan.new_buffers(_BUFFER_ROWS)
        self._folded: dict[bytes, list[int]] = {}
        self._bytes_sum = self._bad_bytes = 0
        self._undercount: Counter[str] = Counter()
        self._dropped_ips = DistinctCount()
        self._dropped_pairs = DistinctCount()

    def feed(self, block: bytes, dialect: int) -> Fed:
        """Count the lines of `block`, which are in `dialect` (a value of DIALECTS)."""
        data = np.frombuffer(block, np.uint8)
        before = int(self._totals[scan.LINES])
        rows: list[NDArray[np.int64]] = []
        timings: list[NDArray[np.int64]] = []
        bad_lines: list[NDArray[np.int64]] = []
        place, why = 0, scan.BUFFER_FULL
        while why != scan.DONE:
            place, why = scan.scan_block(
                data, place, len(data), dialect, self._tables, self._pairs, self._totals, self._statuses,
                self._buffers, _SEED,
            )  # fmt: skip
            if why in (scan.STRINGS_FULL, scan.PAIRS_FULL):
                self._make_room(why, len(data) - place)
                continue
            self._drain(rows, timings, bad_lines)
        bad = np.concatenate(bad_lines)
        bad[:, 0] -= before
        return Fed(int(self._totals[scan.LINES]) - before, bad, np.concatenate(rows), np.concatenate(timings))

    def _drain(self, *lists: list[NDArray[np.int64]]) -> None:
        """Append copies of the buffers' rows to `lists` and empty the buffers."""
        counters = (scan.ROWS, scan.TIMINGS, scan.BAD_LINES)
        for rows, buffer, counter in zip(lists, self._buffers, counters, strict=True):
            rows.append(buffer[: self._totals[counter]].copy())
            self._totals[counter] = 0
        # sums move into Python's unbounded integers, so that no log can make them overflow
        self._bytes_sum += int(self._totals[scan.BYTES_SUM])
        self._bad_bytes += int(self._totals[scan.BAD_BYTES])
        self._totals[scan.BYTES_SUM] = self._totals[scan.BAD_BYTES] = 0

    def _held_bytes(self) -> int:
        arrays: list[Any] = [array for table in self._tables for array in table]
        return sum(array.nbytes for array in [*arrays, self._pairs.cells])

    def _make_room(self, why: int, block_left: int) -> None:
        """Grow what is full; where that would take more memory than allowed, drop the lighter half first."""
        if self._held_bytes() * 3 // 2 > self._memory_bytes and int(self._pairs.state[COUNT]) > _BUFFER_ROWS:
            self._shrink()
            return
        if why == scan.PAIRS_FULL:
            self._pairs = grown_pairs(self._pairs, 2 * pair_capacity(self._pairs))
            return
        tables = []
        for table in self._tables:
            count, capacity = int(table.state[COUNT]), len(table.hashes)
            used, size = int(table.state[ARENA_USED]), len(table.arena)
            more_ids = capacity - count <= scan.BATCH
            more_bytes = size - used < min(block_left, max(size // 8, 1 << 16))
            if more_ids or more_bytes:
                longest = max(2 * size, used + min(block_left, 1 << 16)) if more_bytes else size
                table = grown_strings(table, 2 * capacity if more_ids else capacity, longest)
            tables.append(table)
        if all(new is old for new, old in zip(tables, self._tables, strict=True)):
            # one line is longer than what is left: make room for all that is left of the block
            tables = [
                grown_strings(table, len(table.hashes), int(table.state[ARENA_USED]) + block_left)
                for table in self._tables
            ]
        self._tables = tuple(tables)

    def _shrink(self) -> None:
        """Keep the heavier half of every large table and remember what was dropped as an error bound."""
        ips, urls, agents, referrers = self._tables
        self._dropped_ips.add_hashes(ips.hashes[: ips.state[COUNT]].tolist())
        self._dropped_pairs.add_hashes(pair_hashes(self._pairs, ips, urls).tolist())
        cells, cut = heavier_pairs(self._pairs)
        self._undercount["pairs"] += cut
        ip_ids, url_ids = cells[:, 0] >> 32, cells[:, 0] & 0xFFFFFFFF
        self._folded = self._sections()
        figures = urls.figures[: urls.state[COUNT]]
        figures[:, BAD], figures[:, BYTES] = figures[:, HITS], 0
        kept = {}
        for name, table, needed in (
            ("ips", ips, ip_ids), ("urls", urls, url_ids), ("agents", agents, ()),
            ("referrers", referrers, ()),
        ):  # fmt: skip
            if sum(array.nbytes for array in table) < self._memory_bytes // _SMALL_SHARE:
                kept[name] = table
                continue
            kept[name], new_ids, cut = heavier_strings(table, np.unique(np.array(needed, np.int64)))
            self._undercount[name] += cut
            if name == "ips":
                ip_ids = new_ids[ip_ids]
            elif name == "urls":
                url_ids = new_ids[url_ids]
        self._tables = tuple(kept[name] for name in TABLES)
        self._pairs = new_pairs(max(_FIRST_STRINGS, 2 * len(cells)))
        packed = np.stack([(ip_ids << 32 | url_ids) + 1, cells[:, 1]], axis=1).astype(np.uint64)
        same = np.arange(max(len(kept["ips"].hashes), len(kept["urls"].hashes)))
        merge_pairs(self._pairs, packed, same, same)

    def _sections(self) -> dict[bytes, list[int]]:
        """Return hits and bytes by section, those of URLs dropped earlier too, without bad requests."""
        sections = named_sections(sections_of(self._tables[1], _SEED)[0])
        for name, (hits, size) in self._folded.items():
            figures = sections.setdefault(name, [0, 0])
            sections[name] = [figures[0] + hits, figures[1] + size]
        return {name: figures for name, figures in sections.items() if figures[0] > 0}

    def section_figures(self) -> dict[bytes, list[int]]:
        """Return hits and bytes by section."""
        sections, bad_requests = self._sections(), int(self._totals[scan.BAD_REQUESTS])
        if bad_requests:
            bad = sections.get(NO_SECTION, [0, 0])
            sections[NO_SECTION] = [bad[0] + bad_requests, bad[1] + self._bad_bytes]
        return sections

    def drill(self, kind: str, name: bytes) -> Drill:
        """Return what stands behind a `kind` (section or ip) called `name`."""
        ips, urls = self._tables[0], self._tables[1]
        if kind == "ip":
            return drill_address(self._pairs, ips, urls, name)
        return drill_section(self._pairs, ips, urls, sections_of(urls, _SEED), name)

    def counted(self) -> Counted | None:
        """Return everything that was counted, by name; None where names were dropped."""
        if self._undercount:
            return None
        names = names_counted(self._tables, self._pairs)
        return Counted(self.summary(), self.section_figures(), *names)

    def take_over(self, counted: Counted) -> None:
        """Begin with what another engine `counted` so far."""
        summary = counted.summary
        self._tables, self._pairs = tables_of(counted, _SEED)
        self._folded = beyond_tables(counted)
        if summary.bad_requests:
            # `section_figures` adds these; only their section knows their bytes
            rest = self._folded[NO_SECTION]
            self._folded[NO_SECTION], self._bad_bytes = [rest[0] - summary.bad_requests, 0], rest[1]
        self._totals[scan.LINES], self._totals[scan.RECORDS] = summary.lines, summary.records
        self._totals[scan.MALFORMED] = summary.malformed
        self._totals[scan.BAD_REQUESTS] = summary.bad_requests
        self._bytes_sum = summary.bytes_sum
        for status, count in summary.status.items():
            self._statuses[status] = count

    def merge(self, other: "KernelEngine") -> None:
        """Add everything that `other` counted; `other` is not used any more."""
        self._totals += other._totals
        self._statuses += other._statuses
        self._bytes_sum += other._bytes_sum
        self._bad_bytes += other._bad_bytes
        self._undercount += other._undercount
        for name, (hits, size) in other._folded.items():
            figures = self._folded.setdefault(name, [0, 0])
            figures[0] += hits
            figures[1] += size
        id_maps, tables = [], []
        for mine, theirs in zip(self._tables, other._tables, strict=True):
            count = int(mine.state[COUNT] + theirs.state[COUNT])
            table = grown_strings(mine, count + 1, int(mine.state[ARENA_USED] + theirs.state[ARENA_USED]) + 1)
            ids = np.zeros(int(theirs.state[COUNT]) + 1, np.int64)
            merge_strings(table, theirs, _SEED, ids)
            id_maps.append(ids)
            tables.append(table)
        self._tables = tuple(tables)
        more = int(other._pairs.state[COUNT])
        if int(self._pairs.state[COUNT]) + more > pair_capacity(self._pairs):
            self._pairs = grown_pairs(self._pairs, int(self._pairs.state[COUNT]) + more)
        merge_pairs(self._pairs, other._pairs.cells, id_maps[0], id_maps[1])
        self._dropped_ips.merge(other._dropped_ips)
        self._dropped_pairs.merge(other._dropped_pairs)

    def summary(self) -> AccessSummary:
        """Return everything that was counted so far."""
        totals = self._totals
        summary = read_tables(self._tables, self._pairs, self.section_figures())
        summary.lines, summary.records = int(totals[scan.LINES]), int(totals[scan.RECORDS])
        summary.malformed = int(totals[scan.MALFORMED])
        summary.bad_requests = int(totals[scan.BAD_REQUESTS])
        summary.bytes_sum = self._bytes_sum
        seen = np.flatnonzero(self._statuses).tolist()
        summary.status = {status: int(self._statuses[status]) for status in seen}
        summary.undercount = {name: most for name, most in self._undercount.items() if most}
        if not self._dropped_pairs.is_exact:
            ips, urls = self._tables[0], self._tables[1]
            if self._undercount["ips"]:
                summary.distinct_ips = self._dropped_ips.with_hashes(ips.hashes[: ips.state[COUNT]].tolist())
            hashes = pair_hashes(self._pairs, ips, urls).tolist()
            summary.distinct_pairs = self._dropped_pairs.with_hashes(hashes)
        return summary
