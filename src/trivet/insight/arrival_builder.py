"""Collecting requests, one at a time or in batches, until they are ordered by time and judged.

Rule: rows are kept in the order they were handed over, which is the log's; `build` orders them by time.
Rule: a name is kept once, as the bytes of the log, whichever way it came.
"""

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.insight.arrivals import Arrivals, Floats, Ints, Names

#: the columns of a row and their types
COLUMNS = {"t": "d", "offset_s": "i", "ip": "i", "url": "i", "file": "i", "line": "q"}
Columns = dict[str, NDArray[Any]]

#: a rough price of one distinct string in an interning table: the text, its object and its dict slot
STRING_BYTES = 150
#: what one row costs while it is collected and sorted
ROW_BYTES = 2 * (8 + 4 * 4 + 8)


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests of one stretch of a file, in its order, as columns with their own lists of names.

    A name may stand in its list more than once.
    """

    ips: list[bytes]
    urls: list[bytes]
    t: Floats
    offset_s: Ints
    ip: Ints
    url: Ints
    line: Ints


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order they were handed over: `columns` by name, and what `ip`, `url` and `file` index."""

    columns: Columns
    ips: list[bytes]
    urls: list[bytes]
    files: list[str]


class ArrivalBuilder:
    """Collects rows, interning names; `build` sorts them by time."""

    def __init__(self) -> None:
        self._loose: dict[str, array[Any]] = {name: array(code) for name, code in COLUMNS.items()}
        self._parts: list[Columns] = []
        self._rows = 0
        self._ips: dict[bytes, int] = {}
        self._urls: dict[bytes, int] = {}
        self._files: dict[str, int] = {}
        self._name_bytes = 0

    def add(self, ip: bytes, url: bytes, t: float, offset_s: int, file: str, line: int) -> None:
        """Take in one request of client `ip` for `url` at true time `t`, written in `file` as `line`."""
        ips, urls = len(self._ips), len(self._urls)
        loose = self._loose
        loose["t"].append(t)
        loose["offset_s"].append(offset_s)
        loose["ip"].append(self._ips.setdefault(ip, ips))
        loose["url"].append(self._urls.setdefault(url, urls))
        loose["file"].append(self._files.setdefault(file, len(self._files)))
        loose["line"].append(line)
        self._rows += 1
        if len(self._ips) > ips:
            self._name_bytes += STRING_BYTES + len(ip)
        if len(self._urls) > urls:
            self._name_bytes += STRING_BYTES + len(url)

    def add_batch(self, batch: Batch, file: str) -> None:
        """Take in all requests of `batch`, which stand in `file`."""
        ips, urls = self._interned(self._ips, batch.ips), self._interned(self._urls, batch.urls)
        number = self._files.setdefault(file, len(self._files))
        self._take_loose()
        columns = {
            "t": batch.t,
            "offset_s": batch.offset_s,
            "ip": ips[batch.ip],
            "url": urls[batch.url],
            "file": np.full(len(batch.t), number),
            "line": batch.line,
        }
        self._take(columns)

    def add_table(self, table: Table) -> None:
        """Take in all rows of `table`."""
        ips, urls = self._interned(self._ips, table.ips), self._interned(self._urls, table.urls)
        files = np.array([self._files.setdefault(name, len(self._files)) for name in table.files], np.int64)
        self._take_loose()
        columns = table.columns
        ids = {"ip": ips[columns["ip"]], "url": urls[columns["url"]], "file": files[columns["file"]]}
        self._take(columns | ids)

    def _interned(self, table: dict[bytes, int], names: list[bytes]) -> Ints:
        """Return the ids in `table` of `names`, adding new ones."""
        known = len(table)
        ids = np.array([table.setdefault(name, len(table)) for name in names], dtype=np.int64)
        if len(table) > known:
            mean_bytes = sum(map(len, names)) / len(names)
            self._name_bytes += round((len(table) - known) * (STRING_BYTES + mean_bytes))
        return ids

    def _take(self, columns: Columns) -> None:
        """Append `columns` as a part."""
        self._parts.append({name: columns[name].astype(code, copy=False) for name, code in COLUMNS.items()})
        self._rows += len(columns["t"])

    def _take_loose(self) -> None:
        """Make a part of the rows that came one at a time."""
        if len(self._loose["t"]):
            loose, self._loose = self._loose, {name: array(code) for name, code in COLUMNS.items()}
            self._parts.append({name: np.array(values) for name, values in loose.items()})

    def __len__(self) -> int:
        return self._rows

    @property
    def size_bytes(self) -> int:
        """About what the rows and names held so far cost in memory."""
        return self._name_bytes + ROW_BYTES * self._rows

    def table(self) -> Table:
        """Return all rows in the order they came."""
        self._take_loose()
        if len(self._parts) != 1:
            empty = [{name: np.empty(0, code) for name, code in COLUMNS.items()}]
            parts = self._parts or empty
            # column by column, so that rows are held twice only for one column at a time
            self._parts = [{name: np.concatenate([part.pop(name) for part in parts]) for name in COLUMNS}]
        return Table(self._parts[0], list(self._ips), list(self._urls), list(self._files))

    def build(self) -> Arrivals:
        """Return the rows in order of time; rows of the same second keep the log's order."""
        columns = dict(self.table().columns)
        t = columns["t"]
        if (t[1:] < t[:-1]).any():
            order = np.argsort(t, kind="stable")
            for name in COLUMNS:
                columns[name] = columns[name][order]
        return Arrivals(
            **columns,
            ips=Names(list(self._ips)),
            urls=Names(list(self._urls)),
            files=list(self._files),
        )
