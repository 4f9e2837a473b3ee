"""Engine B: every line through its format's exact parser, counted in dictionaries.

Rule: this is the oracle; where the kernel says something else, the kernel is wrong.
Rule: over its memory it keeps the heavier half of what it counted and says by how much it may be too low.
"""

from collections import Counter
from typing import ClassVar

from trivet.insight.logs.distinct import DistinctCount
from trivet.insight.logs.kernel_drill import Drill
from trivet.insight.logs.series import as_rows
from trivet.insight.logs.summary import (
    MOST_AGENTS,
    TOP,
    AccessSummary,
    Counted,
    Fed,
    SlowUrl,
    ranked,
    ranked_ips,
    ranked_sections,
    ranked_slow,
)
from trivet.wire.access_formats import LogFormat
from trivet.wire.access_log import NO_SECTION, AccessRecord, section_of, split_lines

#: what an entry of a dictionary costs besides the bytes of its name
_ENTRY_BYTES = 150
#: a table that has less than this share of the pairs' entries is kept whole when others must shrink
_SMALL_SHARE = 16


class RegexEngine:
    """Counts blocks of lines in any format; `memory_bytes` bounds what it keeps of names."""

    name: ClassVar[str] = "regex"

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._held_bytes = 0
        self._summary = AccessSummary()
        self._status: Counter[int] = Counter()
        self._sections: dict[bytes, list[int]] = {}
        self._section_of: dict[bytes, bytes] = {}
        self._ips: Counter[bytes] = Counter()
        self._urls: Counter[bytes] = Counter()
        self._pairs: Counter[tuple[bytes, bytes]] = Counter()
        self._agents: Counter[bytes] = Counter()
        self._referrers: Counter[bytes] = Counter()
        self._slow: dict[bytes, list[int]] = {}
        self._undercount: Counter[str] = Counter()
        self._dropped_ips = DistinctCount()
        self._dropped_pairs = DistinctCount()

    def take_over(self, counted: Counted) -> None:
        """Begin with what another engine `counted` so far."""
        self._summary, self._sections = counted.summary, counted.sections
        self._status.update(counted.summary.status)
        for name in ("ips", "urls", "pairs", "agents", "referrers"):
            table: Counter[object] = getattr(self, f"_{name}")
            table.update(getattr(counted, name))
        self._slow = counted.slow
        self._section_of = {url: section_of(url) for url in counted.urls}
        self._held_bytes = self._size_bytes()

    def _size_bytes(self) -> int:
        """Return about what the names cost."""
        pairs = sum(len(ip) + len(url) + 3 * _ENTRY_BYTES for ip, url in self._pairs)
        return pairs + sum(len(name) + _ENTRY_BYTES for name in [*self._referrers, *self._agents])

    def feed(self, block: bytes, log_format: LogFormat) -> Fed:
        """Count the lines of `block`, which are in `log_format`."""
        parse = log_format.parse
        bad_lines: list[tuple[int, int, int]] = []
        seconds: dict[int, list[int]] = {}
        timings: list[tuple[int, int]] = []
        place = number = 0
        for number, line in enumerate(split_lines(block), 1):
            record = parse(line)
            if record is not None:
                self._count(record, seconds, timings)
            elif not (log_format.directives and line.startswith(b"#")):
                bad_lines.append((number, place, place + len(line)))
            place += len(line) + 1
        self._summary.lines += number
        self._summary.malformed += len(bad_lines)
        if self._held_bytes > self._memory_bytes:
            self._shrink()
        rows = as_rows(([second, *figures] for second, figures in seconds.items()), 5)
        return Fed(number, as_rows(bad_lines, 3), rows, as_rows(timings, 2))

    def _count(
        self, record: AccessRecord, seconds: dict[int, list[int]], timings: list[tuple[int, int]]
    ) -> None:
        summary, size, second = self._summary, record.size_bytes, int(record.time_s)
        summary.records += 1
        summary.bytes_sum += size
        summary.bad_requests += record.bad_request
        self._status[record.status] += 1
        self._count_names(record)
        row = seconds.get(second)
        if row is None:
            row = seconds[second] = [0, 0, 0, 0]
        row[0] += 1
        row[1] += size
        if record.status >= 400:
            row[2] += record.status < 500
            row[3] += 500 <= record.status < 600
        if record.duration_s >= 0:
            took_us = round(record.duration_s * 1e6)
            timings.append((second, took_us))
            slow = self._slow.setdefault(record.target, [0, 0, 0])
            slow[0] += 1
            slow[1] += took_us
            slow[2] = max(slow[2], took_us)

    def _count_names(self, record: AccessRecord) -> None:
        ip, target = record.ip, record.target
        self._ips[ip] += 1
        self._urls[target] += 1
        pair = (ip, target)
        seen = self._pairs[pair]
        self._pairs[pair] = seen + 1
        if not seen:
            self._held_bytes += len(ip) + len(target) + 3 * _ENTRY_BYTES
        self._agents[record.agent] += 1
        referrers = self._referrers[record.referrer]
        self._referrers[record.referrer] = referrers + 1
        if not referrers:
            self._held_bytes += len(record.referrer) + len(record.agent) + 2 * _ENTRY_BYTES
        if record.bad_request:
            section = NO_SECTION
        else:
            found = self._section_of.get(target)
            if found is None:
                found = self._section_of[target] = section_of(target)
            section = found
        figures = self._sections.get(section)
        if figures is None:
            figures = self._sections[section] = [0, 0]
        figures[0] += 1
        figures[1] += record.size_bytes

    def _shrink(self) -> None:
        """Keep the heavier half of every large table and remember what was dropped as an error bound."""
        self._dropped_ips.add_names(self._ips)
        self._dropped_pairs.add_pairs(self._pairs)
        for name in ("ips", "urls", "agents", "referrers", "pairs"):
            table: Counter[object] = getattr(self, f"_{name}")
            if len(table) * _SMALL_SHARE < len(self._pairs):
                continue
            cut = sorted(table.values())[len(table) // 2]
            setattr(self, f"_{name}", Counter({key: n for key, n in table.items() if n > cut}))
            self._undercount[name] += cut
        if len(self._sections) > 100_000:
            cut = sorted(hits for hits, _ in self._sections.values())[len(self._sections) // 2]
            self._sections = {key: value for key, value in self._sections.items() if value[0] > cut}
            self._undercount["sections"] += cut
        self._section_of.clear()
        self._slow = {url: figures for url, figures in self._slow.items() if url in self._urls}
        self._held_bytes = self._size_bytes()

    def section_figures(self) -> dict[bytes, list[int]]:
        """Return hits and bytes by section."""
        return self._sections

    def counted(self) -> Counted | None:
        """Return everything that was counted, by name; None where names were dropped."""
        if self._undercount:
            return None
        return Counted(
            self.summary(), self._sections, self._ips, self._urls, self._pairs, self._agents,
            self._referrers, self._slow,
        )  # fmt: skip

    def drill(self, kind: str, name: bytes) -> Drill:
        """Return what stands behind a `kind` (section or ip) called `name`."""
        urls: Counter[bytes] = Counter()
        ips: Counter[bytes] = Counter()
        for (ip, url), hits in self._pairs.items():
            if (ip if kind == "ip" else self._section_of.get(url, NO_SECTION)) == name:
                urls[url] += hits
                ips[ip] += hits
        return Drill(urls.total(), ranked(urls.items(), TOP), ranked_ips(ips.items()))

    def summary(self) -> AccessSummary:
        """Return everything that was counted so far."""
        summary = self._summary
        summary.status = dict(self._status)
        summary.sections = ranked_sections(self._sections)
        cut = self._undercount["ips"]
        summary.distinct_ips = self._dropped_ips.with_names(self._ips) if cut else len(self._ips)
        summary.distinct_pairs = self._dropped_pairs.with_pairs(self._pairs)
        summary.distinct_urls = len(self._urls)
        summary.top_ips = ranked_ips(self._ips.items())
        pairs = sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        summary.top_pairs = [(ip, url, hits) for (ip, url), hits in pairs]
        summary.top_urls = ranked(self._urls.items(), TOP)
        summary.agents = ranked(self._agents.items(), MOST_AGENTS)
        summary.referrers = ranked(self._referrers.items(), TOP)
        summary.slow_urls = ranked_slow(
            SlowUrl(url, n, total / n / 1e6, longest / 1e6) for url, (n, total, longest) in self._slow.items()
        )
        summary.undercount = {name: most for name, most in self._undercount.items() if most}
        return summary
