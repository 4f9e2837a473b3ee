"""Sealed segments of a store of events: Parquet files that never change, each with the runs it holds.

Rule: any Parquet reader can read one: columns testrun_id, event_name, event_emit, event_receive, source,
sequence, then dimensions. A sequence that is made up from the event's own content is left empty.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trivet.errors import InputError
from trivet.insight.runs.event_table import UNKNOWN, EventTable, Ints
from trivet.monitor.runs.content_ids import CONTENT_SOURCE, content_sequences
from trivet.monitor.runs.dimension_columns import dimension_columns
from trivet.monitor.runs.run_index import index_name, run_hash
from trivet.monitor.runs.segment_writer import FIXED, ROW_GROUP, TIME, SegmentWriter
from trivet.monitor.runs.table_builder import Chunk, TableBuilder
from trivet.monitor.runs.tail import Segment

_IDENTITY = ("source", "sequence")
_BATCH_ROWS = 1 << 16
_BUFFER_BYTES = 1 << 16


def write_segment(folder: Path, table: EventTable, number: int) -> Segment:
    """Write `table` as segment `number`, ordered by receipt, and its list of runs; both are synced."""
    seen = np.where(table.receive == UNKNOWN, table.emit, table.receive)
    order = np.argsort(seen, kind="stable")
    source, sequence = _identity(table)
    tags = dimension_columns(table)
    writer = SegmentWriter(folder, number, list(tags))
    for first in range(0, len(order), ROW_GROUP):
        rows = order[first : first + ROW_GROUP]
        columns = _columns(table, rows, source, sequence, tags)
        writer.write(pa.Table.from_arrays(columns, schema=writer.schema), seen[rows])
    runs = pa.array(table.run_ids_list(), pa.string()).take(pa.array(np.unique(table.run))).to_pylist()
    segment = writer.finish(np.sort(run_hashes(runs)))
    assert segment is not None, "a table without events can't be sealed"
    return segment


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """The file of a segment, read as a stream; raises InputError where it is damaged."""
    try:
        # pre_buffer would hold every byte that was read until the file is closed
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            yield file
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        words = str(error).splitlines()[0][:200]
        raise InputError(f"{path} is damaged: {words}. The other segments can be read without it") from None


def read_segment(folder: Path, segment: Segment, builder: TableBuilder, *, identities: bool = True) -> None:
    """Add the events of `segment` to `builder`."""
    with opened(folder / segment.name) as file:
        columns = [name for name in file.schema_arrow.names if identities or name not in _IDENTITY]
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns, use_threads=False):
            builder.add(_chunk(batch))


def read_runs(
    folder: Path, segment: Segment, builder: TableBuilder, runs: pa.Array, times: Ints | None = None
) -> None:
    """Add the events of `runs` in `segment` to `builder`, without their dimensions.

    With `times`, sorted, only those that were emitted at one of them.
    """
    with opened(folder / segment.name) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(FIXED), use_threads=False):
            mine = batch
            if times is not None:
                emit = _from_times(batch["event_emit"])
                place = np.minimum(np.searchsorted(times, emit), len(times) - 1)
                mine = batch.filter(pa.array(times[place] == emit))
            if len(mine):
                mine = mine.filter(pc.is_in(mine["testrun_id"].cast(pa.string()), value_set=runs))
            if len(mine):
                builder.add(_chunk(mine))


def held_runs(folder: Path, segment: Segment, runs: Sequence[str], hashes: np.ndarray) -> list[str]:
    """Those of `runs`, whose `hashes` are given, that `segment` holds (or one in 10^13 does not)."""
    index = np.fromfile(folder / index_name(segment.name), "<u8")
    place = np.minimum(np.searchsorted(index, hashes), len(index) - 1)
    return [runs[number] for number in np.flatnonzero(index[place] == hashes).tolist()]


def run_hashes(runs: Sequence[str]) -> np.ndarray:
    """The hashes of `runs`, in their order."""
    return np.fromiter(map(run_hash, runs), "<u8", count=len(runs))


def remove_segment_files(folder: Path, keep: Iterable[Segment]) -> None:
    """Delete every segment file in `folder` that is none of `keep`: what a crash or a compaction left."""
    kept = {name for segment in keep for name in (segment.name, index_name(segment.name))}
    for path in folder.glob("segment-*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def _columns(
    table: EventTable, rows: Ints, source: np.ndarray, sequence: pa.Array, tags: Mapping[str, pa.Array]
) -> list[pa.Array]:
    """The columns of some `rows` of `table`, with dictionaries of what occurs in them only."""
    ids, names = pa.array(table.run_ids_list()), pa.array(list(table.names), pa.string())
    used, codes = np.unique(table.run[rows], return_inverse=True)
    codes = pa.array(codes.astype(np.int32))
    return [
        pa.DictionaryArray.from_arrays(codes, ids.take(pa.array(used))),
        pa.DictionaryArray.from_arrays(pa.array(table.name[rows].astype(np.int32)), names),
        _times(table.emit[rows]),
        _times(table.receive[rows]),
        pa.DictionaryArray.from_arrays(pa.array(source[rows]), pa.array(list(table.sources), pa.string())),
        sequence.take(pa.array(rows)),
        *(column.take(pa.array(used)).dictionary_encode().take(codes) for column in tags.values()),
    ]


def _identity(table: EventTable) -> tuple[np.ndarray, pa.Array]:
    """The codes of sources, and the sequences; those made up from content are null."""
    if table.source is None or table.sequence is None:
        raise AssertionError("an event without identity can't be sealed")
    made_up = np.array([source == CONTENT_SOURCE for source in table.sources])[table.source]
    return table.source.astype(np.int32), pa.array(table.sequence, mask=made_up)


def _chunk(batch: pa.RecordBatch) -> Chunk:
    columns = {
        name: column.cast(pa.string()) if name in FIXED[:2] or name == "source" else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    emit, receive = (_from_times(columns[name]) for name in ("event_emit", "event_receive"))
    dimensions = {name: column.cast(pa.string()) for name, column in columns.items() if name not in FIXED}
    chunk = Chunk(columns["testrun_id"], columns["event_name"], emit, receive, dimensions=dimensions)
    if "sequence" in columns:
        chunk.source, chunk.sequence = columns["source"], _sequences(columns, emit, receive)
    return chunk


def _sequences(columns: dict[str, pa.Array], emit: Ints, receive: Ints) -> Ints:
    """The sequences of a batch; those that were made up from content are made up again."""
    sequence = columns["sequence"]
    made_up = sequence.is_null().to_numpy(zero_copy_only=False)
    numbers: Ints = sequence.fill_null(0).to_numpy(zero_copy_only=False)
    if made_up.any():
        numbers = np.where(made_up, content_sequences(columns["event_name"], emit, receive), numbers)
    return numbers


def _times(times: Ints) -> pa.Array:
    return pa.array(times, pa.int64(), mask=times == UNKNOWN).cast(TIME)


def _from_times(column: pa.Array) -> Ints:
    times: Ints = column.cast(pa.int64()).fill_null(UNKNOWN).to_numpy(zero_copy_only=False)
    return times
