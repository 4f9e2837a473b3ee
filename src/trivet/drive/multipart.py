"""multipart bodies (related, mixed) as a stream of parts, in bounded memory.

Rule: bytes in, events out: `PartBegun` with its headers, `PartData`, `PartEnded`, at last `BodyEnded`.
Rule: what is held back is at most a boundary's length; headers of a part are bounded; a body that ends before
its closing boundary is an error.
Rule: lines end with CRLF; a body whose first boundary ends with LF alone has LF alone at all of them.
Source: RFC 2046, section 5.1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from trivet.errors import PayloadTooLarge, RequestError

BOUNDARY_MAX_BYTES = 200
HEADERS_MAX_BYTES = 16 << 10
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,200})"|([^\s;",]{1,200}))', re.IGNORECASE)
_TAIL = re.compile(rb"[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class PartBegun:
    """A part begins; names of `headers` are lower-case."""

    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The part is whole."""


@dataclass(frozen=True, slots=True)
class BodyEnded:
    """The closing boundary was seen."""


Event = PartBegun | PartData | PartEnded | BodyEnded


class _State(Enum):
    PREAMBLE = 1
    TAIL = 2
    HEADERS = 3
    DATA = 4
    DONE = 5


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that `content_type` names; RequestError if it names none."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise RequestError("a multipart body needs a boundary in its Content-Type")
    return (found[1] or found[2]).encode("latin-1", "replace")


def parse_headers(block: bytes) -> dict[str, str]:
    """Return the header lines of `block`, names in lower case; RequestError if a line is none."""
    headers: dict[str, str] = {}
    for line in block.replace(b"\r\n", b"\n").split(b"\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if line[:1] in b" \t" or not colon or not name.strip():
            raise RequestError("a part of the multipart body has a malformed header")
        headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return headers


class MultipartParser:
    """Takes the bytes of one body with `boundary` as they come."""

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"\n--" + boundary
        self._held = b"\n"
        self._state = _State.PREAMBLE
        self._preamble = True

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what `data` brings; read it to the end before feeding more."""
        self._held += data
        while True:
            before = (self._state, len(self._held))
            yield from self._step()
            if before == (self._state, len(self._held)):
                return

    def close(self) -> None:
        """Say that the body has ended; RequestError if it was cut."""
        if self._state is not _State.DONE:
            raise RequestError("the multipart body ended before its closing boundary")

    def _step(self) -> Iterator[Event]:
        if self._state in {_State.PREAMBLE, _State.DATA}:
            yield from self._scan()
        elif self._state is _State.TAIL:
            yield from self._after_boundary()
        elif self._state is _State.HEADERS:
            yield from self._headers()
        else:
            self._held = b""

    def _scan(self) -> Iterator[Event]:
        """Pass on what stands before the next boundary."""
        at = self._held.find(self._mark)
        in_part = self._state is _State.DATA
        if at < 0:
            keep = len(self._mark) - 1
            ready, self._held = self._held[:-keep], self._held[-keep:]
            if ready and in_part:
                yield PartData(ready)
            return
        ready, self._held = self._held[:at], self._held[at + len(self._mark) :]
        if in_part:
            if ready:
                yield PartData(ready)
            yield PartEnded()
        self._state = _State.TAIL

    def _after_boundary(self) -> Iterator[Event]:
        """See whether the boundary was the closing one; white space may follow it."""
        if self._held.startswith(b"--"):
            self._state, self._held = _State.DONE, b""
            yield BodyEnded()
            return
        found = _TAIL.match(self._held)
        if found:
            if self._preamble and found[0].endswith(b"\r\n"):
                self._mark = b"\r" + self._mark
            self._preamble = False
            self._held = self._held[found.end() :]
            self._state = _State.HEADERS
        elif len(self._held) > BOUNDARY_MAX_BYTES or self._held.strip(b" \t\r-"):
            raise RequestError("a boundary of the multipart body is followed by something else")

    def _headers(self) -> Iterator[Event]:
        if self._held.startswith((b"\r\n", b"\n")):
            block, rest = b"", self._held[self._held.index(b"\n") + 1 :]
        else:
            ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := self._held.find(mark)) >= 0]
            if not ends:
                if len(self._held) > HEADERS_MAX_BYTES:
                    raise PayloadTooLarge(f"headers of a part are at most {HEADERS_MAX_BYTES} bytes")
                return
            at, length = min(ends)
            block, rest = self._held[:at], self._held[at + length :]
        if len(block) > HEADERS_MAX_BYTES:
            raise PayloadTooLarge(f"headers of a part are at most {HEADERS_MAX_BYTES} bytes")
        self._state = _State.DATA
        self._held = rest
        yield PartBegun(parse_headers(block))
