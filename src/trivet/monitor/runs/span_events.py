"""Formats that tell spans (a name, a begin, an end) become events: `<name>_start` and `<name>_end`.

Rule: a span without an end gives a start only, and is shown as open.
Rule: two equal events of one file are two events (tests that took no time); those of two imports are one.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trivet.errors import InputError
from trivet.insight.runs.event_table import UNKNOWN
from trivet.monitor.runs.content_ids import content_sequences
from trivet.monitor.runs.event_files import memory_limit_bytes
from trivet.monitor.runs.json_values import decode_json
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.table_builder import Chunk, no_times

_FLUSH_EVENTS = 100_000
_SOURCE = "*file*"
#: What a JSON document takes in memory for each of its bytes (measured: 6 to 10).
_JSON_GROWTH = 12


class SpanEvents:
    """Collects events and hands them to the table of `reading` in chunks; no format tells of receipt."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._rows: list[tuple[str, str, int]] = []
        self._nth: list[int] = []
        self._seen = Counter[tuple[str, str, int]]()
        self._dimensions: list[Mapping[str, str]] = []

    def event(self, run: str, name: str, time_ns: int, dimensions: Mapping[str, str]) -> None:
        """Add one event."""
        self._rows.append((run, name, time_ns))
        self._nth.append(self._seen[run, name, time_ns])
        self._seen[run, name, time_ns] += 1
        self._dimensions.append(dimensions)
        if len(self._rows) >= _FLUSH_EVENTS:
            self.flush()

    def span(
        self, run: str, phase: str, begin_ns: int, end_ns: int | None, dimensions: Mapping[str, str]
    ) -> None:
        """Add the events of a phase; without `end_ns` it is left open."""
        self.event(run, f"{phase}_start", begin_ns, dimensions)
        if end_ns is not None:
            self.event(run, f"{phase}_end", end_ns, dimensions)

    def flush(self) -> None:
        """Hand over what was collected."""
        if not self._rows:
            return
        runs, names, times = zip(*self._rows, strict=True)
        name_column, time_column = pa.array(names, pa.string()), np.array(times, np.int64)
        keys = dict.fromkeys(key for dimensions in self._dimensions for key in dimensions)
        self._reading.builder.add(
            Chunk(
                pa.array(runs, pa.string()),
                name_column,
                time_column,
                no_times(len(times)),
                source=pa.array([_SOURCE] * len(times), pa.string()),
                sequence=content_sequences(name_column, time_column, np.array(self._nth, np.int64)),
                dimensions={
                    key: pa.array([d.get(key) for d in self._dimensions], pa.string()) for key in keys
                },
            )
        )
        self._rows.clear()
        self._nth.clear()
        self._dimensions.clear()


def json_document(path: Path) -> Any:
    """The JSON document in `path`; one too large for the memory that is free is refused."""
    if path.stat().st_size * _JSON_GROWTH > memory_limit_bytes(0):
        raise InputError(f"{path.name} is too large to be read as one JSON document: split it")
    try:
        return decode_json(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path.name} is no readable JSON: {error}") from None


def list_in(holder: object, key: str) -> list[dict[str, Any]]:
    """The objects of the list `key` of a JSON object; what is none is left out."""
    found = holder.get(key) if isinstance(holder, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def in_range(time_ns: int) -> bool:
    """Whether a time fits into the table."""
    return UNKNOWN < time_ns <= np.iinfo(np.int64).max
