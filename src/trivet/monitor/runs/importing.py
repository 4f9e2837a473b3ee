"""Files of events into a store, a batch at a time: a file may be larger than the memory.

Rule: what was kept stays kept when a later part of the input can't be read; importing again adds the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.insight.runs.cleaning import Finding
from trivet.monitor.runs.event_files import memory_limit_bytes, read_into
from trivet.monitor.runs.event_store import EventStore
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.table_builder import Chunk, TableBuilder
from trivet.monitor.runs.time_columns import TimeFormat

BATCH_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Imported:
    """How many events were `read`, how many of them were new and `added`, and what was odd."""

    read: int
    added: int
    findings: tuple[Finding, ...]


class _BatchBuilder(TableBuilder):
    """A builder that hands its events to a store whenever it has BATCH_EVENTS."""

    def __init__(self, limit_bytes: int, store: EventStore) -> None:
        super().__init__(limit_bytes)
        self._limit_bytes, self._store = limit_bytes, store
        self.read, self.added = 0, 0

    def add(self, chunk: Chunk) -> None:
        """Take in the events of `chunk`."""
        super().add(chunk)
        if self.event_count >= BATCH_EVENTS:
            self.hand_over()

    def hand_over(self) -> None:
        """Keep what was collected, and begin anew."""
        self.read += self.event_count
        if self.event_count:
            self.added += self._store.append_table(self.finish())
        super().__init__(self._limit_bytes)


def import_files(
    paths: Sequence[Path], store: EventStore, *, times: TimeFormat, format_: str = "", memory_mib: int = 0
) -> Imported:
    """Read `paths` and keep their events in `store`."""
    builder = _BatchBuilder(memory_limit_bytes(memory_mib), store)
    reading = Reading(builder, times)
    read_into(reading, paths, format_)
    builder.hand_over()
    return Imported(builder.read, builder.added, tuple(reading.findings()))
