"""Arrivals beyond the memory cap: rows in temporary files, cut so that each part can be judged alone.

Rule: the files have no names, so nothing is left behind however the process ends.
Rule: all rows of one URL path are in one part, all rows of one IP in one part of the second set, so
counts and findings stay exact; only one part is in memory at a time.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from zlib import crc32

from trivet.errors import TrivetError
from trivet.insight.arrivals import ArrivalBuilder, Arrivals

PARTS = 64
BUFFER_BYTES = 1 << 16
_ROW = struct.Struct("<dqiHII")


class ArrivalSpill:
    """Writes rows to PARTS files by URL path and as many by IP, in a `folder` that the caller removes."""

    def __init__(self, folder: Path) -> None:
        self._sets = {
            name: [TemporaryFile(dir=folder, buffering=BUFFER_BYTES) for _ in range(PARTS)]  # noqa: SIM115
            for name in ("url", "ip")
        }
        self._folder = folder
        self._files: dict[str, int] = {}
        self.rows = 0

    def add(self, ip: bytes, url: bytes, t: float, offset_s: int, file: str, line: int) -> None:
        """Take in one request."""
        number = self._files.setdefault(file, len(self._files))
        row = _ROW.pack(t, line, offset_s, number, len(ip), len(url)) + ip + url
        try:
            self._sets["url"][crc32(url.partition(b"?")[0]) % PARTS].write(row)
            self._sets["ip"][crc32(ip) % PARTS].write(row)
        except OSError as error:
            raise self._no_room(error) from error
        self.rows += 1

    def _no_room(self, error: OSError) -> TrivetError:
        return TrivetError(
            f"temporary files in {self._folder} can't grow ({error.strerror}); "
            "give more --memory-mb, or point TMPDIR to a disk with room"
        )

    def by_url(self) -> Iterator[Arrivals]:
        """Yield the parts cut by URL path."""
        return self._parts("url")

    def by_ip(self) -> Iterator[Arrivals]:
        """Yield the parts cut by IP."""
        return self._parts("ip")

    def _parts(self, name: str) -> Iterator[Arrivals]:
        files = list(self._files)
        for part in self._sets[name]:
            try:
                part.seek(0)  # writes what is still buffered
            except OSError as error:
                raise self._no_room(error) from error
            builder = ArrivalBuilder()
            while head := part.read(_ROW.size):
                t, line, offset_s, number, ip_size, url_size = _ROW.unpack(head)
                names = part.read(ip_size + url_size)
                builder.add(names[:ip_size], names[ip_size:], t, offset_s, files[number], line)
            if len(builder):
                yield builder.build()

    def close(self) -> None:
        """Close the files."""
        for parts in self._sets.values():
            for part in parts:
                part.close()
