"""Sealed segments of a store of events: Parquet files that never change, each with the runs it holds.

Rule: a segment is complete and on the disk before its name is told to anybody.
Rule: any Parquet reader can read one: columns testrun_id, event_name, event_emit, event_receive, source,
sequence, then dimensions. A sequence that is made up from the event's own content is left empty.
"""

import os
from collections.abc import Iterable, Sequence
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
from trivet.monitor.runs.table_builder import Chunk, TableBuilder
from trivet.monitor.runs.tail import Segment

_ROW_GROUP = 1 << 20
_FIXED = ("testrun_id", "event_name", "event_emit", "event_receive", "source", "sequence")
_IDENTITY = ("source", "sequence")
_TIME = pa.timestamp("ns", "UTC")


def write_segment(folder: Path, table: EventTable, number: int) -> Segment:
    """Write `table` as segment `number`, ordered by receipt, and its list of runs; both are synced."""
    seen = np.where(table.receive == UNKNOWN, table.emit, table.receive)
    order = np.argsort(seen, kind="stable")
    name = f"segment-{number:08d}.parquet"
    runs = pa.array(table.run_ids_list(), pa.string()).take(pa.array(np.unique(table.run))).to_pylist()
    _sync_write(folder / index_name(name), np.sort(run_hashes(runs)).tobytes())
    part = folder / f"{name}.part"
    _write_parquet(part, table, order)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(folder / name)
    _sync_folder(folder)
    return Segment(name, len(table), int(seen[order[0]]), int(seen[order[-1]]))


def read_segment(
    folder: Path,
    segment: Segment,
    builder: TableBuilder,
    runs: pa.Array | None = None,
    *,
    identities: bool = True,
) -> None:
    """Add the events of `segment` (only those of `runs` when given) to `builder`."""
    path = folder / segment.name
    try:
        with pq.ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if identities or name not in _IDENTITY]
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=columns, use_threads=False)
                if runs is not None:
                    rows = rows.filter(pc.is_in(rows["testrun_id"].cast(pa.string()), value_set=runs))
                for batch in rows.to_batches(max_chunksize=1 << 18):
                    builder.add(_chunk(batch))
                del rows
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        words = str(error).splitlines()[0][:200]
        raise InputError(f"{path} is damaged: {words}. The other segments can be read without it") from None


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


def _write_parquet(path: Path, table: EventTable, order: np.ndarray) -> None:
    source, sequence = _identity(table)
    schema = pa.schema(
        [
            ("testrun_id", pa.dictionary(pa.int32(), pa.string())),
            ("event_name", pa.dictionary(pa.int32(), pa.string())),
            ("event_emit", _TIME),
            ("event_receive", _TIME),
            ("source", pa.dictionary(pa.int32(), pa.string())),
            ("sequence", pa.int64()),
            *((name, pa.string()) for name in table.dimensions),
        ]
    )
    ids, names = pa.array(table.run_ids_list()), pa.array(list(table.names), pa.string())
    tags = dimension_columns(table)
    plain = ["event_emit", "event_receive", "sequence"]
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[name for name in schema.names if name not in plain],
        column_encoding=dict.fromkeys(plain, "DELTA_BINARY_PACKED"),
        store_schema=False,
    ) as writer:
        for first in range(0, len(order), _ROW_GROUP):
            rows = order[first : first + _ROW_GROUP]
            run = table.run[rows]
            used, codes = np.unique(run, return_inverse=True)
            columns = [
                pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), ids.take(pa.array(used))),
                pa.DictionaryArray.from_arrays(pa.array(table.name[rows].astype(np.int32)), names),
                _times(table.emit[rows]),
                _times(table.receive[rows]),
                pa.DictionaryArray.from_arrays(
                    pa.array(source[rows]), pa.array(list(table.sources), pa.string())
                ),
                sequence.take(pa.array(rows)),
                *(column.take(pa.array(run)) for column in tags.values()),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _identity(table: EventTable) -> tuple[np.ndarray, pa.Array]:
    """The codes of sources, and the sequences; those made up from content are null."""
    if table.source is None or table.sequence is None:
        raise AssertionError("an event without identity can't be sealed")
    made_up = np.array([source == CONTENT_SOURCE for source in table.sources])[table.source]
    return table.source.astype(np.int32), pa.array(table.sequence, mask=made_up)


def _chunk(batch: pa.RecordBatch) -> Chunk:
    columns = {
        name: column.cast(pa.string()) if name in _FIXED[:2] or name == "source" else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    emit, receive = (_from_times(columns[name]) for name in ("event_emit", "event_receive"))
    dimensions = {name: column.cast(pa.string()) for name, column in columns.items() if name not in _FIXED}
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
    return pa.array(times, pa.int64(), mask=times == UNKNOWN).cast(_TIME)


def _from_times(column: pa.Array) -> Ints:
    times: Ints = column.cast(pa.int64()).fill_null(UNKNOWN).to_numpy(zero_copy_only=False)
    return times


def _sync_write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
