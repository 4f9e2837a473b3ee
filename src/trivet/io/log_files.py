"""Log files as blocks of whole lines: plain, gzip, bzip2, xz, zstd, standard input, globs.

Rule: memory is bounded: a block holds about BLOCK_BYTES and ends at a newline (the file's last may not).
Rule: a line longer than a block is cut to its first 40 bytes, which no format can take for a record.
Rule: damage at the end of a packed file is told (`problems`), what came before it counts.
"""

import bz2
import lzma
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard
from isal import igzip, isal_zlib

from trivet.errors import InputError, NotFound
from trivet.wire.access_formats import SAMPLE_BYTES

BLOCK_BYTES = 4 << 20
STDIN = "-"
#: what some editors and Windows programs put before the first line
BOM = b"\xef\xbb\xbf"
_CUT_BYTES = 40
_PIECE_BYTES = 128 << 10
_ZSTD_PIECE_BYTES = 2 << 10
_PACKED_HEADS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_IsalError: Any = isal_zlib.error
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError, _IsalError)


def expand_paths(patterns: Sequence[str]) -> list[str]:
    """Return the files that `patterns` (paths, globs, `-`) name, each once, in the order given.

    Raises NotFound for a path or glob that names nothing, InputError for a directory or device.
    """
    paths: dict[str, None] = {}
    for pattern in patterns:
        if pattern == STDIN:
            paths[STDIN] = None
            continue
        found = sorted(glob(pattern, recursive=True)) if has_magic(pattern) else [pattern]
        files = [path for path in found if not Path(path).is_dir()] if has_magic(pattern) else found
        if not files:
            raise NotFound(f"no file matches {pattern}")
        for path in files:
            _check(path)
            paths[path] = None
    return list(paths)


def _check(path: str) -> None:
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise InputError(
            f"{path} is a directory; name its log files, for example '{path.rstrip('/')}/*.log*'"
        )
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise InputError(f"{path} is no file")


class LogFile:
    """One log file, opened: its `sample` for detection, its `blocks`, and the `problems` met on the way.

    `path` may be `-` for standard input. Raises NotFound when the file can't be opened.
    """

    def __init__(self, path: str, *, block_bytes: int = BLOCK_BYTES) -> None:
        self.path = path
        self.problems: list[str] = []
        self.overlong_lines = 0
        self.size_bytes = 0 if path == STDIN else Path(path).stat().st_size
        self._block_bytes = block_bytes
        try:
            raw = sys.stdin.buffer if path == STDIN else open(path, "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise NotFound(f"cannot read {path}: {error.strerror}") from error
        self._stream, self.packing = _unpacked(raw)
        # what a decompressor had in hand when the file broke off is lost: keep that small
        self._piece_bytes = block_bytes if self.packing == "plain" else _PIECE_BYTES
        self._sample = self._read(min(SAMPLE_BYTES, block_bytes)).removeprefix(BOM)

    @property
    def sample(self) -> bytes:
        """The file's first bytes, unpacked, at most SAMPLE_BYTES; reading blocks loses none of them."""
        return self._sample

    def close(self) -> None:
        """Close the file (standard input stays open)."""
        if self.path != STDIN:
            self._stream.close()

    def blocks(self) -> Iterator[bytes]:
        """Yield the file once, as blocks of whole lines."""
        rest = self._sample
        while True:
            data = self._read(self._block_bytes - len(rest)) if len(rest) < self._block_bytes else b""
            block, rest = rest + data, b""
            if len(block) < self._block_bytes:
                if block:
                    yield block
                return
            end = block.rfind(b"\n") + 1
            if end == 0:
                block, rest = self._cut_overlong(block[:_CUT_BYTES])
                yield block
            else:
                rest = block[end:]
                yield block[:end]

    def _cut_overlong(self, head: bytes) -> tuple[bytes, bytes]:
        self.overlong_lines += 1
        while data := self._read(self._block_bytes):
            end = data.find(b"\n")
            if end >= 0:
                return head + b"\n", data[end + 1 :]
        return head, b""

    def _read(self, size: int) -> bytes:
        """Read `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        missing = size
        try:
            while missing > 0 and (part := self._stream.read(min(missing, self._piece_bytes))):
                parts.append(part)
                missing -= len(part)
        except _DAMAGE as error:
            self.problems.append(f"{self.path} breaks off: {error}")
            self._stream = cast(BinaryIO, _Ended())
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Zstd:
    """Unpacks zstd, and says when the file ends before its last frame does."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._input = b""
        self._output = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end; raises EOFError where a frame breaks off."""
        while not self._output:
            # in small pieces, because a few bytes may stand for very many
            self._input = self._input or self._packed.read(_ZSTD_PIECE_BYTES)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("the file ends within a zstd frame")
                return b""
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._output = memoryview(frame.decompress(self._input))
            self._input, self._frame = (frame.unused_data, None) if frame.eof else (b"", frame)
        part, self._output = self._output[:size], self._output[size:]
        return bytes(part)

    def close(self) -> None:
        """Close the packed stream."""
        self._packed.close()


class _Ended:
    """What is left of a stream that broke off: nothing."""

    def read(self, _size: int) -> bytes:
        return b""

    def close(self) -> None:
        return None


class _Prefixed(RawIOBase):
    """A raw stream with the bytes in front that were read to see how it is packed."""

    def __init__(self, head: bytes, raw: BinaryIO) -> None:
        self._head = head
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        part, self._head = (
            (self._head[:size], self._head[size:]) if self._head else (self._raw.read(size), b"")
        )
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _unpacked(raw: BinaryIO) -> tuple[BinaryIO, str]:
    """Return (`raw` unpacked, how it is packed), told by the first bytes, not by the name."""
    head = b""
    while len(head) < 6 and (part := raw.read(6 - len(head))):
        head += part
    if not head.startswith(_PACKED_HEADS) and raw.seekable():
        raw.seek(-len(head), 1)
        return raw, "plain"
    stream = cast(BinaryIO, BufferedReader(_Prefixed(head, raw), 1 << 20))
    if head.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, igzip.open(stream, "rb")), "gzip"  # type: ignore[no-untyped-call]
    if head.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(stream)), "bzip2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.LZMAFile(stream)), "xz"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return cast(BinaryIO, _Zstd(stream)), "zstd"
    return stream, "plain"
