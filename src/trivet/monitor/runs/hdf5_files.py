"""The table of events in HDF5, as the first analysis of test runs kept it: read and written.

Rule: one group per device group, in it the table `events` with the columns testrun_id, ev_name, emit,
received; the group's name is the run's device_group. Other groups and data are passed over, and told.
Rule: a written file opens in PyTables and h5py alike.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from trivet.errors import InputError
from trivet.insight.runs.event_table import SECOND_NS, UNKNOWN, EventTable, Ints
from trivet.monitor.runs.reading import Reading, add_columns

_BATCH_ROWS = 1 << 15
_TABLE = "events"


def read_hdf5(path: Path, reading: Reading) -> None:
    """Read every table `events` of `path`, each group being a device group."""
    try:
        with h5py.File(path, "r") as file:
            tables: list[h5py.Dataset] = []
            file.visititems(lambda name, item: tables.append(item) if _is_events(name, item) else None)
            if not tables:
                raise InputError(f"{path.name} holds no table '{_TABLE}' in a group: {_contents(file)}")
            for table in tables:
                _read_table(table, path, reading)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path.name} is no readable HDF5 file: {str(error)[:200]}") from None


def write_hdf5(table: EventTable, path: Path) -> None:
    """Write `table` with one group per device group (`all` for runs without one); times as seconds."""
    groups = table.dimensions.get("device_group")
    group_of_run = np.full(len(table.run_ids), -1)
    if groups is not None:
        group_of_run[groups.run] = groups.value
    of_event = group_of_run[table.run]
    with h5py.File(path, "w") as file:
        _mark(file, "GROUP", "1.0", "demo")
        for code in np.unique(of_event):
            name = "all" if code < 0 or groups is None else groups.values[code]
            group = file.create_group(name.replace("/", "_"))
            _mark(group, "GROUP", "1.0", "Device Group")
            rows = _rows(table.only(of_event == code))
            data = group.create_dataset(_TABLE, data=rows, chunks=True, maxshape=(None,), compression="gzip")
            _mark(data, "TABLE", "2.7", "Events of test runs")
            for number, field in enumerate(rows.dtype.names or ()):
                data.attrs[f"FIELD_{number}_NAME"] = np.bytes_(field)


def _rows(table: EventTable) -> np.ndarray:
    """The rows of one group; times are integers when all of them are whole seconds."""
    runs = np.array([table.run_id(code).encode() for code in table.run], dtype=np.bytes_)
    names = np.array([name.encode() for name in table.names], dtype=np.bytes_)[table.name]
    emit, received = _seconds(table.emit), _seconds(table.receive)
    kind = [
        ("testrun_id", runs.dtype),
        ("ev_name", names.dtype),
        ("emit", emit.dtype),
        ("received", received.dtype),
    ]
    rows = np.empty(len(table), kind)
    for field, column in zip(rows.dtype.names or (), (runs, names, emit, received), strict=True):
        rows[field] = column
    return rows


def _seconds(times: Ints) -> np.ndarray:
    known = times != UNKNOWN
    if known.all() and not (times % SECOND_NS).any():
        return times // SECOND_NS
    return np.where(known, times / SECOND_NS, np.nan)


def _mark(item: Any, kind: str, version: str, title: str) -> None:
    """The attributes by which PyTables knows its own."""
    item.attrs["CLASS"], item.attrs["VERSION"], item.attrs["TITLE"] = map(np.bytes_, (kind, version, title))


def _is_events(name: str, item: Any) -> bool:
    return (
        isinstance(item, h5py.Dataset) and name.rpartition("/")[2] == _TABLE and item.dtype.names is not None
    )


def _read_table(table: h5py.Dataset, path: Path, reading: Reading) -> None:
    if table.ndim != 1:
        raise InputError(f"{path.name}: {table.name} has {table.ndim} dimensions; a table has one")
    group = table.name.rpartition("/")[0].strip("/")
    for first in range(0, len(table), _BATCH_ROWS):
        rows = table[first : first + _BATCH_ROWS]
        columns = {field: _column(rows[field], f"{path.name}{table.name}") for field in rows.dtype.names}
        if group and "device_group" not in columns:
            columns["device_group"] = pa.array([group], pa.string()).take(
                pa.array(np.zeros(len(rows), np.int64))
            )
        add_columns(reading, columns, f"{path.name}{table.name}", first)


def _column(values: np.ndarray, where: str) -> pa.Array:
    if values.dtype.kind in "SO":
        try:
            return pa.array(
                [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()], pa.string()
            )
        except UnicodeDecodeError:
            raise InputError(f"{where} holds text that is not UTF-8") from None
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise InputError(f"{where} has a column of kind {values.dtype}: text and numbers are understood")
    mask = np.isnan(values) if values.dtype.kind == "f" else None
    return pa.array(values, mask=mask)


def _contents(file: h5py.File) -> str:
    names: list[str] = []
    file.visit(names.append)
    return f"it holds {', '.join(names[:8])}" if names else "it is empty"
