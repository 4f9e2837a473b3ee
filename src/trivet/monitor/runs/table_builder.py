"""Builds the table of events from chunks of columns, whatever file they come from.

Rule: names of runs never become Python strings: a million of them stay in an Arrow array.
Rule: a table that would not fit into the memory limit is refused while it is read, with what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trivet.errors import InputError
from trivet.insight.runs.event_table import UNKNOWN, Codes, Dimension, EventTable, Ints
from trivet.monitor.runs.growing_columns import CodedColumn, GrowingArray

#: What one event takes while a table is built and analysed (measured: about 45 bytes).
_EVENT_BYTES = 60

#: Dimensions whose text is a list ("host-a/1; host-b/2"): a run counts under each entry.
_LISTS = ("host_worker_instances",)
_LIST_SEPARATOR = ";"


@dataclass(slots=True)
class Chunk:
    """Columns of some events: names and dimensions are Arrow strings, times are nanoseconds."""

    run: pa.Array
    name: pa.Array
    emit: Ints
    receive: Ints
    source: pa.Array | None = None
    sequence: Ints | None = None
    dimensions: Mapping[str, pa.Array] = field(default_factory=dict)


class TableBuilder:
    """Collects chunks and makes them one EventTable; `memory_limit_bytes` bounds it.

    With `identities` false the source and sequence of events are passed over.
    """

    def __init__(self, memory_limit_bytes: int, *, identities: bool = True) -> None:
        self._limit, self._identities = memory_limit_bytes, identities
        self.event_count = 0
        self._runs, self._names = CodedColumn(np.int32), CodedColumn(np.int16)
        self._sources = CodedColumn(np.int16)
        self._emit, self._receive = GrowingArray(np.int64), GrowingArray(np.int64)
        self._sequence = GrowingArray(np.int64)
        self._pairs: dict[str, list[tuple[Ints, pa.Array]]] = {}

    def add(self, chunk: Chunk) -> None:
        """Take in the events of `chunk`; raises InputError where they no longer fit."""
        first = self.event_count
        self.event_count += len(chunk.run)
        needed = self.event_count * _EVENT_BYTES
        if needed > self._limit:
            raise InputError(
                f"after {self.event_count:,} events the table needs more than the limit of "
                f"{self._limit >> 20:,} MiB: raise --memory-mib, or cut the input into smaller files"
            )
        run = self._runs.add(chunk.run)
        self._names.add(chunk.name)
        self._emit.add(chunk.emit)
        self._receive.add(chunk.receive)
        if self._identities and chunk.source is not None and chunk.sequence is not None:
            self._sources.add(chunk.source)
            self._sequence.add(chunk.sequence)
        for dimension, column in chunk.dimensions.items():
            rows, values = _distinct_pairs(run, column)
            if len(rows):
                self._pairs.setdefault(dimension, []).append((rows + first, values))

    def finish(self) -> EventTable:
        """The table of all that was added; the builder is of no use any more."""
        run_ids, run = self._runs.finish()
        names, name = self._names.finish()
        numbered = self.event_count > 0 and self._sequence.used == self.event_count
        sources, source = self._sources.finish() if numbered else (pa.array([""]), None)
        return EventTable(
            run_ids=_RunNames(run_ids),
            names=names.to_pylist(),
            run=run,
            name=name,
            emit=self._emit.finish(),
            receive=self._receive.finish(),
            sources=sources.to_pylist(),
            source=source,
            sequence=self._sequence.finish() if numbered else None,
            dimensions={name: _dimension(name, run, parts) for name, parts in self._pairs.items()},
        )


class _RunNames:
    """An Arrow string array that gives Python strings."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, code: int) -> str:
        return str(self.array[code].as_py())


def no_times(count: int) -> Ints:
    """A column of `count` times that nobody knows."""
    return np.full(count, UNKNOWN)


def _distinct_pairs(run: pa.DictionaryArray, column: pa.Array) -> tuple[Ints, pa.Array]:
    """Each (run, value) of a chunk once: a row that has it, and the value; empty text is no value."""
    present = pc.and_(pc.is_valid(column), pc.not_equal(column, ""))
    rows = np.flatnonzero(present.fill_null(False).to_numpy(zero_copy_only=False))
    if not len(rows):
        return rows, pa.array([], pa.string())
    encoded = pc.dictionary_encode(column)
    codes = run.indices.to_numpy(zero_copy_only=False)[rows].astype(np.int64)
    values = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)[rows].astype(np.int64)
    _, first = np.unique(codes * len(encoded.dictionary) + values, return_index=True)
    return rows[first], column.take(pa.array(rows[first]))


def _dimension(name: str, runs: Codes, parts: list[tuple[Ints, pa.Array]]) -> Dimension:
    """The pairs of all chunks as one dimension, with the codes of the finished table."""
    run = runs[np.concatenate([rows for rows, _ in parts])].astype(np.int64)
    texts = pa.chunked_array([values for _, values in parts]).combine_chunks()
    if name in _LISTS:
        lists = pc.split_pattern(texts, _LIST_SEPARATOR)
        run = run[pc.list_parent_indices(lists).to_numpy()]
        texts = pc.utf8_trim_whitespace(pc.list_flatten(lists))
    encoded = pc.dictionary_encode(texts)
    width = max(len(encoded.dictionary), 1)
    pairs = np.unique(run * width + encoded.indices.to_numpy(zero_copy_only=False))
    return Dimension(
        encoded.dictionary.to_pylist(), (pairs // width).astype(np.int32), (pairs % width).astype(np.int32)
    )
