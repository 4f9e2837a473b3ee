"""One stored copy of a blob: read, checked and spoilt in place; nothing here knows the index.

Rule: these functions block and may run in any thread; the caller keeps the segment pinned.
"""

import logging
import os

from trivet.bank.blob_header import BlobHeader, header_bytes, read_header, stored_bytes
from trivet.bank.blob_index import Place
from trivet.bank.segment import Segment
from trivet.io.disk import write_whole
from trivet.wire.bank_messages import BlobData
from trivet.wire.blobs import wrong_pieces

log = logging.getLogger(__name__)

Data = bytes | memoryview


def read_pieces(
    volume_key: bytes, segment: Segment, place: Place, start: int, end: int, flags: int = 0
) -> tuple[BlobData, Data] | None:
    """Return the bytes [`start`, `end`) of a copy as they stand, with the sub-hashes of its header.

    The sub-hashes are empty where the header is damaged. With os.RWF_NOWAIT in `flags` the answer is None
    when the bytes would have to come from the disk.
    """
    before = header_bytes(place.size)
    if start == 0:
        buffer = bytearray(before + end)
        count = _read_into(segment.fd, buffer, place.offset, flags)
        if count is None:
            return None
        head, data = bytes(buffer[:before]), memoryview(buffer)[before : max(count, before)]
    else:
        head_buffer, buffer = bytearray(before), bytearray(end - start)
        if _read_into(segment.fd, head_buffer, place.offset, flags) is None:
            return None
        count = _read_into(segment.fd, buffer, place.offset + before + start, flags)
        if count is None:
            return None
        head, data = bytes(head_buffer), memoryview(buffer)[:count]
    header = read_header(volume_key, place.segment, place.offset, head)
    hashes = header.hashes if header is not None else b""
    return BlobData(True, place.size, start, hashes), data


def _read_into(fd: int, buffer: bytearray, offset: int, flags: int) -> int | None:
    try:
        count = os.preadv(fd, [buffer], offset, flags)
    except OSError as error:
        if flags:
            return None  # not in memory, or a file system that can't tell
        log.error("a copy can't be read: %s", error)
        return 0
    return None if flags and count < len(buffer) else count


def header_at(volume_key: bytes, segment: Segment, place: Place) -> BlobHeader | None:
    """Return the header at `place`, None if it is damaged."""
    data = segment.read(place.offset, place.offset + header_bytes(place.size))
    return read_header(volume_key, place.segment, place.offset, data)


def header_of(volume_key: bytes, segment: Segment, name: int, place: Place) -> BlobHeader | None:
    """Return the header of the copy of `name` at `place`, None if it is damaged or another blob's."""
    header = header_at(volume_key, segment, place)
    return header if header is not None and (header.name, header.size) == (name, place.size) else None


def is_whole(volume_key: bytes, segment: Segment, name: int, place: Place) -> bool:
    """Tell whether the copy of `name` matches its own header, read from the disk and not from memory."""
    os.posix_fadvise(segment.fd, place.offset, stored_bytes(place.size), os.POSIX_FADV_DONTNEED)
    header = header_of(volume_key, segment, name, place)
    if header is None:
        return False
    data = os.pread(segment.fd, place.size, place.offset + header_bytes(place.size))
    return len(data) == place.size and next(wrong_pieces(header.hashes, 0, data), None) is None


def reads_back(segment: Segment, place: Place, data: Data) -> bool:
    """Sync a copy just written and tell whether `data` comes back from the disk."""
    os.fdatasync(segment.fd)
    os.posix_fadvise(segment.fd, place.offset, stored_bytes(place.size), os.POSIX_FADV_DONTNEED)
    return os.pread(segment.fd, place.size, place.offset + header_bytes(place.size)) == data


def spoil(segment: Segment, place: Place, data: bytes) -> None:
    """Write `data`, cut or filled with zeros, over the bytes of a copy, unchecked."""
    spoilt = data[: place.size].ljust(place.size, b"\0")
    write_whole(segment.fd, [spoilt], place.offset + header_bytes(place.size))
