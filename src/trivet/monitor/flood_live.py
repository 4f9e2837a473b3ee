"""Floods in logs as they grow: the last hours are judged again and again, each finding is told once.

Rule: what is judged is a window of the log's own time, as a batch judges it; a busy log whose window does
not fit into the memory cap is judged over a shorter one, and that is said.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trivet.errors import InputError
from trivet.insight.arrival_builder import ArrivalBuilder, Batch
from trivet.insight.arrivals import Arrivals
from trivet.insight.flood import pairing
from trivet.insight.flood_report import KINDS, analyse
from trivet.insight.pair_table import PairTable
from trivet.io.log_tail import Chunk, LogTail
from trivet.wire.access_formats import LogFormat, detect_format, named_format
from trivet.wire.access_log import escape, split_lines, unescape

#: long enough for beats through 30 s of jitter, and for a past to compare with
WINDOW_S = 3 * 3600


@dataclass(slots=True)
class LiveFloods:
    """Takes in what `tail` reads; `judge` returns findings that were not told before."""

    tail: LogTail
    pair_by: str = "target"
    format_name: str | None = None
    memory_cap_bytes: int = 512 << 20
    notes: list[str] = field(default_factory=list)
    malformed: int = 0
    records: int = 0
    pairs: PairTable = field(init=False)
    _url_of: Callable[[bytes], bytes] = field(init=False)
    _builder: ArrivalBuilder = field(default_factory=ArrivalBuilder)
    _formats: dict[str, LogFormat] = field(default_factory=dict)
    _lines: dict[str, int] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._url_of = pairing(self.pair_by)
        self.pairs = PairTable(self.memory_cap_bytes // 2)

    def read(self, now_s: float) -> int:
        """Take in what is new in the files and return how many lines that was; `now_s` is a steady clock."""
        self.tail.look(now_s)
        lines = sum(self._take(chunk) for chunk in self.tail.read(now_s))
        self.notes += self.tail.notes
        self.tail.notes.clear()
        if self._builder.size_bytes > self.memory_cap_bytes // 2:
            self._shorten()
        return lines

    def _take(self, chunk: Chunk) -> int:
        form = self._format_of(chunk)
        if form is None:
            return 0
        number = self._lines.get(chunk.path, 0)
        for line in split_lines(chunk.data):
            number += 1
            if form.directives and line.startswith(b"#"):
                continue
            record = form.parse(line)
            if record is None:
                self.malformed += 1
                continue
            self.records += 1
            url = self._url_of(record.target)
            self._builder.add(record.ip, url, record.time_s, record.utc_offset_s, chunk.path, number)
            self.pairs.add(escape(record.ip), escape(url))
        lines = number - self._lines.get(chunk.path, 0)
        self._lines[chunk.path] = number
        return lines

    def _format_of(self, chunk: Chunk) -> LogFormat | None:
        known = self._formats.get(chunk.path)
        if known is None:
            try:
                known = (
                    named_format(self.format_name, chunk.data)
                    if self.format_name
                    else detect_format(chunk.data, chunk.path)
                )
            except InputError as error:
                self.notes.append(str(error))
                return None
            self._formats[chunk.path] = known
        return known

    def _window(self, length_s: float) -> Arrivals:
        """Return the requests of the last `length_s` of the log's time and let go of all before."""
        arrivals = self._builder.build()
        if len(arrivals) and arrivals.t[0] < arrivals.t[-1] - length_s:
            arrivals = arrivals.select(arrivals.t >= arrivals.t[-1] - length_s)
            self._builder = rebuilt(arrivals)
        return arrivals

    def _shorten(self) -> None:
        """Let go of the older half of the window."""
        arrivals = self._builder.build()
        kept = arrivals.select(np.arange(len(arrivals) // 2, len(arrivals)))
        self._builder = rebuilt(kept)
        minutes = (float(kept.t[-1]) - float(kept.t[0])) / 60
        self.notes.append(f"the memory cap is reached: only the last {minutes:.0f} minutes are judged now")

    def judge(self, now: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (kind, finding) for all in the window that was not told yet; `now` in epoch seconds."""
        report = analyse(self._window(WINDOW_S), now)
        for kind in KINDS:
            for finding in report.findings[kind]:
                key = (kind, finding.get("ip") or finding["url"])
                if key not in self._told:
                    self._told.add(key)
                    yield kind, finding


def rebuilt(arrivals: Arrivals) -> ArrivalBuilder:
    """Return a builder that holds `arrivals` and only the names they use."""
    builder = ArrivalBuilder()
    for number, file in enumerate(arrivals.files):
        rows = np.flatnonzero(arrivals.file == number)
        if len(rows):
            builder.add_batch(batch_of(arrivals.select(rows)), file)
    return builder


def batch_of(arrivals: Arrivals) -> Batch:
    """Return `arrivals` of one file as a batch with the names they use."""
    used = arrivals.compact()
    return Batch(
        ips=[unescape(ip) for ip in used.ips],
        urls=[unescape(url) for url in used.urls],
        t=used.t,
        offset_s=used.offset_s,
        ip=used.ip,
        url=used.url,
        line=used.line,
    )
