"""The blobs of one server: immutable bytes under a name used once, in segment files of 64 MiB.

Rule: what a copy's bytes are worth is judged by whoever holds the root; a damaged copy is answered as it is.
Rule: the index and the tails belong to the loop; threads get a pinned segment and an offset, nothing else.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TypeVar

from trivet.bank.blob_copy import Data, header_of, is_whole, read_pieces, reads_back, spoil
from trivet.bank.blob_header import BLOCK_BYTES, header_bytes, pack_header, stored_bytes
from trivet.bank.blob_index import BlobIndex, Place
from trivet.bank.segment import SEGMENT_BYTES, Segment, pinned, segment_path, segments_in
from trivet.errors import CorruptReplica
from trivet.io.disk import punch_hole, sync_folder, write_whole
from trivet.wire.bank_messages import BlobData
from trivet.wire.blobs import piece_range

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_ON_LOOP_BYTES = 256 << 10
_PADDING = bytes(BLOCK_BYTES)


class BlobStore:
    """The blobs under `folder`; `pool` runs what may wait for the disk."""

    segment_bytes = SEGMENT_BYTES

    def trouble(self) -> str:
        """Why what is stored can't all be read now, empty if it can."""
        return ""

    def __init__(self, folder: Path, volume_key: bytes, pool: Executor) -> None:
        self._folder = folder
        self._key = volume_key
        self._pool = pool
        self._segments: dict[int, Segment] = {}
        self._dirty: dict[int, Segment] = {}
        self._active: Segment | None = None
        self._last_number = self._looked_at = self.stored_bytes = 0
        self.index = BlobIndex()

    def open(self, cuts: Mapping[int, int]) -> None:
        """Find every blob that is there and sync them; blocks, so it runs before the server serves.

        `cuts` are segments of which so many bytes count only: a sync failed on what stood behind.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in segments_in(self._folder):
            path = segment_path(self._folder, number)
            if number in cuts and path.stat().st_size > cuts[number]:
                os.truncate(path, cuts[number])
            segment = Segment(number, path, limit_bytes=self.segment_bytes)
            os.fdatasync(segment.fd)
            self._segments[number] = segment
            self._last_number = number
            self._take_in(segment)
            self._active = segment

    async def tend(self, sync: Callable[[], Awaitable[None]]) -> None:
        """Do what is done behind the requests, until cancelled; `sync` syncs every blob written so far."""

    def _take_in(self, segment: Segment) -> None:
        """Index what `segment` holds; of two copies of one name the later one stays."""
        for header, place in segment.scan(self._key):
            segment.gain(place.size)
            self.stored_bytes += stored_bytes(place.size)
            before = self.index.put(header.name, place)
            if before is not None:
                self._segments[before.segment].lose(before.size)
                self.stored_bytes -= stored_bytes(before.size)
                _punch([(self._segments[before.segment], before)])

    async def put(self, name: int, data: Data, hashes: bytes) -> None:
        """Store a blob unless it is there; OSError (ENOSPC...) leaves everything as it was."""
        if self.index.get(name) is None:
            place = await self._write(name, data, hashes)
            await self._replaced(self.index.put(name, place))

    async def replace(self, name: int, data: Data, hashes: bytes) -> None:
        """Store a blob in place of whatever copy stands there, read it back from the disk and check it."""
        place = await self._write(name, data, hashes)
        segment = self._segments[place.segment]
        if not await self._in_thread(segment, lambda: reads_back(segment, place, data)):
            await self._give_back([place])
            raise CorruptReplica(f"blob {name} did not read back as it was written")
        await self._replaced(self.index.put(name, place))

    async def _replaced(self, before: Place | None) -> None:
        if before is not None:
            await self._give_back([before])

    async def _write(self, name: int, data: Data, hashes: bytes) -> Place:
        segment, offset = self._room_for(len(data))
        header = pack_header(self._key, segment.number, offset, name, len(data), hashes)
        padding = _PADDING[: stored_bytes(len(data)) - len(header) - len(data)]
        write = partial(write_whole, segment.fd, (header, data, padding), offset)
        self._dirty[segment.number] = segment
        segment.gain(len(data))
        segment.writing += 1
        try:
            if len(data) <= _ON_LOOP_BYTES:
                write()
            else:
                await self._in_thread(segment, write)
        except OSError:
            segment.lose(len(data))
            raise
        finally:
            segment.writing -= 1
        self._has_changed(segment)  # a sync may have begun while the thread wrote
        segment.written_bytes = max(segment.written_bytes, offset + stored_bytes(len(data)))
        self.stored_bytes += stored_bytes(len(data))
        return Place(segment.number, offset, len(data))

    def _has_changed(self, segment: Segment) -> None:
        """Have `segment` synced, unless it was let go meanwhile."""
        if self._segments.get(segment.number) is segment:
            self._dirty[segment.number] = segment

    def _room_for(self, size: int) -> tuple[Segment, int]:
        while True:
            if self._active is not None:
                offset = self._active.take(size)
                if offset is not None:
                    return self._active, offset
            self._last_number += 1
            self._folder.mkdir(parents=True, exist_ok=True)
            path = segment_path(self._folder, self._last_number)
            self._active = Segment(self._last_number, path, create=True, limit_bytes=self.segment_bytes)
            sync_folder(self._folder)
            self._segments[self._last_number] = self._active

    def get(self, name: int, offset: int, length: int) -> tuple[Place, int, int] | None:
        """Return (place, start, end), the whole pieces that cover a range; None if there is no such blob."""
        place = self.index.get(name)
        if place is None or place.segment not in self._segments:
            return None
        start, end = piece_range(place.size, offset, length)
        return place, min(start, place.size), max(min(start, place.size), end)

    def places(self, first: int, count: int) -> tuple[list[str], list[tuple[int, int, int]]]:
        """Return (segment files, (name, file, where its first byte stands) of blobs from `first` on)."""
        files: dict[str, int] = {}
        found = []
        for name in range(first, first + count):
            place = self.index.get(name)
            segment = self._segments.get(place.segment) if place is not None else None
            if place is not None and segment is not None:
                file = files.setdefault(segment.path.name, len(files))
                found.append((name, file, place.offset + header_bytes(place.size)))
        return list(files), found

    def read_now(self, place: Place, start: int, end: int) -> tuple[BlobData, Data] | None:
        """Return the bytes [start, end) of the blob at `place` if they are in memory, None if not."""
        return read_pieces(self._key, self._segments[place.segment], place, start, end, os.RWF_NOWAIT)

    async def read(self, place: Place, start: int, end: int) -> tuple[BlobData, Data]:
        """Return the bytes [start, end) of the blob at `place` as they stand on the disk."""
        segment = self._segments[place.segment]
        found = await self._in_thread(segment, lambda: read_pieces(self._key, segment, place, start, end))
        assert found is not None
        return found

    async def delete(self, names: list[int]) -> None:
        """Forget the blobs and give their room back; unknown names are fine."""
        dropped = [place for name in names if (place := self.index.remove(name)) is not None]
        await self._give_back(dropped)

    async def _give_back(self, places: Iterable[Place]) -> None:
        """Give the room of copies back that the index no longer names; segments left empty go."""
        holes: list[tuple[Segment, Place]] = []
        for place in places:
            segment = self._segments.get(place.segment)
            if segment is None:
                continue
            segment.lose(place.size)
            self.stored_bytes -= stored_bytes(place.size)
            holes.append((segment, place))
        with pinned(segment for segment, _ in holes):
            await self._run(lambda: _punch(holes))
        for segment in {segment.number: segment for segment, _ in holes}.values():
            self._has_changed(segment)
            if not segment.live and segment is not self._active:
                self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        """Let a segment go that holds no blob any more."""
        self._forget(segment)
        segment.path.unlink(missing_ok=True)

    def _forget(self, segment: Segment) -> None:
        self._segments.pop(segment.number, None)
        self._dirty.pop(segment.number, None)
        if segment is self._active:
            self._active = None
        segment.close()

    async def list_after(self, after: int, limit: int) -> tuple[list[tuple[int, int, bytes]], bool]:
        """Return (name, size, root) behind `after` in name order, and whether more follow.

        The root is what the stored header says, empty where the header is damaged.
        """
        self.notice_lost_files()
        found, more = self.index.after(after, limit)
        held = {place.segment: self._segments[place.segment] for _, place in found}
        with pinned(held.values()):
            headers = await self._run(
                lambda: [header_of(self._key, held[place.segment], name, place) for name, place in found]
            )
        roots = (header.root if header is not None else b"" for header in headers)
        return [(name, place.size, root) for (name, place), root in zip(found, roots, strict=True)], more

    async def is_whole(self, name: int) -> bool | None:
        """Tell whether the copy of `name` matches its own header, read from the disk; None if it is gone."""
        place = self.index.get(name)
        if place is None:
            return None
        segment = self._segments[place.segment]
        return await self._in_thread(segment, lambda: is_whole(self._key, segment, name, place))

    def spoil(self, name: int, data: bytes) -> None:
        """Write `data`, cut or filled with zeros, over the bytes of the copy of `name`, unchecked."""
        place = self.index.get(name)
        assert place is not None
        segment = self._segments[place.segment]
        spoil(segment, place, data)
        self._dirty[segment.number] = segment

    def notice_lost_files(self, at_most: int = 1 << 24) -> None:
        """Forget what stood in segment files that were deleted, swapped or cut, and take in what is there.

        Looks at `at_most` segments, going on where it stopped the last time.
        """
        numbers = list(self._segments)
        first = self._looked_at % max(len(numbers), 1)
        self._looked_at = first + at_most
        for number in (numbers[first:] + numbers[:first])[:at_most]:
            segment = self._segments[number]
            if segment.is_in_place():
                continue
            lost = list(self.index.in_segment(segment.number))
            for name, place in lost:
                self.index.remove(name)
                self.stored_bytes -= stored_bytes(place.size)
            self._forget(segment)
            log.error("segment %s was changed by somebody else: %s blobs lost", segment.path, len(lost))
            if segment.path.exists():
                found = Segment(segment.number, segment.path)
                self._segments[segment.number] = found
                self._take_in(found)
                self._active = self._active or found

    def take_dirty(self) -> list[Segment]:
        """Return the segments written since the last call, pinned; whoever syncs them unpins them."""
        dirty = list(self._dirty.values())
        self._dirty.clear()
        for segment in dirty:
            segment.pin()
        return dirty

    def unsafe(self) -> list[tuple[int, int]]:
        """Return (number, synced bytes) of every segment that holds more than was synced."""
        return [
            (segment.number, segment.safe_bytes)
            for segment in self._segments.values()
            if segment.tail > segment.safe_bytes
        ]

    def close(self) -> None:
        """Close every segment."""
        for segment in self._segments.values():
            segment.close()

    async def _in_thread(self, segment: Segment, work: Callable[[], _T]) -> _T:
        with pinned((segment,)):
            return await self._run(work)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _punch(holes: Iterable[tuple[Segment, Place]]) -> None:
    for segment, place in holes:
        punch_hole(segment.fd, place.offset, stored_bytes(place.size))
