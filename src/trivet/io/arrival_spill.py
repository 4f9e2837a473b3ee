"""Arrivals beyond the memory cap: rows in temporary files, cut so that each part can be judged alone.

Rule: the files have no names, so nothing is left behind however the process ends.
Rule: all rows of one URL path are in one part, all rows of one IP in one part of the second set, so
counts and findings stay exact; only one part is in memory at a time.
Rule: a part that has no room is judged shortened, which is told; its pairs are counted exactly all the same.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from trivet.errors import TrivetError
from trivet.insight.arrival_builder import COLUMNS, ArrivalBuilder, Table
from trivet.insight.arrival_shortening import Part, ShortenedBuilder
from trivet.insight.arrivals import Arrivals

PARTS = 256
#: rows, addresses and their bytes, URLs and their bytes
_HEAD = struct.Struct("<5Q")


def _path(url: bytes) -> bytes:
    return url.partition(b"?")[0]


def _whole(name: bytes) -> bytes:
    return name


class _PartFile:
    """One file of chunks, each a stretch of rows of one part with the names they use."""

    def __init__(self, folder: Path, column: str, name_of: Callable[[bytes], bytes]) -> None:
        self._file = TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115
        self._column = column
        self._name_of = name_of
        self._places: list[list[int]] = [[] for _ in range(PARTS)]
        self._size = 0

    def write(self, table: Table) -> None:
        """Append the rows of `table`, cut by the part that its names put them in."""
        names = table.ips if self._column == "ip" else table.urls
        part_of = np.array([crc32(self._name_of(name)) % PARTS for name in names], np.int16)
        part = part_of[table.columns[self._column]]
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(PARTS + 1))
        for number, (low, high) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            if low < high:
                chunk = _chunk(table, order[low:high])
                self._file.write(chunk)
                self._places[number].append(self._size)
                self._size += len(chunk)

    def parts(self) -> Iterator[Sequence[int]]:
        """Yield where the chunks of each part stand that has any."""
        self._file.flush()
        yield from filter(None, self._places)

    def tables(self, places: Sequence[int], files: list[str]) -> Iterator[Table]:
        """Yield the chunks at `places`; `files` are the names of all files."""
        for place in places:
            self._file.seek(place)
            yield self._read(files)

    def _read(self, files: list[str]) -> Table:
        rows, ips, ip_bytes, urls, url_bytes = _HEAD.unpack(self._file.read(_HEAD.size))
        columns = {}
        for name, code in COLUMNS.items():
            dtype = np.dtype(code)
            columns[name] = np.frombuffer(self._file.read(rows * dtype.itemsize), dtype)
        return Table(columns, self._names(ips, ip_bytes), self._names(urls, url_bytes), files)

    def _names(self, count: int, size_bytes: int) -> list[bytes]:
        ends = np.cumsum(np.frombuffer(self._file.read(4 * count), np.uint32)).tolist()
        text = self._file.read(size_bytes)
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()


def _chunk(table: Table, rows: NDArray[Any]) -> bytes:
    """Return `rows` of `table` and the names they use as bytes."""
    ips, ip = np.unique(table.columns["ip"][rows], return_inverse=True)
    urls, url = np.unique(table.columns["url"][rows], return_inverse=True)
    columns = {name: table.columns[name][rows] for name in COLUMNS} | {"ip": ip, "url": url}
    ip_names = [table.ips[k] for k in ips.tolist()]
    url_names = [table.urls[k] for k in urls.tolist()]
    ip_text, url_text = b"".join(ip_names), b"".join(url_names)
    return b"".join(
        [
            _HEAD.pack(len(rows), len(ips), len(ip_text), len(urls), len(url_text)),
            *(columns[name].astype(code, copy=False).tobytes() for name, code in COLUMNS.items()),
            np.array([len(name) for name in ip_names], np.uint32).tobytes(),
            ip_text,
            np.array([len(name) for name in url_names], np.uint32).tobytes(),
            url_text,
        ]
    )


class ArrivalSpill:
    """Keeps rows in two files, by URL path and by IP, in a `folder` that the caller removes."""

    def __init__(self, folder: Path, room_bytes: int) -> None:
        self._folder = folder
        self._room_bytes = room_bytes
        self._by_url = _PartFile(folder, "url", _path)
        self._by_ip = _PartFile(folder, "ip", _whole)
        self._files: dict[str, int] = {}
        self.rows = 0

    def add(self, table: Table) -> None:
        """Take in the rows of `table`; raises TrivetError when the disk is full."""
        numbers = np.array([self._files.setdefault(name, len(self._files)) for name in table.files], np.int64)
        columns = table.columns | {"file": numbers[table.columns["file"]]}
        table = Table(columns, table.ips, table.urls, table.files)
        try:
            self._by_url.write(table)
            self._by_ip.write(table)
        except OSError as error:
            raise TrivetError(
                f"temporary files in {self._folder} can't grow ({error.strerror}); "
                "give more --memory-mb, or point TMPDIR to a disk with room"
            ) from error
        self.rows += len(columns["t"])

    def by_url(self) -> Iterator[Part]:
        """Yield the parts cut by URL path; in them pairs are not counted."""
        for places in self._by_url.parts():
            rows = ShortenedBuilder(self._room_bytes, thin=True)
            for table in self._by_url.tables(places, list(self._files)):
                rows.add(table)
            yield Part(rows.build(), (), rows.left_out())

    def by_ip(self) -> Iterator[Part]:
        """Yield the parts cut by IP."""
        for places in self._by_ip.parts():
            rows = ShortenedBuilder(self._room_bytes, thin=False)
            for table in self._by_ip.tables(places, list(self._files)):
                rows.add(table)
            arrivals = rows.build()
            yield Part(arrivals, self._by_target(places) if rows.shortened else [arrivals], "")

    def _by_target(self, places: Sequence[int]) -> Iterator[Arrivals]:
        """Yield the rows of a part that has no room, cut by whole URL, so that pairs can be counted."""
        files = list(self._files)
        with closing(_PartFile(self._folder, "url", _whole)) as cut:
            for table in self._by_ip.tables(places, files):
                cut.write(table)
            for smaller in cut.parts():
                builder = ArrivalBuilder()
                for table in cut.tables(smaller, files):
                    builder.add_table(table)
                yield builder.build()

    def close(self) -> None:
        """Close the files."""
        self._by_url.close()
        self._by_ip.close()
