"""A store of events for a process that must not wait: rows in, and the oldest out when there are many.

Rule: nothing is sealed here: that loads Arrow. Readers seal nothing either; `trivet runs compact` does.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from trivet.monitor.runs.event_log import Event
from trivet.monitor.runs.tail import Tail

#: How many events of how many days are kept, and after how many rows that is looked at.
EVENTS_MAX, KEPT_DAYS = 400_000, 7
_LOOK_EVERY = 20_000


class WaypointStore:
    """The store in `folder`, made when it is not there; used by one thread."""

    def __init__(self, folder: Path) -> None:
        self._tail = Tail(folder, create=True)
        self._fresh = _LOOK_EVERY

    def append(self, rows: Sequence[tuple[str, str, int, str, int, str]]) -> None:
        """Keep `rows` of (run, event, time in ns, source, sequence, dimensions); may raise TrivetError."""
        with self._tail.writing():
            self._tail.add([Event(run, name, at, at, source, number, told)
                            for run, name, at, source, number, told in rows])  # fmt: skip
            self._fresh += len(rows)
            if self._fresh >= _LOOK_EVERY:
                self._fresh = 0
                self._tail.clear(time.time_ns() - KEPT_DAYS * 24 * 3600 * 10**9)
                self._tail.keep_newest(EVENTS_MAX)

    def close(self) -> None:
        """Let go of the store's file."""
        self._tail.close()
