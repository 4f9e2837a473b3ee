"""Following logs without a board: one line (or one JSON object) a display period, and alerts between them.

Rule: it ends by a signal or after the time asked for, tells what is still due, and leaves with code 0.
"""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from trivet.insight.logs.alert import AlertChanged
from trivet.insight.logs.alert_watch import as_json
from trivet.monitor.logs.live import LiveLogs, Period
from trivet.monitor.logs.report import alert_text, clipped, size_text
from trivet.monitor.logs.sinks import AlertDesk, Sink
from trivet.wire.access_log import escape

Say = Callable[[str], None]


def period_text(live: LiveLogs, period: Period) -> str:
    """Return one line that says what came in a display period."""
    name, most = period.top_section
    top = f", most in {clipped(escape(name), 40)} ({most})" if most else ""
    progress = live.progress
    return (
        f"{time.strftime('%H:%M:%S')} {period.hits} hits, {size_text(period.size_bytes)}{top},"
        f" 4xx {period.client_errors}, 5xx {period.server_errors}"
        f" | {progress.handled} lines handled, {progress.waiting} waiting, {live.malformed_lines} malformed"
    )


def period_json(live: LiveLogs, period: Period) -> dict[str, Any]:
    """Return what came in a display period as a JSON object."""
    return {
        "event": "period",
        "at_s": time.time(),
        "seconds": round(period.seconds, 3),
        "hits": period.hits,
        "bytes": period.size_bytes,
        "4xx": period.client_errors,
        "5xx": period.server_errors,
        "top_section": [escape(period.top_section[0]), period.top_section[1]],
        "lines_handled": live.progress.handled,
        "lines_waiting": live.progress.waiting,
        "malformed": live.malformed_lines,
        "truncations": live.tail.truncations,
    }


async def follow_plainly(
    live: LiveLogs, sinks: Sequence[Sink], *, show: Say, say: Say, as_json_lines: bool, every_s: float,
    for_s: float | None,
) -> None:  # fmt: skip
    """Follow until a signal comes or `for_s` seconds are over, showing a line every `every_s`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        batches = live.batches()
        async with AlertDesk(sinks, say) as desk, contextlib.aclosing(batches):
            shown = _Shower(live, desk, show, say, as_json_lines, every_s)
            ends_s = time.monotonic() + for_s if for_s is not None else float("inf")
            async for changes in batches:
                shown.alerts(changes)
                shown.tick()
                if stop.is_set() or time.monotonic() >= ends_s:
                    break
            live.finish()
            shown.period()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Shower:
    """Shows periods and alerts as lines."""

    def __init__(
        self, live: LiveLogs, desk: AlertDesk, show: Say, say: Say, as_json_lines: bool, every_s: float
    ) -> None:
        self._live, self._desk, self._show, self._say = live, desk, show, say
        self._json = as_json_lines
        self._every_s = every_s
        self._began_s = time.monotonic()

    def alerts(self, changes: Sequence[AlertChanged]) -> None:
        for change in changes:
            self._desk.tell(change)
            self._show(json.dumps(as_json([change])[0]) if self._json else alert_text(change))

    def tick(self) -> None:
        for note in self._live.notes:
            self._say(note)
        self._live.notes.clear()
        if time.monotonic() - self._began_s >= self._every_s:
            self.period()

    def period(self) -> None:
        now_s = time.monotonic()
        period = self._live.end_period(now_s - self._began_s)
        self._began_s = now_s
        if self._json:
            self._show(json.dumps(period_json(self._live, period)))
        else:
            self._show(period_text(self._live, period))
