"""Writes one sealed segment of a store of events, slice by slice, and the list of its runs beside it.

Rule: a segment is complete and on the disk before its name is told to anybody.
Rule: memory is that of one slice, however long the segment becomes.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trivet.insight.runs.event_table import UNKNOWN, Ints
from trivet.io.disk import sync_folder
from trivet.monitor.runs.run_index import index_name
from trivet.monitor.runs.tail import Segment

#: Rows of one group of a segment's file: what a writer and a reader hold at a time.
ROW_GROUP = 1 << 17
TIME = pa.timestamp("ns", "UTC")
FIXED = ("testrun_id", "event_name", "event_emit", "event_receive", "source", "sequence")
_PLAIN = ("event_emit", "event_receive", "sequence")
_DICTIONARY_BYTES = 16 << 20


class SegmentWriter:
    """Segment `number` in `folder` with the columns of events and `dimensions`, one text each."""

    def __init__(self, folder: Path, number: int, dimensions: Sequence[str]) -> None:
        self._folder = folder
        self._name = f"segment-{number:08d}.parquet"
        self._part = folder / f"{self._name}.part"
        text = pa.dictionary(pa.int32(), pa.string())
        kinds = (text, text, TIME, TIME, text, pa.int64())
        self.schema = pa.schema(
            [*zip(FIXED, kinds, strict=True), *((dimension, text) for dimension in dimensions)]
        )
        self._file = pq.ParquetWriter(
            self._part,
            self.schema,
            compression="zstd",
            use_dictionary=[name for name in self.schema.names if name not in _PLAIN],
            column_encoding=dict.fromkeys(_PLAIN, "DELTA_BINARY_PACKED"),
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            store_schema=False,
        )
        self._rows, self._first_ns, self._last_ns = 0, 0, UNKNOWN

    def write(self, rows: pa.Table, seen: Ints) -> None:
        """Append `rows` (at most ROW_GROUP), whose times of receipt `seen` go on from those before."""
        if not len(rows):
            return
        if not self._rows:
            self._first_ns = int(seen[0])
        self._rows, self._last_ns = self._rows + len(rows), int(seen[-1])
        self._file.write_table(rows)

    def finish(self, run_hashes: np.ndarray) -> Segment | None:
        """Sync the segment and the sorted `run_hashes` of its runs; None when nothing was written."""
        self._file.close()
        if not self._rows:
            self._part.unlink()
            return None
        index = self._folder / index_name(self._name)
        with index.open("wb") as file:
            file.write(run_hashes.tobytes())
            file.flush()
            os.fsync(file.fileno())
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.rename(self._folder / self._name)
        sync_folder(self._folder)
        return Segment(self._name, self._rows, self._first_ns, self._last_ns)
