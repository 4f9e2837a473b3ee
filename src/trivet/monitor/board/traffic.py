"""The door's own access log, counted for the board as it grows: sections, errors, alerts, floods.

Rule: what is kept is bounded: some minutes by the second, a minute by section and pair, and as many requests
for floods as FLOOD_BYTES hold; a busy log is judged for floods over a shorter time, and that is told.
Rule: counting begins with the log's last lines, so that the board says something at once.
Rule: `read` and `window` wait for each other; `judge` works on what `window` gave, beside them.
"""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trivet.insight.arrival_builder import ArrivalBuilder
from trivet.insight.arrivals import Arrivals
from trivet.insight.flood_report import KINDS, FloodReport, analyse
from trivet.insight.logs.alert import AlertChanged, AlertRule
from trivet.insight.logs.alert_watch import AlertWatch
from trivet.io.log_tail import LogTail
from trivet.monitor.flood_live import rebuilt
from trivet.wire.access_formats import named_format
from trivet.wire.access_log import AccessRecord, escape, section_of, split_lines
from trivet.wire.board_frames import AlertTold, FloodsTold, FloodTold, PairTold, SectionTold, TrafficTold

#: How much of the log is counted at the start, and at most with one call of `read`.
BACKFILL_BYTES, READ_MAX = 2 << 20, 4
#: The board's alert: half a minute of hits against the five minutes before, at a request a second or more.
RULE = AlertRule("hits", 3, 30, 2.0, 10, minimum_rate=1.0)
FLOOD_WINDOW_S, FLOOD_BYTES = 3 * 3600.0, 24 << 20
#: A pair that comes so often within a minute is asked for by a program.
LOOP_HITS = 120
SECONDS, MINUTE_S, BUCKET_S = 120, 60, 5
ROWS = 8
_NAMES_A_BUCKET, _TIMES_A_BUCKET = 4000, 500
_TEXT = 160
_GRACE_S = 2
_ALERTS_KEPT = 20
ALERTS_S = 3600


@dataclass(slots=True)
class _Bucket:
    """Some seconds of the log."""

    hits: int = 0
    size_bytes: int = 0
    client_errors: int = 0
    server_errors: int = 0
    sections: dict[bytes, list[int]] = field(default_factory=dict)
    pairs: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)
    times_s: list[float] = field(default_factory=list)


class DoorTraffic:
    """Follows the access log at `path`; `read` takes in what is new, the rest tells of it; `close` it."""

    def __init__(self, path: Path) -> None:
        self._tail = LogTail([str(path)], backfill_bytes=BACKFILL_BYTES)
        self._parse = named_format("combined+duration").parse
        self._seconds: dict[int, int] = {}
        self._buckets: dict[int, _Bucket] = {}
        self._watch = AlertWatch(RULE)
        self._alerts: deque[AlertTold] = deque(maxlen=_ALERTS_KEPT)
        self._since_s: float | None = None
        self._arrivals = ArrivalBuilder()
        self._report = FloodReport()
        self._judged_s = 0.0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the log."""
        self._tail.close()

    def read(self, now_s: float) -> None:
        """Take in what is new, a few MiB at most; `now_s` is Unix time."""
        with self._lock:
            self._read(now_s)

    def _read(self, now_s: float) -> None:
        self._tail.look(time.monotonic())
        rows: list[tuple[int, int, int, int, int]] = []
        for _ in range(READ_MAX):
            chunks = self._tail.read(time.monotonic())
            for chunk in chunks:
                rows += [self._count(record, now_s) for line in split_lines(chunk.data)
                         if (record := self._parse(line)) is not None]  # fmt: skip
            if not chunks:
                break
        self._tail.notes.clear()
        if rows:
            told = np.array(rows, np.int64)
            self._alert(self._watch.add(told, np.zeros((0, 2), np.int64), grace_s=_GRACE_S))
        if self._since_s is not None:
            self._alert(self._watch.advance(int(now_s) - _GRACE_S))
        self._forget(now_s)
        while self._arrivals.size_bytes > FLOOD_BYTES:
            arrivals = self._arrivals.build()
            self._arrivals = rebuilt(arrivals.select(np.arange(len(arrivals) // 2, len(arrivals))))

    def _count(self, record: AccessRecord, now_s: float) -> tuple[int, int, int, int, int]:
        second = int(record.time_s)
        if self._since_s is None or second < self._since_s:
            self._since_s = float(second)
        client, server = 400 <= record.status < 500, record.status >= 500
        if second > now_s - SECONDS:
            self._seconds[second] = self._seconds.get(second, 0) + 1
        if second > now_s - MINUTE_S - BUCKET_S:
            self._count_minute(self._buckets.setdefault(second // BUCKET_S, _Bucket()), record)
        self._arrivals.add(record.ip, record.target, record.time_s, record.utc_offset_s, "", 0)
        return second, 1, record.size_bytes, int(client), int(server)

    @staticmethod
    def _count_minute(bucket: _Bucket, record: AccessRecord) -> None:
        bucket.hits += 1
        bucket.size_bytes += record.size_bytes
        bucket.client_errors += 400 <= record.status < 500
        bucket.server_errors += record.status >= 500
        name = section_of(record.target)
        if name in bucket.sections or len(bucket.sections) < _NAMES_A_BUCKET:
            figures = bucket.sections.setdefault(name, [0, 0, 0])
            figures[0] += 1
            figures[1] += record.size_bytes
            figures[2] += record.status >= 400
        pair = (record.ip, record.target)
        if pair in bucket.pairs or len(bucket.pairs) < _NAMES_A_BUCKET:
            bucket.pairs[pair] += 1
        if record.duration_s >= 0 and len(bucket.times_s) < _TIMES_A_BUCKET:
            bucket.times_s.append(record.duration_s)

    def _alert(self, changes: list[AlertChanged]) -> None:
        for change in changes:
            width = RULE.time_resolution_s
            text = (
                f"{change.short_average / width:.1f} requests a second, "
                f"{change.long_average / width:.1f} in the minutes before"
            )
            self._alerts.appendleft(AlertTold(change.time_s, change.raised, text))

    def _forget(self, now_s: float) -> None:
        """Let go of what is too old, and of what a clock that jumped has put into the future."""
        for second in [one for one in self._seconds if abs(now_s - one) >= SECONDS]:
            del self._seconds[second]
        for number in [one for one in self._buckets if abs(now_s - (one + 1) * BUCKET_S) >= MINUTE_S]:
            del self._buckets[number]

    def told(self, now_s: float) -> TrafficTold:
        """Return the figures of the last minute and of the last two minutes by the second."""
        buckets = list(self._buckets.values())
        times_s = [one for bucket in buckets for one in bucket.times_s]
        sections: dict[bytes, list[int]] = {}
        for bucket in buckets:
            for name, figures in bucket.sections.items():
                kept = sections.setdefault(name, [0, 0, 0])
                for place, figure in enumerate(figures):
                    kept[place] += figure
        most = sorted(sections.items(), key=lambda item: (-item[1][0], item[0]))[:ROWS]
        last = int(now_s) - 1
        return TrafficTold(
            per_second=[self._seconds.get(second, 0) for second in range(last - SECONDS + 1, last + 1)],
            hits=sum(bucket.hits for bucket in buckets),
            bytes=sum(bucket.size_bytes for bucket in buckets),
            client_errors=sum(bucket.client_errors for bucket in buckets),
            server_errors=sum(bucket.server_errors for bucket in buckets),
            p95_ms=round(float(np.percentile(times_s, 95)) * 1000, 2) if times_s else None,
            sections=[SectionTold(escape(name)[:_TEXT], *figures) for name, figures in most],
            alert=self._watch.alarm.raised,
            alerts=[one for one in self._alerts if one.at_s > now_s - ALERTS_S],
            waiting_bytes=self._tail.waiting_bytes(),
            since_s=self._since_s,
        )

    def judge(self, window: Arrivals, now_s: float) -> None:
        """Look for floods in `window`; up to a second's work, for a thread beside the one that reads."""
        self._report = analyse(window, now_s)
        self._judged_s = float(window.t[-1] - window.t[0]) if len(window) else 0.0

    def window(self, now_s: float) -> Arrivals:
        """Return the requests that are judged for floods, and let go of those before."""
        with self._lock:
            arrivals = self._arrivals.build()
            if len(arrivals) and arrivals.t[0] < now_s - FLOOD_WINDOW_S:
                arrivals = arrivals.select(arrivals.t >= now_s - FLOOD_WINDOW_S)
                self._arrivals = rebuilt(arrivals)
            return arrivals

    def floods(self) -> FloodsTold:
        """Return the busiest pairs of the last minute and what `judge` found last."""
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for bucket in self._buckets.values():
            pairs.update(bucket.pairs)
        most = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:ROWS]
        return FloodsTold(
            [PairTold(escape(ip)[:_TEXT], escape(url)[:_TEXT], hits, hits >= LOOP_HITS)
             for (ip, url), hits in most],
            [FloodTold(kind, str(one["why"])[:_TEXT], str(one["since"]), int(one["requests"]))
             for kind in KINDS for one in self._report.findings[kind][:ROWS]],
            self._judged_s,
        )  # fmt: skip
