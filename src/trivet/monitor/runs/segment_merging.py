"""Sealed segments become fewer or shorter ones, a slice of rows at a time: none is ever held whole.

Rule: rows are moved as they are; what an event says is not looked at, but for its times.
Rule: the index of a new segment is the union of the old ones: it may name runs that are gone, never lack one.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trivet.insight.runs.event_table import UNKNOWN, Ints
from trivet.monitor.runs.run_index import index_name
from trivet.monitor.runs.segment_writer import FIXED, ROW_GROUP, SegmentWriter
from trivet.monitor.runs.segments import opened
from trivet.monitor.runs.tail import Segment

#: More files than this are not merged at once: each is open and holds a slice.
MOST_AT_ONCE = 64

_Slice = tuple[pa.Table, Ints]


def merge_segments(folder: Path, segments: Sequence[Segment], number: int) -> Segment:
    """Write the rows of `segments` in order of receipt as segment `number`."""
    with ExitStack() as stack:
        files = [stack.enter_context(opened(folder / segment.name)) for segment in segments]
        writer = SegmentWriter(folder, number, _dimensions(files))
        rows = max(ROW_GROUP // len(files), 1 << 10)
        for part, seen in _groups(_in_order([_slices(file, writer.schema, rows) for file in files])):
            writer.write(part, seen)
        merged = writer.finish(_indexes(folder, segments))
    assert merged is not None
    return merged


def newer_segment(folder: Path, segment: Segment, before_ns: int, number: int) -> Segment | None:
    """Write the rows of `segment` from `before_ns` on as segment `number`; None when there is none."""
    with opened(folder / segment.name) as file:
        writer = SegmentWriter(folder, number, _dimensions([file]))
        for part, seen in _groups(_slices(file, writer.schema, ROW_GROUP)):
            times = pc.coalesce(part["event_emit"], part["event_receive"]).cast(pa.int64())
            keep = pc.greater_equal(times, before_ns).fill_null(False)
            writer.write(part.filter(keep), seen[keep.to_numpy(zero_copy_only=False)])
        return writer.finish(_indexes(folder, [segment]))


def _dimensions(files: Sequence[pq.ParquetFile]) -> list[str]:
    names = dict.fromkeys(name for file in files for name in file.schema_arrow.names)
    return [name for name in names if name not in FIXED]


def _slices(file: pq.ParquetFile, schema: pa.Schema, rows: int) -> Iterator[_Slice]:
    """The rows of `file` as plain text and times in the columns of `schema`, with their times of receipt."""
    for batch in file.iter_batches(batch_size=rows, use_threads=False):
        pa.default_memory_pool().release_unused()  # else what is freed stays taken for seconds
        columns = [
            batch[name].cast(_plain(kind))
            if name in batch.schema.names
            else pa.nulls(len(batch), pa.string())
            for name, kind in zip(schema.names, schema.types, strict=True)
        ]
        table = pa.table(columns, names=schema.names)
        seen = pc.coalesce(table["event_receive"], table["event_emit"]).cast(pa.int64()).fill_null(UNKNOWN)
        yield table, seen.to_numpy()


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _in_order(sources: Sequence[Iterator[_Slice]]) -> Iterator[_Slice]:
    """Slices of several ordered `sources`, such that no later one holds an earlier row."""
    heads: dict[int, _Slice] = {}
    waiting = dict(enumerate(sources))
    while True:
        for number in [number for number in waiting if number not in heads]:
            head = next(waiting[number], None)
            if head is None:
                del waiting[number]
            else:
                heads[number] = head
        if not heads:
            return
        horizon = min(seen[-1] for _, seen in heads.values())
        for number, (rows, seen) in list(heads.items()):
            count = int(np.searchsorted(seen, horizon, side="right"))
            if count:
                yield rows.slice(0, count), seen[:count]
            if count < len(seen):
                heads[number] = (rows.slice(count), seen[count:])
            else:
                del heads[number]


def _groups(slices: Iterator[_Slice]) -> Iterator[_Slice]:
    """The rows of `slices` in groups of about ROW_GROUP, each group in order of receipt."""
    held: list[_Slice] = []
    count = 0
    for part in slices:
        if held and count + len(part[1]) > ROW_GROUP:
            yield _ordered(held)
            held, count = [], 0
        held.append(part)
        count += len(part[1])
    if held:
        yield _ordered(held)


def _ordered(held: list[_Slice]) -> _Slice:
    seen = np.concatenate([times for _, times in held])
    order = np.argsort(seen, kind="stable")
    rows = pa.concat_tables(rows for rows, _ in held).take(pa.array(order))
    columns = [pc.dictionary_encode(c) if pa.types.is_string(c.type) else c for c in rows.columns]
    return pa.table([column.combine_chunks() for column in columns], rows.schema.names), seen[order]


def _indexes(folder: Path, segments: Sequence[Segment]) -> np.ndarray:
    return np.unique(
        np.concatenate([np.fromfile(folder / index_name(segment.name), "<u8") for segment in segments])
    )
