"""Rows that memory has no room for, made fewer so that they can be judged, and what was left out in words.

Rule: first the rarest query strings become one: a device's beat at one target needs MIN_ROWS requests.
Rule: then, where rows of paths are judged, clients go: those of very many requests (their pairs and hours
tell of them), and all but one in so many of the others, chosen by their names; fleets need only some devices.
"""

from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from trivet.insight.arrival_builder import ROW_BYTES, ArrivalBuilder, Table
from trivet.insight.arrivals import Arrivals

#: a target asked for less often loses its query string
MIN_ROWS = 6
_FOLDED = b"?..."
#: a client with more than this share of the room is left out
_HEAVY_SHARE = 8


class Part(NamedTuple):
    """Rows of some paths or clients: those `judged`, all of them again in turn as `counted`, and `left_out`.

    `left_out` says in words what `judged` lacks; it is empty where that is nothing.
    """

    judged: Arrivals
    counted: Iterable[Arrivals]
    left_out: str


class ShortenedBuilder:
    """Collects tables within about `room_bytes`; `thin` allows to leave clients out."""

    def __init__(self, room_bytes: int, *, thin: bool) -> None:
        self._room_bytes = self._limit_bytes = room_bytes
        self._thin = thin
        self._builder = ArrivalBuilder()
        self._one_in = 1
        self._heavy: set[bytes] = set()
        self.shortened = False

    def __len__(self) -> int:
        return len(self._builder)

    def add(self, table: Table) -> None:
        """Take in the rows of `table`."""
        self._builder.add_table(self._thinned(table))
        if self._builder.size_bytes > self._limit_bytes:
            self._shorten()

    def _shorten(self) -> None:
        self.shortened = True
        table = self._rebuilt(_folded(self._builder.table()))
        if self._thin and self._builder.size_bytes > self._room_bytes // 2:
            most = self._room_bytes // (_HEAVY_SHARE * ROW_BYTES)
            hits = np.bincount(table.columns["ip"], minlength=len(table.ips))
            self._heavy.update(table.ips[k] for k in np.flatnonzero(hits > most).tolist())
            table = self._rebuilt(self._thinned(table))
            while self._builder.size_bytes > self._room_bytes // 2 and self._one_in < len(table.ips):
                self._one_in *= 2
                table = self._rebuilt(self._thinned(table))
        # what can't be made fewer is not tried again with every table
        self._limit_bytes = max(self._room_bytes, 2 * self._builder.size_bytes)

    def _rebuilt(self, table: Table) -> Table:
        self._builder = ArrivalBuilder()
        self._builder.add_table(table)
        return self._builder.table()

    def _thinned(self, table: Table) -> Table:
        """Return the rows of `table` of the clients that are not left out."""
        if self._one_in == 1 and not self._heavy:
            return table
        stays = [crc32(ip) % self._one_in == 0 and ip not in self._heavy for ip in table.ips]
        return _selected(table, np.array(stays, np.bool_)[table.columns["ip"]])

    def build(self) -> Arrivals:
        """Return the rows in order of time."""
        return self._builder.build()

    def left_out(self) -> str:
        """Return in words what was left out."""
        words = [f"query strings that came less than {MIN_ROWS} times are taken as one"] * self.shortened
        if self._one_in > 1:
            words.append(f"only one in {self._one_in} clients is looked at")
        if self._heavy:
            words.append(f"{len(self._heavy)} clients of very many requests are not")
        return ", ".join(words)


def _selected(table: Table, rows: NDArray[np.bool_]) -> Table:
    """Return only `rows` of `table`, with the names that they use."""
    columns = {name: column[rows] for name, column in table.columns.items()}
    names = {}
    for name, known in (("ip", table.ips), ("url", table.urls)):
        used, columns[name] = np.unique(columns[name], return_inverse=True)
        names[name] = [known[k] for k in used.tolist()]
    return Table(columns, names["ip"], names["url"], table.files)


def _folded(table: Table) -> Table:
    """Return `table` with one name for all rare targets of a path that have a query string."""
    hits = np.bincount(table.columns["url"], minlength=len(table.urls))
    urls = list(table.urls)
    for k in np.flatnonzero(hits < MIN_ROWS).tolist():
        path, mark, _ = urls[k].partition(b"?")
        if mark:
            urls[k] = path + _FOLDED
    return Table(table.columns, table.ips, urls, table.files)
