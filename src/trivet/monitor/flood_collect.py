"""Arrivals of one report, in memory up to a cap and on disk beyond it.

Rule: both ways give the same report.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from trivet.insight.arrival_builder import ArrivalBuilder, Batch
from trivet.insight.flood_report import FloodReport, analyse, analyse_parts
from trivet.insight.log_time import log_time, tick_counts
from trivet.io.arrival_spill import ArrivalSpill

#: rows between two looks at the memory in use
CHECK_EVERY = 4096


class Collector:
    """Takes in the requests of one report; `report` judges them. `folder` is the caller's to remove."""

    def __init__(self, cap_bytes: int, folder: Path) -> None:
        self._cap_bytes = cap_bytes
        self._folder = folder
        self._builder = ArrivalBuilder()
        self._spill: ArrivalSpill | None = None
        self._ticks: Counter[tuple[int, int]] = Counter()
        self._last = float("-inf")
        self.backwards = 0

    def add(self, ip: bytes, url: bytes, t: float, offset_s: int, file: str, line: int) -> None:
        """Take in one request; a stamp older than the one before is counted in `backwards`."""
        self.backwards += t < self._last
        self._last = t
        self._builder.add(ip, url, t, offset_s, file, line)
        if len(self._builder) % CHECK_EVERY == 0 and self._builder.size_bytes > self._cap_bytes:
            self._to_disk()

    def add_batch(self, batch: Batch, file: str) -> None:
        """Take in the requests of `batch`, which stand in `file`."""
        if not len(batch.t):
            return
        self.backwards += int((np.diff(batch.t, prepend=self._last) < 0).sum())
        self._last = float(batch.t[-1])
        self._builder.add_batch(batch, file)
        if self._builder.size_bytes > self._cap_bytes:
            self._to_disk()

    def _to_disk(self) -> None:
        """Move what memory holds to disk."""
        if self._spill is None:
            self._folder.mkdir(parents=True)
            self._spill = ArrivalSpill(self._folder, self._cap_bytes)
        table = self._builder.table()
        self._ticks.update(tick_counts(table.columns["t"], table.columns["offset_s"]))
        self._spill.add(table)
        self._builder = ArrivalBuilder()

    @property
    def spilled_rows(self) -> int:
        """How many requests lie on disk."""
        return self._spill.rows if self._spill else 0

    def report(self, now: float) -> FloodReport:
        """Return the report; `now` (epoch seconds) ends the hours shown. The requests are given up."""
        if self._spill is None:
            arrivals = self._builder.build()
            self._builder = ArrivalBuilder()
            return analyse(arrivals, now)
        self._to_disk()
        report = analyse_parts(self._spill.by_url(), self._spill.by_ip(), log_time(self._ticks, now))
        self._spill.close()
        return report
