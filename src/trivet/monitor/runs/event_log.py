"""Where events are kept: the one small interface that a store of events has.

Rule: an appended event is kept once `append` has returned; appending it again adds nothing.
Rule: a `scan` sees every event that was kept when it began, whoever writes meanwhile.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from trivet.insight.runs.event_table import EventTable


class Event(NamedTuple):
    """One event of a run: (`run`, `source`, `sequence`) is its identity, times are ns since 1970 or None.

    `dimensions` is a JSON object of texts, or "" for none.
    """

    run: str
    name: str
    emit_ns: int | None
    receive_ns: int | None
    source: str
    sequence: int
    dimensions: str = ""


class EventLog(Protocol):
    """A store of events; one in a team's database would have the same two methods."""

    def append(self, batch: Sequence[Event]) -> int:
        """Keep the events of `batch`; returns how many were new."""

    def scan(self) -> "EventTable":
        """All events that are kept, each once."""
