"""What a server keeps at home of a segment that is in an object store: its headers, and what is cached.

Rule: the file stays where it was, with every header at its place; only bodies are given back, so that the
index, listings and deletion work as they do without a store.
Rule: a segment is away once the file beside it says so, synced; bodies are given back after that.
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from trivet.bank.blob_header import BLOCK_BYTES, header_bytes, read_header, stored_bytes
from trivet.bank.segment import Segment, segment_path, segments_in
from trivet.io.disk import punch_hole, write_whole
from trivet.io.volume_folder import write_synced

BODIES, HEADERS = ".bodies", ".headers"
_NOTE = ".away"
_HEADERS_MAX = 1 << 16


class _Note(msgspec.Struct, frozen=True):
    """What the file beside a segment says: its object's name without the ending, its size, what is here."""

    object: str
    size: int
    headers_only: bool = False


@dataclass(slots=True)
class AwaySegment:
    """A segment that is in the object `name`, of `size` bytes; `cached` maps offset to size of bodies here.

    `is_stuck` says that some of its blobs could not be read when it was to be packed anew.
    """

    name: str
    size: int
    cached: dict[int, int] = field(default_factory=dict)
    is_stuck: bool = False

    @property
    def cached_bytes(self) -> int:
        """What giving the bodies back would free."""
        return sum(stored_bytes(size) - BLOCK_BYTES for size in self.cached.values())


def note_path(segment: Path) -> Path:
    """Return where it is noted that the file `segment` is away."""
    return segment.with_suffix(_NOTE)


def notes_left(folder: Path) -> list[Path]:
    """Return the notes of segments that are gone; one with the same number must not be taken for them."""
    known = {note_path(segment_path(folder, number)) for number in segments_in(folder)}
    return [note for note in folder.glob(f"*{_NOTE}") if note not in known]


def note_away(segment: Segment, name: str, size: int, *, headers_only: bool = False) -> None:
    """Write down that `segment` is in the object `name`, and whether its bodies are here as well; blocks."""
    write_synced(note_path(segment.path), msgspec.json.encode(_Note(name, size, headers_only)))


def recall(volume_key: bytes, segment: Segment) -> AwaySegment | None:
    """Return what was noted of `segment`, None if all of it is here only."""
    try:
        note = msgspec.json.decode(note_path(segment.path).read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    places = () if note.headers_only else (place for _, place in segment.scan(volume_key))
    return AwaySegment(note.object, note.size, {place.offset: place.size for place in places})


def give_bodies_back(segment: Segment, away: AwaySegment, cached: dict[int, int]) -> None:
    """Free the room of the bodies at the offsets of `cached`; blocks."""
    note_away(segment, away.name, away.size, headers_only=True)
    for offset, size in cached.items():
        if stored_bytes(size) > BLOCK_BYTES:
            punch_hole(segment.fd, offset + BLOCK_BYTES, stored_bytes(size) - BLOCK_BYTES)


def read_all(volume_key: bytes, segment: Segment) -> tuple[bytes, bytes, dict[int, int]]:
    """Return (bodies, headers, {offset: size}) of `segment` as they go into the store; blocks."""
    data = segment.read(0, segment.written_bytes)
    places = [place for _, place in segment.scan(volume_key)]
    heads = [(place.offset, data[place.offset : place.offset + header_bytes(place.size)]) for place in places]
    return data, msgspec.msgpack.encode(heads), {place.offset: place.size for place in places}


def make_again(path: Path, number: int, volume_key: bytes, name: str, size: int, headers: bytes) -> int:
    """Make the file of segment `number` anew from the `headers` in the store; return how many are whole.

    Headers that are not of this volume or this place are left out. Blocks.
    """
    heads = msgspec.msgpack.decode(headers, type=list[tuple[int, bytes]])[:_HEADERS_MAX]
    with path.open("xb") as file:
        file.truncate(size)
    segment = Segment(number, path)
    count = 0
    try:
        for offset, head in heads:
            header = read_header(volume_key, number, offset, head)
            if header is not None and offset + stored_bytes(header.size) <= size:
                write_whole(segment.fd, (head,), offset)
                count += 1
        note_away(segment, name, size, headers_only=True)
    finally:
        segment.close()
    return count
