"""Arrivals: who asked for what and when, as columns that every flood detector reads.

Rule: a row is one request; rows are ordered by true time `t`, whatever order the log had them in.
Rule: names are text as reports show it (`escape`), made when they are asked for: few ever are.
Rule: hours are labelled as the log writes them (wall clock of its own zone), intervals use true time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from trivet.wire.access_log import escape

HOUR_S = 3600
Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


class Names(Sequence[str]):
    """The bytes of a log as the text that reports show."""

    def __init__(self, raw: list[bytes]) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> "Names": ...

    def __getitem__(self, place: int | slice) -> "str | Names":
        return Names(self._raw[place]) if isinstance(place, slice) else escape(self._raw[place])


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
    ips: Sequence[str]
    urls: Sequence[str]
    files: list[str]

    def __len__(self) -> int:
        return len(self.t)

    def select(self, rows: Ints | NDArray[np.bool_] | slice) -> "Arrivals":
        """Return only `rows` (a mask, a slice or indexes in time order); the name lists are shared."""
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


def wall_hour(t: Floats, offset_s: Ints) -> Ints:
    """Return hours since 1970 on the log's own wall clock, for true times `t` in zones `offset_s`."""
    return ((t + offset_s) // HOUR_S).astype(np.int64)


def hour_label(hour: int) -> str:
    """Return `hour` (hours since 1970 on some wall clock) as `2024-06-05T00`."""
    return datetime.fromtimestamp(hour * HOUR_S, UTC).strftime("%Y-%m-%dT%H")


def stamp(t: float, offset_s: int) -> str:
    """Return true time `t` as ISO text in the zone `offset_s` seconds east of UTC."""
    zone = timezone(timedelta(seconds=offset_s))
    return datetime.fromtimestamp(int(t), zone).isoformat()
