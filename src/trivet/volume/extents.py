"""Extents: which pages of one MiB of a file lie where in which blobs, packed as the value of an `e/` record.

An `e/` value, little endian: count u16 of blobs, count u16 of pieces; per blob name u64, size u32, root 16
bytes; per piece first page, page count, place in the blob list, first page in the blob (u16 each). A whole
MiB in one blob is 40 bytes.

Rule: pieces are sorted, never overlap, and each blob listed has a piece.
Rule: bytes of a piece beyond the end of its blob are zero (a file's last page is stored short).
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from trivet.errors import CorruptReplica
from trivet.volume.attributes import PAGE_BYTES, PAGES_PER_MIB
from trivet.wire.blobs import BlobRef

MAX_PIECES = 64
_COUNTS = struct.Struct("<HH")
_BLOB = struct.Struct("<QI16s")
_PIECE = struct.Struct("<HHHH")


class Piece(NamedTuple):
    """`pages` pages from `page` of the MiB stand from `blob_page` on in `blob`."""

    page: int
    pages: int
    blob: BlobRef
    blob_page: int


class BlobRange(NamedTuple):
    """`size` bytes at `offset` of `blob` belong at `place` of what is being read."""

    blob: BlobRef
    offset: int
    size: int
    place: int


def pack_extents(pieces: Sequence[Piece]) -> bytes:
    """Return the `e/` value of `pieces`."""
    blobs: dict[int, int] = {}
    refs: list[BlobRef] = []
    for piece in pieces:
        if piece.blob.name not in blobs:
            blobs[piece.blob.name] = len(refs)
            refs.append(piece.blob)
    parts = [_COUNTS.pack(len(refs), len(pieces))]
    parts += [_BLOB.pack(ref.name, ref.size, ref.root) for ref in refs]
    parts += [_PIECE.pack(p.page, p.pages, blobs[p.blob.name], p.blob_page) for p in pieces]
    return b"".join(parts)


def unpack_extents(value: bytes) -> list[Piece]:
    """Return the pieces of an `e/` value, or raise CorruptReplica."""
    try:
        blob_count, piece_count = _COUNTS.unpack_from(value)
        pieces_at = _COUNTS.size + blob_count * _BLOB.size
        if len(value) != pieces_at + piece_count * _PIECE.size:
            raise CorruptReplica("an extents record has the wrong length")
        refs = [BlobRef(*fields) for fields in _BLOB.iter_unpack(value[_COUNTS.size : pieces_at])]
        return [
            Piece(page, count, refs[blob], blob_page)
            for page, count, blob, blob_page in _PIECE.iter_unpack(value[pieces_at:])
        ]
    except (struct.error, IndexError) as error:
        raise CorruptReplica("an extents record makes no sense") from error


def blobs_of(value: bytes) -> list[BlobRef]:
    """Return the blobs an `e/` value names."""
    count, _pieces = _COUNTS.unpack_from(value)
    end = _COUNTS.size + count * _BLOB.size
    return [BlobRef(*fields) for fields in _BLOB.iter_unpack(value[_COUNTS.size : end])]


def without_pages(pieces: Sequence[Piece], first: int, end: int) -> list[Piece]:
    """Return what is left of `pieces` when pages [`first`, `end`) are taken out."""
    left = []
    for piece in pieces:
        page, count, blob, blob_page = piece
        piece_end = page + count
        if piece_end <= first or page >= end:
            left.append(piece)
            continue
        if page < first:
            left.append(Piece(page, first - page, blob, blob_page))
        if piece_end > end:
            left.append(Piece(end, piece_end - end, blob, blob_page + end - page))
    return left


def overlay(
    pieces: Sequence[Piece], runs: Sequence[tuple[int, int]], blob: BlobRef
) -> tuple[list[Piece], list[int]]:
    """Return (pieces, names of blobs no longer used) with the runs of pages [first, end) now in `blob`,
    packed in it one behind another.
    """
    before = {piece.blob.name for piece in pieces}
    result = list(pieces)
    blob_page = 0
    for first, end in runs:
        result = without_pages(result, first, end)
        result.append(Piece(first, end - first, blob, blob_page))
        blob_page += end - first
    result.sort(key=lambda piece: piece.page)
    return result, sorted(before - {piece.blob.name for piece in result})


def ranges_to_read(pieces: Sequence[Piece], start: int, end: int) -> list[BlobRange]:
    """Return what to read of which blobs for the bytes [`start`, `end`) of the MiB; the rest is zero."""
    assert 0 <= start <= end <= PAGES_PER_MIB * PAGE_BYTES
    ranges = []
    for page, count, blob, blob_page in pieces:
        piece_start = page * PAGE_BYTES
        low = max(start, piece_start)
        high = min(end, piece_start + count * PAGE_BYTES)
        offset = blob_page * PAGE_BYTES + low - piece_start
        size = min(high - low, blob.size - offset)
        if low < high and size > 0:
            ranges.append(BlobRange(blob, offset, size, low - start))
    return ranges
