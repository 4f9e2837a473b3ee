"""Byte ranges of HTTP: what a Range header asks of a file, what a Content-Range header says of a chunk.

Rule: a Range that is malformed is ignored (the whole file is the answer), one that lies outside is BadRange.
Rule: a Content-Range that is malformed is an error: bytes must never land at a guessed place.
Source: RFC 9110, sections 14.1.2, 14.2 and 14.4.
"""

import re
from dataclasses import dataclass

from trivet.drive.errors_v3 import InvalidParameter
from trivet.errors import BadRange

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})[ \t]*-[ \t]*(\d{0,19})[ \t]*", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (?:\*|(\d{1,19})-(\d{1,19}))/(?:\*|(\d{1,19}))", re.ASCII)
FILE_MAX_BYTES = 1 << 53


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes [start, stop) of a file of `size_bytes`."""

    start: int
    stop: int
    size_bytes: int

    @property
    def header(self) -> str:
        """What Content-Range says of it."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size_bytes}"


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the one range that `header` asks for; None = send everything (none, malformed, or several).

    Raises BadRange if nothing of it lies in the file; so an empty file has no satisfiable range.
    """
    found = _RANGE.fullmatch(header) if header else None
    if found is None:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if first:
        start = int(first)
        stop = min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    else:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    if start >= stop:
        raise BadRange(f"{header} lies outside of {size_bytes} bytes", size_bytes=size_bytes)
    return ByteRange(start, stop, size_bytes)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Where a chunk belongs: [start, stop) of `total` (None = not known); start None asks how far it is."""

    start: int | None
    stop: int
    total: int | None


def parse_content_range(header: str) -> ContentRange:
    """Return what a Content-Range `header` says; InvalidParameter (400) if it is malformed or impossible."""
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if found is None:
        raise _bad(header, "is not `bytes FIRST-LAST/TOTAL`, `bytes FIRST-LAST/*` or `bytes */TOTAL`")
    first, last, size = found.groups()
    total = int(size) if size is not None else None
    if total is not None and total > FILE_MAX_BYTES:
        raise _bad(header, f"is beyond the largest file, {FILE_MAX_BYTES} bytes")
    if first is None:
        return ContentRange(None, 0, total)
    start, stop = int(first), int(last) + 1
    if stop <= start or (total is not None and stop > total):
        raise _bad(header, "ends before it begins, or behind its total")
    if stop > FILE_MAX_BYTES:
        raise _bad(header, f"is beyond the largest file, {FILE_MAX_BYTES} bytes")
    return ContentRange(start, stop, total)


def _bad(header: str, why: str) -> InvalidParameter:
    return InvalidParameter(f"Content-Range {header[:80]!r} {why}", "Content-Range", kind="header")
