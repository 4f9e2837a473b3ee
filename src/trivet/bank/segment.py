"""One segment file: blobs one behind another, each behind its header, from block to block.

Rule: what is damaged is stepped over, block by block; only a torn last blob is wiped.
Rule: whoever reads or writes in a thread pins the segment, so that its descriptor is not closed meanwhile.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.bank.blob_header import BLOCK_BYTES, MAX_HEADER_BYTES, BlobHeader, read_header, stored_bytes
from trivet.bank.blob_index import Place
from trivet.io.disk import next_data, punch_hole

SEGMENT_BYTES = 64 << 20
_SUFFIX = ".segment"


class Segment:
    """An open segment file; `tail` is where the next blob goes, `live` how many blobs the index has in it.

    `written_bytes` is how far blobs were written, `safe_bytes` how far all of them were synced too, `writing`
    how many writes are under way, `live_bytes` what the blobs of the index take.
    """

    def __init__(
        self, number: int, path: Path, *, create: bool = False, limit_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.number = number
        self.path = path
        self.fd = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        self.live = self.live_bytes = 0
        self.is_sealed = False
        self._limit_bytes = limit_bytes
        size = os.fstat(self.fd).st_size
        self.tail = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        self.safe_bytes = self.written_bytes = size
        self.writing = 0
        self._pins = 0
        self._closing = False

    def take(self, size: int) -> int | None:
        """Return the offset for a blob of `size` bytes and move the tail behind it; None if it is full."""
        end = self.tail + stored_bytes(size)
        if self.is_sealed or end > self._limit_bytes:
            return None
        offset, self.tail = self.tail, end
        return offset

    def gain(self, size: int) -> None:
        """Count a blob of `size` bytes in."""
        self.live += 1
        self.live_bytes += stored_bytes(size)

    def lose(self, size: int) -> None:
        """Count a blob of `size` bytes out."""
        self.live -= 1
        self.live_bytes -= stored_bytes(size)

    @property
    def is_pinned(self) -> bool:
        """Whether a thread is at work on it."""
        return self._pins > 0

    def is_in_place(self) -> bool:
        """Tell whether the path still leads to this file and nothing was cut off it."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self.fd)
        same = (found.st_ino, found.st_dev) == (mine.st_ino, mine.st_dev)
        return same and mine.st_size >= self.written_bytes

    def scan(self, volume_key: bytes) -> Iterator[tuple[BlobHeader, Place]]:
        """Yield every blob whose header is whole, past holes and damage; a torn last one is left out."""
        size = os.fstat(self.fd).st_size
        offset = 0
        while True:
            data_at = next_data(self.fd, offset)
            if data_at is None or data_at >= SEGMENT_BYTES:
                return
            offset = max(offset, data_at // BLOCK_BYTES * BLOCK_BYTES)
            header = read_header(volume_key, self.number, offset, os.pread(self.fd, MAX_HEADER_BYTES, offset))
            if header is None:
                offset += BLOCK_BYTES
                continue
            end = offset + stored_bytes(header.size)
            if end > size:
                # Once the file has grown again this header would claim what was written behind it.
                punch_hole(self.fd, offset, size - offset)
                return
            yield header, Place(self.number, offset, header.size)
            offset = end

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, fewer where the file ends."""
        return os.pread(self.fd, end - start, start)

    def pin(self) -> None:
        """Keep the descriptor open until `unpin`."""
        assert self._pins or not self._closing, "its descriptor may be somebody else's by now"
        self._pins += 1

    def unpin(self) -> None:
        """Give one pin back."""
        self._pins -= 1
        if self._closing and not self._pins:
            os.close(self.fd)

    def close(self) -> None:
        """Close the descriptor as soon as nobody has it pinned."""
        if not self._closing:
            self._closing = True
            if not self._pins:
                os.close(self.fd)


@contextmanager
def pinned(segments: Iterable[Segment]) -> Iterator[None]:
    """Keep the descriptors of `segments` open meanwhile."""
    held = list(segments)
    for segment in held:
        segment.pin()
    try:
        yield
    finally:
        for segment in held:
            segment.unpin()


def segment_path(folder: Path, number: int) -> Path:
    """Return where segment `number` is kept."""
    return folder / f"{number:08d}{_SUFFIX}"


def segments_in(folder: Path) -> list[int]:
    """Return the numbers of the segments in `folder`, in order; other files are left alone."""
    stems = (path.name.removesuffix(_SUFFIX) for path in folder.glob("*" + _SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isdecimal() and len(stem) == 8 and int(stem) > 0)
