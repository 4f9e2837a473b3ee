"""An alarm over log time: windows of the rule's resolution, closed as the log's clock moves on.

Rule: windows begin with the first second seen; a window without requests is closed as a quiet one.
Rule: a line stamped before the open window counts in the open one (`late_lines` says how many came so).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from trivet.insight.logs.alert import Alarm, AlertChanged, AlertRule
from trivet.insight.logs.series import LatencyBook, SecondSeries

Rows = NDArray[np.int64]
_BYTES, _HITS, _5XX = 2, 1, 4


class AlertWatch:
    """Feeds an alarm with per-second rows as they come and tells what changed."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.alarm = Alarm(rule)
        self.late_lines = 0
        self._start_s: int | None = None
        self._series = SecondSeries()
        self._latency = LatencyBook(rule.time_resolution_s)

    def add(self, rows: Rows, timings: Rows, *, grace_s: int = 0) -> list[AlertChanged]:
        """Take per-second `rows` and `timings`; return what changed in windows that they closed.

        A window stays open until a line comes that is `grace_s` younger than its end.
        """
        if not len(rows):
            return []
        rows = rows[np.argsort(rows[:, 0], kind="stable")].copy()
        if self._start_s is None:
            self._start_s = int(rows[0, 0])
        late = rows[:, 0] < self._start_s
        self.late_lines += int(rows[late, 1].sum())
        rows[late, 0] = self._start_s
        timings = timings.copy()
        timings[:, 0] = np.maximum(timings[:, 0], self._start_s)
        self._series.add(rows)
        self._latency.add(timings)
        return self.advance(int(rows[-1, 0]) - grace_s)

    def advance(self, now_s: int) -> list[AlertChanged]:
        """Close every window that ends at or before `now_s` in log time; return what changed."""
        width = self.rule.time_resolution_s
        if self._start_s is None or now_s < self._start_s + width:
            return []
        rows = self._series.rows()
        end = self._start_s + (now_s - self._start_s) // width * width
        closed, left = rows[rows[:, 0] < end].copy(), rows[rows[:, 0] >= end]
        p95 = self._latency.p95_by_window(self._start_s) if self.rule.watched == "p95" else {}
        changes = self._close(closed, end, p95)
        self._series = SecondSeries()
        self._series.add(left)
        self._latency = self._latency.since(end)
        self._start_s = end
        return changes

    def _close(self, rows: Rows, end: int, p95: dict[int, float]) -> list[AlertChanged]:
        """Close the windows up to `end`, which `rows` are in."""
        assert self._start_s is not None
        width = self.rule.time_resolution_s
        changes: list[AlertChanged] = []
        place = self._start_s
        windows = (rows[:, 0] - self._start_s) // width * width + self._start_s
        for start in np.unique(windows).tolist():
            changes += self.alarm.close_quiet_windows(place + width, (start - place) // width)
            mine = rows[windows == start] if len(rows) < 10_000 else rows[_span(windows, start)]
            value = (
                p95.get(start, 0.0) if self.rule.watched == "p95" else float(mine[:, self._column()].sum())
            )
            change = self.alarm.close_window(start + width, value, int(mine[:, _HITS].sum()))
            changes += [change] if change else []
            place = start + width
        return changes + self.alarm.close_quiet_windows(place + width, (end - place) // width)

    def _column(self) -> int:
        return {"bytes": _BYTES, "hits": _HITS, "errors": _5XX}[self.rule.watched]


def _span(windows: Rows, start: int) -> slice:
    """Return where `start` stands in sorted `windows`."""
    return slice(int(np.searchsorted(windows, start)), int(np.searchsorted(windows, start, side="right")))


def alerts_of(rule: AlertRule, series: SecondSeries, latency: LatencyBook) -> list[AlertChanged]:
    """Return every alert raised and cleared over a whole log; its last window is closed at its end.

    `latency` must have kept windows where the rule watches p95.
    """
    rows = series.rows()
    if not len(rows):
        return []
    watch = AlertWatch(rule)
    watch._start_s = int(rows[0, 0])
    watch._series, watch._latency = series, latency
    return watch.advance(int(rows[-1, 0]) + rule.time_resolution_s)


def as_json(changes: Iterable[AlertChanged]) -> list[dict[str, object]]:
    """Return alerts as JSON objects; `event` is raised or cleared."""
    return [
        {
            "event": "raised" if change.raised else "cleared",
            "time_s": change.time_s,
            "watched": change.watched,
            "short_average": change.short_average,
            "long_average": change.long_average,
            "threshold": change.threshold,
            "rate": change.rate,
        }
        for change in changes
    ]
