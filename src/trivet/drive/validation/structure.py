"""Looks through the structure of PNG, gzip and XML while it streams, so that damage ends a transfer early.

Rule: memory stays bounded whatever comes: what is unpacked is thrown away, and counted.
Rule: other kinds are looked at here only at their end; their insides are decoded from a file.
"""

import struct
import zlib
from typing import Protocol
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler, ErrorHandler

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import create_parser

from trivet.drive.validation.kinds import Kind
from trivet.drive.validation.photoshop import Photoshop
from trivet.errors import CorruptContent

#: More bytes than this are not unpacked: a decompression bomb, refused.
MAX_UNPACKED_BYTES = 4 << 30
#: XML beyond this size is not parsed any further.
MAX_XML_BYTES = 64 << 20
MAX_XML_DEPTH = 1000
_STEP_BYTES = 1 << 18
_TAIL_BYTES = 1024


class Structure(Protocol):
    """What looks at one kind of content: fed in order, raises CorruptContent."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> None:
        """Say that there are no more."""


def structure_of(kind: Kind | None) -> Structure | None:
    """Return what looks through content of `kind` as it streams, None when nothing does."""
    makers: dict[str, type[Structure]] = {"png": _Png, "gzip": _Gzip, "xml": _Xml, "gif": _Gif, "pdf": _Pdf}
    makers["psd"] = Photoshop
    maker = makers.get(kind.family) if kind else None
    return maker() if maker else None


class _Png:
    """Chunks of a PNG: lengths, names and CRCs up to IEND."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._left = 0
        self._crc = 0
        self._name = b""
        self._state = "signature"

    def feed(self, chunk: bytes) -> None:
        self._held += chunk
        while self._step():
            pass

    def _step(self) -> bool:
        held = self._held
        if self._state == "signature" and len(held) >= 8:
            del held[:8]
            self._state = "header"
        elif self._state == "header" and len(held) >= 8:
            self._left, self._name = struct.unpack(">I4s", held[:8])
            if self._left > 0x7FFFFFFF or not self._name.isalpha():
                raise CorruptContent("a chunk of the PNG has an impossible header")
            self._crc = zlib.crc32(self._name)
            del held[:8]
            self._state = "body"
        elif self._state == "body" and (held or not self._left):
            part = bytes(held[: self._left])
            self._crc = zlib.crc32(part, self._crc)
            self._left -= len(part)
            del held[: len(part)]
            if self._left:
                return False
            self._state = "crc"
        elif self._state == "crc" and len(held) >= 4:
            if int.from_bytes(held[:4], "big") != self._crc:
                raise CorruptContent(f"the {self._name.decode()} chunk of the PNG fails its CRC")
            del held[:4]
            self._state = "end" if self._name == b"IEND" else "header"
        else:
            if self._state == "end":
                held.clear()
            return False
        return True

    def finish(self) -> None:
        if self._state != "end":
            raise CorruptContent("the PNG is cut: it has no IEND chunk")


class _Gzip:
    """Members of a gzip file: unpacked, with their CRCs and sizes, and thrown away."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)
        self._unpacked_bytes = 0
        self._whole = False

    def feed(self, chunk: bytes) -> None:
        while chunk:
            if self._whole:
                chunk = chunk.lstrip(b"\0")  # padding of tapes is allowed after a member
                if not chunk:
                    return
                self._member, self._whole = zlib.decompressobj(31), False
            try:
                self._unpacked_bytes += len(self._member.decompress(chunk, _STEP_BYTES))
            except zlib.error as error:
                raise CorruptContent(f"the gzip file does not unpack: {error}") from None
            if self._unpacked_bytes > MAX_UNPACKED_BYTES:
                raise CorruptContent(f"the gzip file unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
            self._whole = self._member.eof
            chunk = self._member.unused_data if self._whole else self._member.unconsumed_tail

    def finish(self) -> None:
        if not self._whole:
            raise CorruptContent("the gzip file is cut: its last member has no end")


class _Depth(ContentHandler, ErrorHandler):
    """Refuses elements nested without end."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def startElement(self, name: str, attrs: object) -> None:  # noqa: N802  (the SAX name)
        self._depth += 1
        if self._depth > MAX_XML_DEPTH:
            raise CorruptContent(f"the XML nests more than {MAX_XML_DEPTH:,} elements")

    def endElement(self, name: str) -> None:  # noqa: N802  (the SAX name)
        self._depth -= 1


class _Xml:
    """Well-formed XML without entity declarations or anything from elsewhere."""

    def __init__(self) -> None:
        self._parser = create_parser()
        handler = _Depth()
        self._parser.setContentHandler(handler)
        self._parser.setErrorHandler(handler)
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> None:
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_XML_BYTES:
            return
        try:
            self._parser.feed(chunk)
        except (SAXParseException, DefusedXmlException) as error:
            raise CorruptContent(f"the XML is not well-formed or not harmless: {error}") from None

    def finish(self) -> None:
        if self._size_bytes > MAX_XML_BYTES:
            return
        try:
            self._parser.close()
        except (SAXParseException, DefusedXmlException) as error:
            raise CorruptContent(f"the XML is cut or not well-formed: {error}") from None


class _Tail:
    """The last bytes of content, for kinds that have a known end."""

    what = ""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk[-_TAIL_BYTES:])[-_TAIL_BYTES:]

    def finish(self) -> None:
        if not self.ends(self._tail):
            raise CorruptContent(f"the {self.what} is cut: its end is missing")

    def ends(self, tail: bytes) -> bool:
        """Say whether `tail` is how such content ends."""
        raise AssertionError("each kind says so itself")


class _Gif(_Tail):
    what = "GIF"

    def ends(self, tail: bytes) -> bool:
        return tail.rstrip(b"\0").endswith(b";")


class _Pdf(_Tail):
    what = "PDF"

    def ends(self, tail: bytes) -> bool:
        return b"%%EOF" in tail
