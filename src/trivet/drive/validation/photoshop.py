"""Follows the sections of a PSD or PSB to their end; programs that open such files accept a cut last one.

Rule: nothing is kept but what the next step needs (at most 64 KiB). Format: Adobe's "Photoshop File Formats
Specification": header, three sections with lengths, then the merged image, raw or in packed rows.
"""

import struct
from collections.abc import Generator

from trivet.errors import CorruptContent

_PIECE_BYTES = 1 << 16
_RAW, _PACKED = 0, 1


class Photoshop:
    """Fed with a PSD or PSB in order; `finish` raises CorruptContent when it is cut."""

    def __init__(self) -> None:
        self._steps = _sections()
        self._wants, self._skips = next(self._steps), 0
        self._held = bytearray()
        self._ended = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; raise CorruptContent when they can't be a PSD's."""
        self._held += chunk
        while not self._ended:
            if self._skips:
                step = min(self._skips, len(self._held))
                del self._held[:step]
                self._skips -= step
                if self._skips:
                    return
            if len(self._held) < self._wants:
                return
            taken = bytes(self._held[: self._wants])
            del self._held[: self._wants]
            try:
                order = self._steps.send(taken)
            except StopIteration:
                self._ended = True
                break
            self._wants, self._skips = (0, -order) if order < 0 else (order, 0)
        self._held.clear()

    def finish(self) -> None:
        """Raise CorruptContent when the file ended before its last section did."""
        if not self._ended:
            raise CorruptContent("the Photoshop file is cut: its merged image is not all there")


def _sections() -> Generator[int, bytes, None]:
    """Yield how many bytes to hand in next; a negative number skips so many and hands in none."""
    mark, version, channels, rows, columns, depth, _ = struct.unpack(">4sH6xHIIHH", (yield 26))
    if mark != b"8BPS" or version not in (1, 2) or depth not in (1, 8, 16, 32):
        raise CorruptContent("the Photoshop file has an impossible header")
    large = version == 2
    for width in (4, 4, 8 if large else 4):
        length = int.from_bytes((yield width), "big")
        if length:
            yield -length
    kind = int.from_bytes((yield 2), "big")
    if kind == _RAW:
        length = channels * rows * ((columns * depth + 7) // 8)
    elif kind == _PACKED:
        length = yield from _sum_of_rows(channels * rows, 4 if large else 2)
    else:
        return  # packed as a whole (kinds 2 and 3): only its end would tell its length
    if length:
        yield -length


def _sum_of_rows(count: int, width: int) -> Generator[int, bytes, int]:
    total, left = 0, count * width
    while left:
        piece = yield min(left, _PIECE_BYTES)
        left -= len(piece)
        total += sum(struct.unpack(f">{len(piece) // width}{'I' if width == 4 else 'H'}", piece))
    return total
