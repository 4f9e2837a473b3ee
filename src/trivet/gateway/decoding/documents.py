"""Reads every object and page of a PDF with pypdf; runs in the decoding child."""

import logging
import zlib
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import PyPdfError
from pypdf.generic import IndirectObject, StreamObject

_MAX_OBJECTS = 200_000
_STEP_BYTES = 1 << 18
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def decode_pdf(path: Path) -> str | None:
    """Return what is wrong with the PDF at `path`, None when all its pages and streams can be read."""
    try:
        with path.open("rb") as file:
            reader = PdfReader(file, strict=True)
            if reader.is_encrypted and not reader.decrypt(""):
                return None  # nobody can look inside without the password
            return _read(reader)
    except PyPdfError as error:
        return f"it can't be read: {error}"
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return f"it can't be read: {type(error).__name__} {error}"
    except RecursionError:
        return "it can't be read: its objects lead round in circles"


def _read(reader: PdfReader) -> str | None:
    if len(reader.pages) == 0:
        return "it has no pages"
    numbers = [(number, made) for made, table in reader.xref.items() for number in table if number]
    numbers += [(number, 0) for number in reader.xref_objStm]
    if len(numbers) > _MAX_OBJECTS:
        return f"it has {len(numbers):,} objects: too many to look at"
    for number, generation in numbers:
        found = IndirectObject(number, generation, reader).get_object()
        if isinstance(found, StreamObject):
            if _is_deflated(found) and not _inflates(found._data):
                return f"the stream of its object {number} does not unpack"
            if "/Image" not in str(found.get("/Subtype", "")):
                found.get_data()
    for page in reader.pages:
        page.get_contents()
    return None


def _is_deflated(found: StreamObject) -> bool:
    filters = found.get("/Filter", "")
    return str(filters[0] if isinstance(filters, list) and filters else filters) == "/FlateDecode"


def _inflates(packed: bytes) -> bool:
    """Say whether `packed` unpacks with its checksum; pypdf itself takes what can be saved of it."""
    unpacking = zlib.decompressobj()
    try:
        while packed and not unpacking.eof:
            unpacking.decompress(packed, _STEP_BYTES)
            packed = unpacking.unconsumed_tail
    except zlib.error:
        return False
    return unpacking.eof
