"""Arrivals: who asked for what and when, as columns that every flood detector reads.

Rule: a row is one request; rows are ordered by true time `t`, whatever order the log had them in.
Rule: names are text as reports show it (`escape`), made once for each distinct name.
Rule: hours are labelled as the log writes them (wall clock of its own zone), intervals use true time.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.wire.access_log import escape

HOUR_S = 3600
Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

#: a rough price of one distinct string in an interning table: the text, its object and its dict slot
STRING_BYTES = 150
#: the builder's columns beside `t` and their array type codes
COLUMN_TYPES = {"offset_s": "i", "ip": "i", "url": "i", "file": "i", "line": "q"}
#: what one row costs while it is collected and sorted
ROW_BYTES = 2 * (8 + 4 * 4 + 8)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Requests as parallel columns: `t` (epoch seconds), `ip`, `url` (indexes into the name lists).

    `offset_s` is the zone the log wrote, `file` and `line` say where the row stands.
    """

    t: Floats
    offset_s: Ints
    ip: Ints
    url: Ints
    file: Ints
    line: Ints
    ips: list[str]
    urls: list[str]
    files: list[str]

    def __len__(self) -> int:
        return len(self.t)

    @property
    def wall_hour(self) -> Ints:
        """Hours since 1970 on the log's own wall clock, one a row."""
        return ((self.t + self.offset_s) // HOUR_S).astype(np.int64)

    def select(self, rows: Ints | NDArray[np.bool_]) -> "Arrivals":
        """Return only `rows` (a mask or indexes in time order); the name lists are shared."""
        return replace(
            self,
            t=self.t[rows],
            offset_s=self.offset_s[rows],
            ip=self.ip[rows],
            url=self.url[rows],
            file=self.file[rows],
            line=self.line[rows],
        )

    def compact(self) -> "Arrivals":
        """Return the same rows with only the names that they use."""
        ips, ip = np.unique(self.ip, return_inverse=True)
        urls, url = np.unique(self.url, return_inverse=True)
        names = [self.ips[k] for k in ips.tolist()], [self.urls[k] for k in urls.tolist()]
        return replace(self, ip=ip, url=url, ips=names[0], urls=names[1])

    def with_urls(self, urls: list[str]) -> "Arrivals":
        """Return the same rows with each name of `self.urls` exchanged for the one at its place in `urls`."""
        names: dict[str, int] = {}
        moved = np.array([names.setdefault(name, len(names)) for name in urls], dtype=np.int64)
        return replace(self, url=moved[self.url] if len(self) else self.url, urls=list(names))


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests of one stretch of a log, in its order, as columns with their own lists of distinct names."""

    ips: list[bytes]
    urls: list[bytes]
    t: Floats
    offset_s: Ints
    ip: Ints
    url: Ints
    line: Ints

    def rows(self) -> Iterator[tuple[bytes, bytes, float, int, int]]:
        """Yield (ip, url, t, offset_s, line) of each request."""
        columns = (self.ip, self.url, self.t, self.offset_s, self.line)
        for ip, url, t, offset_s, line in zip(*(column.tolist() for column in columns), strict=True):
            yield self.ips[ip], self.urls[url], t, offset_s, line


class ArrivalBuilder:
    """Collects rows, one at a time or in batches, interning names; `build` sorts them by time."""

    def __init__(self) -> None:
        self._t = array("d")
        self._columns = {name: array(code) for name, code in COLUMN_TYPES.items()}
        self._ips: dict[bytes, int] = {}
        self._urls: dict[bytes, int] = {}
        self._files: dict[str, int] = {}
        self._name_bytes = 0

    def add(self, ip: bytes, url: bytes, t: float, offset_s: int, file: str, line: int) -> None:
        """Take in one request of client `ip` for `url` at true time `t`, written in `file` as `line`."""
        ips, urls = len(self._ips), len(self._urls)
        columns = self._columns
        columns["ip"].append(self._ips.setdefault(ip, ips))
        columns["url"].append(self._urls.setdefault(url, urls))
        columns["file"].append(self._files.setdefault(file, len(self._files)))
        columns["offset_s"].append(offset_s)
        columns["line"].append(line)
        self._t.append(t)
        if len(self._ips) > ips:
            self._name_bytes += STRING_BYTES + len(ip)
        if len(self._urls) > urls:
            self._name_bytes += STRING_BYTES + len(url)

    def add_batch(self, batch: Batch, file: str) -> None:
        """Take in all requests of `batch`, which stand in `file`."""
        ips, self._name_bytes = interned(self._ips, batch.ips, self._name_bytes)
        urls, self._name_bytes = interned(self._urls, batch.urls, self._name_bytes)
        number = self._files.setdefault(file, len(self._files))
        self._t.frombytes(batch.t.tobytes())
        for name, values in (
            ("ip", ips[batch.ip]),
            ("url", urls[batch.url]),
            ("file", np.full(len(batch.t), number)),
            ("offset_s", batch.offset_s),
            ("line", batch.line),
        ):
            self._columns[name].frombytes(values.astype(COLUMN_TYPES[name]).tobytes())

    def __len__(self) -> int:
        return len(self._t)

    @property
    def size_bytes(self) -> int:
        """About what the rows and names held so far cost in memory."""
        return self._name_bytes + ROW_BYTES * len(self._t)

    def rows(self) -> Iterator[tuple[bytes, bytes, float, int, str, int]]:
        """Yield the rows as they were added."""
        ips, urls, files = list(self._ips), list(self._urls), list(self._files)
        columns = self._columns
        for k, t in enumerate(self._t):
            ip, url, file = ips[columns["ip"][k]], urls[columns["url"][k]], files[columns["file"][k]]
            yield ip, url, t, columns["offset_s"][k], file, columns["line"][k]

    def build(self) -> Arrivals:
        """Return the rows in order of time; rows of the same second keep the log's order."""
        t = np.array(self._t, dtype=np.float64)
        order = np.argsort(t, kind="stable")
        columns = {name: np.array(values)[order] for name, values in self._columns.items()}
        return Arrivals(
            t=t[order],
            **columns,
            ips=[escape(ip) for ip in self._ips],
            urls=[escape(url) for url in self._urls],
            files=list(self._files),
        )


def interned(table: dict[bytes, int], names: list[bytes], size_bytes: int) -> tuple[Ints, int]:
    """Return the ids in `table` of `names`, adding new ones, and `size_bytes` with what those cost."""
    known = len(table)
    ids = np.array([table.setdefault(name, len(table)) for name in names], dtype=np.int64)
    new = [name for name, k in zip(names, ids.tolist(), strict=True) if k >= known]
    return ids, size_bytes + STRING_BYTES * len(new) + sum(map(len, new))


def concatenate(a: Arrivals, b: Arrivals) -> Arrivals:
    """Return the rows of both tables in order of time, with the names of both."""
    columns: dict[str, Any] = {}
    names: dict[str, Any] = {}
    for column, lists in (("ip", "ips"), ("url", "urls"), ("file", "files")):
        known = {name: k for k, name in enumerate(getattr(a, lists))}
        moved = np.array([known.setdefault(name, len(known)) for name in getattr(b, lists)], dtype=np.int64)
        columns[column] = np.concatenate([getattr(a, column), moved[getattr(b, column)]])
        names[lists] = list(known)
    t = np.concatenate([a.t, b.t])
    order = np.argsort(t, kind="stable")
    columns["offset_s"] = np.concatenate([a.offset_s, b.offset_s])
    columns["line"] = np.concatenate([a.line, b.line])
    return Arrivals(t=t[order], **{name: column[order] for name, column in columns.items()}, **names)


def hour_label(wall_hour: int) -> str:
    """Return `wall_hour` (hours since 1970 on some wall clock) as `2024-06-05T00`."""
    return datetime.fromtimestamp(wall_hour * HOUR_S, UTC).strftime("%Y-%m-%dT%H")


def stamp(t: float, offset_s: int) -> str:
    """Return true time `t` as ISO text in the zone `offset_s` seconds east of UTC."""
    zone = timezone(timedelta(seconds=offset_s))
    return datetime.fromtimestamp(int(t), zone).isoformat()
