"""Unpacks ZIP files and what is made of them (DOCX, XLSX, ...), and throws away what comes out.

Rule: sums of sizes are bounded by what really comes out, never by what the archive announces.
"""

import zipfile
import zlib
from pathlib import Path

from defusedxml import sax
from defusedxml.common import DefusedXmlException

from trivet.gateway.decoding.xml_reading import Silent, fault_of

MAX_UNPACKED_BYTES = 4 << 30
MAX_RATIO = 500
MAX_MEMBERS = 100_000
_MAX_PART_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 18

#: What must be inside, by kind of office document.
_MAIN_PARTS = {"DOCX": "word/document.xml", "XLSX": "xl/workbook.xml", "PPTX": "ppt/presentation.xml"}


def decode_zip(path: Path, kind: str) -> str | None:
    """Return what is wrong with the archive at `path`, of the kind named `kind`; None when it is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _members(archive, path.stat().st_size) or _parts(archive, kind)
    except zipfile.BadZipFile as error:
        return f"it does not unpack: {error}"
    except (zlib.error, EOFError, OSError, ValueError, NotImplementedError, OverflowError) as error:
        return f"it does not unpack: {error or type(error).__name__}"


def _members(archive: zipfile.ZipFile, size_bytes: int) -> str | None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        return f"it has {len(members):,} members: a decompression bomb?"
    most = min(MAX_UNPACKED_BYTES, max(size_bytes * MAX_RATIO, 1 << 24))
    unpacked = 0
    for member in members:
        if member.flag_bits & 1:
            continue  # encrypted: nobody can look inside without the password
        with archive.open(member) as file:
            while block := file.read(_BLOCK_BYTES):
                unpacked += len(block)
                if unpacked > most:
                    return f"it unpacks to more than {most:,} bytes: a decompression bomb?"
    return None


def _parts(archive: zipfile.ZipFile, kind: str) -> str | None:
    main = _MAIN_PARTS.get(kind)
    if main is None:
        return None
    names = set(archive.namelist())
    if "[Content_Types].xml" not in names or main not in names:
        inside = [other for other, part in _MAIN_PARTS.items() if part in names]
        return f"it is no {kind}, but {inside[0] if inside else 'a plain ZIP'}"
    for name in sorted(names):
        part = archive.getinfo(name)
        if name.endswith((".xml", ".rels")) and part.file_size <= _MAX_PART_BYTES and not part.flag_bits & 1:
            with archive.open(part) as file:
                try:
                    sax.parse(file, Silent())
                except (*Silent.FAULTS, DefusedXmlException) as error:
                    return f"its part {name} is no XML: {fault_of(error)}"
    return None
