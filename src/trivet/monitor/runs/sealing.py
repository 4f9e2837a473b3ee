"""What the store does with Arrow: tail and segments become one table, and known events are told from new.

Rule: identity is compared exactly; hashes only tell where to look.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from trivet.insight.runs.event_table import UNKNOWN, EventTable, Ints
from trivet.insight.runs.repeats import repeated_events
from trivet.monitor.runs.content_ids import CONTENT_SOURCE, content_sequences
from trivet.monitor.runs.dimension_columns import dimension_columns
from trivet.monitor.runs.event_log import Event
from trivet.monitor.runs.segments import held_runs, read_runs, read_segment, run_hashes
from trivet.monitor.runs.table_builder import Chunk, TableBuilder
from trivet.monitor.runs.tail import Segment

#: Events that are objects at a time.
_BATCH_EVENTS = 20_000


def read_all(
    folder: Path,
    segments: Sequence[Segment],
    tail: Iterable[Chunk],
    limit_bytes: int,
    *,
    identities: bool = True,
) -> EventTable:
    """The events of `segments` and `tail` as one table; `limit_bytes` bounds it (0: nothing does)."""
    builder = TableBuilder(limit_bytes or sys.maxsize, identities=identities)
    for segment in segments:
        read_segment(folder, segment, builder, identities=identities)
    for chunk in tail:
        builder.add(chunk)
    table = replace(builder.finish(), ids_unique=True)
    pa.default_memory_pool().release_unused()
    return table


def with_identity(table: EventTable) -> EventTable:
    """`table` with sources and sequences, made up from content where it came without."""
    if table.source is not None and table.sequence is not None:
        return table
    names = pa.DictionaryArray.from_arrays(
        pa.array(table.name.astype(np.int32)), pa.array(list(table.names), pa.string())
    )
    return replace(
        table,
        sources=[CONTENT_SOURCE],
        source=np.zeros(len(table), np.int16),
        sequence=content_sequences(names, table.emit, table.receive),
    )


def new_events(
    folder: Path, table: EventTable, segments: Sequence[Segment], tail: Callable[[], Iterable[Event]]
) -> EventTable:
    """The events of `table` that are neither in `segments` nor in the `tail`, each once."""
    runs = pa.array(table.run_ids_list(), pa.string()).to_pylist()
    by_content = list(table.sources) == [CONTENT_SOURCE]  # the same event has the same times
    times = np.unique(table.emit) if by_content else None
    builder = _events_of(folder, _of_same_time(segments, table) if by_content else segments, runs, times)
    wanted = set(runs)
    for chunk in tail_chunks(event for event in tail() if event.run in wanted):
        builder.add(chunk)
    known = builder.event_count
    if not known:
        repeated = repeated_events(table)
        return table if repeated is None else table.only(~repeated)
    builder.add(_chunk_of(table))
    repeated = repeated_events(builder.finish())
    return table if repeated is None else table.only(~repeated[known:])


def sealed_ids(folder: Path, segments: Sequence[Segment], runs: set[str]) -> set[tuple[str, str, int]]:
    """The identities of all sealed events of `runs`."""
    builder = _events_of(folder, segments, list(runs))
    if not builder.event_count:
        return set()
    table = with_identity(builder.finish())
    assert table.source is not None and table.sequence is not None  # noqa: PT018
    return {
        (table.run_id(run), table.sources[source], sequence)
        for run, source, sequence in zip(
            table.run.tolist(), table.source.tolist(), table.sequence.tolist(), strict=True
        )
    }


def row_batches(table: EventTable) -> Iterator[list[Event]]:
    """The events of a `table` with identities one by one, in batches: as objects they take much memory."""
    if table.source is None or table.sequence is None:
        raise AssertionError("an event without identity can't be kept")
    columns = dimension_columns(table)
    for first in range(0, len(table), _BATCH_EVENTS):
        yield list(_rows_of(table.only(np.arange(first, min(first + _BATCH_EVENTS, len(table)))), columns))


def tail_chunks(events: Iterable[Event]) -> Iterator[Chunk]:
    """The `events` of a tail as columns, a batch at a time."""
    left = iter(events)
    while batch := list(islice(left, _BATCH_EVENTS)):
        yield _tail_chunk(batch)


def _rows_of(table: EventTable, columns: dict[str, pa.Array]) -> Iterator[Event]:
    used = np.unique(table.run)
    texts = {name: column.take(pa.array(used)).to_pylist() for name, column in columns.items()}
    tags = {
        run: msgspec.json.encode(given).decode() if given else ""
        for number, run in enumerate(used.tolist())
        for given in ({name: of[number] for name, of in texts.items() if of[number] is not None},)
    }
    assert table.source is not None
    assert table.sequence is not None
    rows = (table.run, table.name, table.emit, table.receive, table.source, table.sequence)
    for run, name, emit, receive, source, sequence in zip(*(c.tolist() for c in rows), strict=True):
        yield Event(
            table.run_id(run),
            table.names[name],
            None if emit == UNKNOWN else emit,
            None if receive == UNKNOWN else receive,
            table.sources[source],
            sequence,
            tags[run],
        )


def _of_same_time(segments: Sequence[Segment], table: EventTable) -> Sequence[Segment]:
    """The segments that hold events of the time of those of `table`."""
    seen = np.where(table.receive == UNKNOWN, table.emit, table.receive)
    first, last = int(seen.min()), int(seen.max())
    return [segment for segment in segments if segment.last_ns >= first and segment.first_ns <= last]


def _events_of(
    folder: Path, segments: Sequence[Segment], runs: Sequence[str], times: Ints | None = None
) -> TableBuilder:
    """The sealed events of `runs` (and `times`, when given), in a builder that may take more."""
    builder = TableBuilder(sys.maxsize)
    hashes = run_hashes(runs) if segments else np.zeros(0, "<u8")
    for segment in segments:
        shared = held_runs(folder, segment, runs, hashes)
        if shared:
            read_runs(folder, segment, builder, pa.array(shared, pa.string()), times)
    return builder


def _chunk_of(table: EventTable) -> Chunk:
    """A whole table as one chunk of a builder, without its dimensions: only identities are compared."""
    assert table.source is not None
    return Chunk(
        pa.array(table.run_ids_list()).take(pa.array(table.run)),
        pa.array(list(table.names), pa.string()).take(pa.array(table.name)),
        table.emit,
        table.receive,
        pa.array(list(table.sources), pa.string()).take(pa.array(table.source)),
        table.sequence,
    )


def _tail_chunk(events: Sequence[Event]) -> Chunk:
    runs, names, emits, receives, sources, sequences, dimensions = zip(*events, strict=True)
    tags = {words: msgspec.json.decode(words, type=dict[str, str]) for words in set(dimensions) if words}
    keys = dict.fromkeys(key for words in tags.values() for key in words)
    none: dict[str, str] = {}
    return Chunk(
        pa.array(runs, pa.string()),
        pa.array(names, pa.string()),
        np.array([UNKNOWN if time is None else time for time in emits], np.int64),
        np.array([UNKNOWN if time is None else time for time in receives], np.int64),
        pa.array(sources, pa.string()),
        np.array(sequences, np.int64),
        {
            key: pa.array([tags.get(words, none).get(key) for words in dimensions], pa.string())
            for key in keys
        },
    )
