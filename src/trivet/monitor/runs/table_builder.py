"""Builds the table of events from chunks of columns, whatever file they come from.

Rule: names of runs never become Python strings: a million of them stay in an Arrow array.
Rule: a table that would not fit into the memory limit is refused while it is read, with what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trivet.errors import InputError
from trivet.insight.runs.event_table import UNKNOWN, Dimension, EventTable, Ints

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
    """Collects chunks and makes them one EventTable; `memory_limit_bytes` bounds it."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self._limit = memory_limit_bytes
        self.event_count = 0
        self._runs: list[pa.Array] = []
        self._names: list[pa.Array] = []
        self._sources: list[pa.Array] = []
        self._emit: list[Ints] = []
        self._receive: list[Ints] = []
        self._sequence: list[Ints] = []
        self._pairs: dict[str, list[tuple[int, Ints, pa.Array]]] = {}

    def add(self, chunk: Chunk) -> None:
        """Take in the events of `chunk`; raises InputError where they no longer fit."""
        self.event_count += len(chunk.run)
        needed = self.event_count * _EVENT_BYTES
        if needed > self._limit:
            raise InputError(
                f"after {self.event_count:,} events the table needs more than the limit of "
                f"{self._limit >> 20:,} MiB: raise --memory-mib, or cut the input into smaller files"
            )
        run = pc.dictionary_encode(chunk.run)
        self._runs.append(run)
        self._names.append(pc.dictionary_encode(chunk.name))
        self._emit.append(chunk.emit)
        self._receive.append(chunk.receive)
        if chunk.source is not None and chunk.sequence is not None:
            self._sources.append(pc.dictionary_encode(chunk.source))
            self._sequence.append(chunk.sequence)
        for dimension, column in chunk.dimensions.items():
            codes, values = _distinct_pairs(run, column)
            if len(codes):
                self._pairs.setdefault(dimension, []).append((len(self._runs) - 1, codes, values))

    def finish(self) -> EventTable:
        """The table of all that was added."""
        run_ids, runs = _unified(self._runs)
        names, name_codes = _unified(self._names)
        if len(names) > np.iinfo(np.int16).max:
            raise InputError(
                f"{len(names):,} different event names, such as {names[0].as_py()!r}: is it the right column?"
            )
        numbered = bool(self._sequence) and len(self._sequence) == len(self._runs)
        sources, source_codes = _unified(self._sources) if numbered else (pa.array([""]), [])
        dimensions = {name: _dimension(name, runs, parts) for name, parts in self._pairs.items()}
        return EventTable(
            run_ids=_RunNames(run_ids),
            names=names.to_pylist(),
            run=_joined(runs, np.int32),
            name=_joined(name_codes, np.int16),
            emit=_joined(self._emit, np.int64),
            receive=_joined(self._receive, np.int64),
            sources=sources.to_pylist(),
            source=_joined(source_codes, np.int16) if numbered else None,
            sequence=_joined(self._sequence, np.int64) if numbered else None,
            dimensions=dimensions,
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


def _unified(chunks: list[pa.Array]) -> tuple[pa.Array, list[Ints]]:
    """One dictionary for all `chunks`, and their codes in it."""
    if not chunks:
        return pa.array([], pa.string()), []
    one = pa.chunked_array(chunks).unify_dictionaries()
    return one.chunk(one.num_chunks - 1).dictionary, [
        c.indices.to_numpy(zero_copy_only=False) for c in one.chunks
    ]


def _joined(parts: list[Ints], dtype: npt.DTypeLike) -> Any:
    return np.concatenate(parts, dtype=dtype, casting="unsafe") if parts else np.zeros(0, dtype)


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


def _dimension(name: str, runs: list[Ints], parts: list[tuple[int, Ints, pa.Array]]) -> Dimension:
    """The pairs of all chunks as one dimension, with the codes of the finished table."""
    run = np.concatenate([runs[chunk][rows] for chunk, rows, _ in parts]).astype(np.int64)
    texts = pa.chunked_array([values for _, _, values in parts]).combine_chunks()
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
