"""Tables of events as CSV, Parquet and JSON lines: read batch by batch, and written.

Rule: no file is ever held whole; a line that is none of the format is counted and skipped.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from trivet.errors import InputError
from trivet.insight.runs.event_table import UNKNOWN, EventTable, Ints
from trivet.monitor.runs.dimension_columns import dimension_columns
from trivet.monitor.runs.json_values import decode_json
from trivet.monitor.runs.reading import Reading, add_columns, named

#: Arrow reads about 40 blocks ahead, whatever it is told.
_BLOCK_BYTES = 1 << 19
_BATCH_ROWS = 1 << 15
_BUFFER_BYTES = 1 << 16
_LINES = 10_000
_LINE_BYTES = 8 << 20


def read_csv(path: Path, reading: Reading) -> None:
    """Read a CSV file with a header line, plain or compressed (.gz, .bz2, .zst)."""
    row = 2

    def skip(bad: Any) -> str:
        words = f"{bad.actual_columns} fields, not {bad.expected_columns}"
        reading.bad(f"{path.name} row {bad.number or '?'}", words)
        return "skip"

    try:
        with pa.input_stream(str(path), compression="detect") as raw:
            header = pa.csv.open_csv(
                raw,
                read_options=pa.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
                parse_options=pa.csv.ParseOptions(invalid_row_handler=lambda bad: "skip"),
            ).schema.names
        with pa.input_stream(str(path), compression="detect") as raw:
            batches = pa.csv.open_csv(
                raw,
                read_options=pa.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
                parse_options=pa.csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                ),
            )
            for batch in batches:
                add_columns(reading, named(batch, path.name), path.name, row)
                row += len(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path.name} is no readable CSV table: {_first_line(error)}") from None


def read_parquet(path: Path, reading: Reading) -> None:
    """Read a Parquet file."""
    row = 0
    try:
        with pa.parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                add_columns(reading, named(batch, path.name), path.name, row)
                row += len(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path.name} is no readable Parquet file: {_first_line(error)}") from None


def read_jsonl(path: Path, reading: Reading) -> None:
    """Read JSON lines: one object a line."""
    row = 1
    with pa.input_stream(str(path), compression="detect") as raw:
        lines = iter(_lines(raw, path))
        while block := list(islice(lines, _LINES)):
            records = [_record(line, reading, f"{path.name} line {row + i}") for i, line in enumerate(block)]
            good = [record for record in records if record is not None]
            if good:
                names = dict.fromkeys(name for record in good for name in record)
                columns = {name: _column([record.get(name) for record in good]) for name in names}
                add_columns(reading, columns, path.name, row)
            row += len(block)


def write_table(table: EventTable, path: Path) -> None:
    """Write `table` as CSV or Parquet, as the suffix of `path` says; times as seconds."""
    columns = {
        "testrun_id": pa.array(table.run_ids_list(), pa.string()).take(pa.array(table.run)),
        "event_name": pa.array(list(table.names), pa.string()).take(pa.array(table.name)),
        "event_emit": _seconds(table.emit),
        "event_receive": _seconds(table.receive),
    }
    columns |= {name: column.take(pa.array(table.run)) for name, column in dimension_columns(table).items()}
    out = pa.table(columns)
    if path.suffix == ".csv":
        pa.csv.write_csv(out, path)
    else:
        pa.parquet.write_table(out, path, compression="zstd")


def _seconds(times: Ints) -> pa.Array:
    known = times != UNKNOWN
    if not (times[known] % 1_000_000_000).any():
        return pa.array(np.where(known, times, 0) // 1_000_000_000, mask=~known)
    return pa.array(np.where(known, times, 0) / 1e9, mask=~known)


def _lines(raw: pa.NativeFile, path: Path) -> Iterator[bytes]:
    """Lines of `raw`; a line longer than a block is refused, so that memory stays bounded."""
    rest = b""
    while block := raw.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > _LINE_BYTES:
            raise InputError(
                f"{path.name} has a line over {_LINE_BYTES >> 20} MiB: put one event on each line"
            )
    if rest:
        yield rest


def _record(line: bytes, reading: Reading, where: str) -> dict[str, Any] | None:
    if not line.strip():
        return None
    try:
        record = decode_json(line)
    except ValueError:
        reading.bad(where, "is no JSON")
        return None
    if not isinstance(record, dict):
        reading.bad(where, "is no JSON object")
        return None
    return record


def _column(values: list[Any]) -> pa.Array:
    """A column of numbers when all are, of text otherwise; lists of pairs become "host/1;host/2"."""
    given = [value for value in values if value is not None]
    if given and all(type(value) in (int, float) for value in given):
        wide = any(type(value) is float or abs(value) >= 1 << 63 for value in given)
        return pa.array(values, pa.float64() if wide else pa.int64())
    return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ";".join("/".join(map(str, v)) if isinstance(v, list) else str(v) for v in value)
    return msgspec.json.encode(value).decode()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
