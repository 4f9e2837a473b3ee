"""Checks one file on this machine: its type, its structure, and all of it decoded.

Rule: the same checks as content passing through the door, from the same rooms.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trivet.drive.validation.kinds import Kind, extension_of, kind_of_name
from trivet.drive.validation.validator import Validator
from trivet.errors import CorruptContent, UnsupportedType
from trivet.gateway.decoding.identify import is_installed
from trivet.gateway.decoding.pool import DecodingPool

_BLOCK_BYTES = 1 << 20
#: What ImageMagick reads and nobody else here does.
_IDENTIFIED = {
    *("psd", "psb", "xcf", "ppm", "pgm", "pbm", "pnm", "pam", "tga", "pcx", "dpx", "cin", "exr", "hdr"),
    *("jp2", "j2k", "jpf", "ico", "cur", "miff", "sgi", "sun", "xpm", "xbm", "dds", "heic", "heif", "avif"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one file; `reason` is empty when it is whole."""

    path: Path
    outcome: Literal["OK", "ERROR", "SKIP"]
    reason: str = ""


async def check_file(path: Path, pool: DecodingPool, *, insist: bool = False) -> Verdict:
    """Return whether the file at `path` is whole and is what its name says.

    With `insist` ImageMagick is asked about kinds that nobody here knows; else those are SKIP.
    Raises NotFound when it is insisted on and ImageMagick is not installed.
    """
    kind, extension = kind_of_name(path.name), extension_of(path.name)
    try:
        await asyncio.to_thread(_read_through, path)
    except OSError as error:
        return Verdict(path, "ERROR", error.strerror or str(error))
    except (CorruptContent, UnsupportedType) as error:
        return Verdict(path, "ERROR", str(error).removeprefix(f"{path.name} "))
    if _needs_identify(kind, extension, insist=insist):
        if not insist and not is_installed():
            return Verdict(path, "SKIP", f".{extension} needs ImageMagick, which is not installed")
        fault = await pool.identified(path, extension)
    elif kind is None:
        return Verdict(
            path, "SKIP", f"nothing here reads .{extension}" if extension else "it has no extension"
        )
    else:
        fault = await pool.fault(path, kind)
    return Verdict(path, "ERROR", fault) if fault else Verdict(path, "OK")


def _needs_identify(kind: Kind | None, extension: str, *, insist: bool) -> bool:
    return extension in _IDENTIFIED or (kind is None and insist)


def _read_through(path: Path) -> None:
    validator = Validator(path.name, hashes=())
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            validator.feed(block)
    validator.finish()
