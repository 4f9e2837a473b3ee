"""Files of events into a store, a batch at a time: a file may be larger than the memory.

Rule: the memory limit is that of the whole process; the length of a batch follows from it.
Rule: what was kept stays kept when a later part of the input can't be read; importing again adds the rest.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import InputError
from trivet.insight.runs.cleaning import Finding
from trivet.monitor.runs.event_files import format_of, memory_limit_bytes, read_into
from trivet.monitor.runs.event_store import EventStore
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.table_builder import Chunk, TableBuilder
from trivet.monitor.runs.time_columns import TimeFormat

#: A batch is no longer, whatever memory there is.
BATCH_EVENTS = 1_000_000
#: What the process takes before the first event of a batch, more for Parquet and HDF5, and each event until
#: it is sealed (measured).
PROCESS_BYTES = 215 << 20
BINARY_BYTES = 55 << 20
EVENT_BYTES = 300
_FEWEST_EVENTS = 50_000


@dataclass(frozen=True, slots=True)
class Imported:
    """How many events were `read`, how many of them were new and `added`, and what was odd."""

    read: int
    added: int
    findings: tuple[Finding, ...]


class _BatchBuilder(TableBuilder):
    """A builder that hands its events to a store whenever it has `batch_events`."""

    def __init__(self, store: EventStore, batch_events: int) -> None:
        super().__init__(sys.maxsize)
        self._store, self._batch_events = store, batch_events
        self.read, self.added = 0, 0

    def add(self, chunk: Chunk) -> None:
        """Take in the events of `chunk`."""
        super().add(chunk)
        if self.event_count >= self._batch_events:
            self.hand_over()

    def hand_over(self) -> None:
        """Keep what was collected, and begin anew."""
        self.read += self.event_count
        if self.event_count:
            self.added += self._store.append_table(self.finish())
        super().__init__(sys.maxsize)


def batch_events(limit_bytes: int, process_bytes: int) -> int:
    """How many events may be in memory at a time; raises InputError where `limit_bytes` is too little."""
    least = process_bytes + _FEWEST_EVENTS * EVENT_BYTES
    if limit_bytes < least:
        raise InputError(f"importing takes {-(-least >> 20)} MiB at least: give --memory-mib so much or more")
    return min((limit_bytes - process_bytes) // EVENT_BYTES, BATCH_EVENTS)


def import_files(
    paths: Sequence[Path], store: EventStore, *, times: TimeFormat, format_: str = "", memory_mib: int = 0
) -> Imported:
    """Read `paths` and keep their events in `store`."""
    binary = any((format_ or format_of(path)) in ("parquet", "hdf5") for path in paths)
    process_bytes = PROCESS_BYTES + (BINARY_BYTES if binary else 0)
    builder = _BatchBuilder(store, batch_events(memory_limit_bytes(memory_mib), process_bytes))
    reading = Reading(builder, times)
    read_into(reading, paths, format_)
    builder.hand_over()
    return Imported(builder.read, builder.added, tuple(reading.findings()))
