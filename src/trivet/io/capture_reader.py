"""Reads a capture in blocks, a file (plain, gz, zst) or a pipe, so that its size never matters.

Rule: at most one block of the file is in memory.
"""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import zstandard

from trivet.errors import InputError
from trivet.wire.capture_file import CaptureScanner, PacketBlock

#: How much is read at once.
BLOCK_BYTES = 4 << 20
_READ_BYTES = 1 << 20
_CUT = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)


def _opened(path: Path) -> IO[bytes]:
    file = os.fdopen(0, "rb", closefd=False) if str(path) == "-" else path.open("rb")
    magic = file.peek(4)[:4]
    if magic[:2] == b"\x1f\x8b":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb"))
    if magic == b"\x28\xb5\x2f\xfd":
        return cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(file, closefd=True))
    return file


def _pieces(file: IO[bytes], scanner: CaptureScanner, block_bytes: int) -> Iterator[bytes]:
    """Yield the file in blocks; where its compression breaks off, that is noted after what came before."""
    kept: list[bytes] = []
    size = 0
    while True:
        try:
            piece = file.read1(_READ_BYTES)  # type: ignore[attr-defined]
        except _CUT as error:
            if not size and not scanner.packets:
                raise InputError(f"it can't be decompressed: {error}") from None
            scanner.notes.append(f"the compressed file is cut or damaged ({error}); the rest was not read")
            piece = b""
        kept.append(piece)
        size += len(piece)
        if size >= block_bytes or (size and not piece):
            yield b"".join(kept)
            kept, size = [], 0
        if not piece:
            return


def packet_blocks(
    path: Path, scanner: CaptureScanner, block_bytes: int = BLOCK_BYTES
) -> Iterator[PacketBlock]:
    """Yield the packets of the capture at `path` ("-" = stdin); `scanner` keeps the notes.

    Raises InputError for a file that can't be read or is no capture; a cut gzip file only gets a note.
    """
    try:
        with _opened(path) as file:
            for piece in _pieces(file, scanner, block_bytes):
                yield from scanner.feed(piece)
        scanner.finish()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"can't read the capture {path}: {error.strerror or error}") from None
