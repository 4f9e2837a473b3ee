"""Blobs of one server in an object store: written and synced at home, packed into segments, sent behind.

Rule: a blob counts as written and synced by the disk here, as on every server; what the store has not got yet
is bounded, and when it has been away for too long this server has no room.
Rule: a segment goes to the store once, whole, under a name used once; nothing there is ever written over.
Rule: a store that is away is never taken for copies that are lost.
"""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path

from trivet.bank.away_segment import (
    BODIES,
    HEADERS,
    AwaySegment,
    make_again,
    notes_left,
    recall,
)
from trivet.bank.blob_copy import Data, header_at
from trivet.bank.blob_header import BlobHeader, header_bytes, stored_bytes
from trivet.bank.blob_index import Place
from trivet.bank.blob_store import BlobStore
from trivet.bank.range_reader import RangeReader
from trivet.bank.segment import Segment, segment_path, segments_in
from trivet.errors import NoSpace
from trivet.io.object_store import ObjectStore
from trivet.io.volume_folder import write_synced
from trivet.wire.bank_messages import BlobData
from trivet.wire.blobs import wrong_pieces

log = logging.getLogger(__name__)

#: Below the time that a keeper waits for a blob (`keeper/blob_service.py`), so that it hears why.
READ_TIMEOUT_S = 0.8
_MARK = "in-store"
_CHECK_TIMEOUT_S = 3.0


def store_used(folder: Path) -> str | None:
    """Return the URL of the store that a server with its segments in `folder` uses, None without one."""
    try:
        return (folder / _MARK).read_text()
    except FileNotFoundError:
        return None


class ObjectBlobs(BlobStore):
    """The blobs under `folder` and in `store`, there below `where`, which no other server has."""

    segment_bytes = 32 << 20

    def __init__(
        self, folder: Path, volume_key: bytes, pool: Executor, store: ObjectStore, where: str
    ) -> None:
        super().__init__(folder, volume_key, pool)
        self._store = store
        self._where = where
        self._ranges = RangeReader(store)
        self._away: dict[int, AwaySegment] = {}
        self._names: dict[int, str] = {}
        self._swept_s = 0.0
        self._staged_bytes = 0
        self._active_since: tuple[int, float] = (0, 0.0)

    def open(self, cuts: Mapping[int, int]) -> None:
        """Find every blob that is there, here and away; blocks.

        The first time, or after the disk here was lost, the store is asked: ConfigError if it can't be.
        """
        mark = self._folder / _MARK
        if not mark.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._find_again()
            write_synced(mark, self._store.plan.given.encode())
        for note in notes_left(self._folder):
            note.unlink()
        super().open(cuts)
        self._count_staged()

    def _count_staged(self) -> None:
        staged = (s.written_bytes for number, s in self._segments.items() if number not in self._away)
        self._staged_bytes = sum(staged)

    def _find_again(self) -> None:
        """Make the files anew of segments that only the store still has."""
        known = set(segments_in(self._folder))
        objects = self._store.names_now(self._where)
        for path, size in sorted(objects.items()):
            name, number = path.removesuffix(BODIES), Path(path).name.split("-")[0]
            if not path.endswith(BODIES) or not number.isdecimal() or int(number) in known:
                continue
            known.add(int(number))
            headers = self._store.read_now(name + HEADERS) if name + HEADERS in objects else b"\x90"
            file = segment_path(self._folder, int(number))
            found = make_again(file, int(number), self._key, name, size, headers)
            log.warning("found %s blobs again in the object %s", found, path)

    def _take_in(self, segment: Segment) -> None:
        super()._take_in(segment)
        away = recall(self._key, segment)
        self._away.pop(segment.number, None)
        if away is not None:
            segment.is_sealed = True
            self._away[segment.number] = away

    def trouble(self) -> str:
        """Why the store can't be used now, empty if it can."""
        return self._store.trouble

    def places(self, first: int, count: int) -> tuple[list[str], list[tuple[int, int, int]]]:
        """Tell nobody where bytes stand: they may leave any time."""
        return [], []

    async def _write(self, name: int, data: Data, hashes: bytes) -> Place:
        if self._staged_bytes > self._store.plan.staging_bytes:
            raise NoSpace(self.trouble() or "the object store takes blobs more slowly than they come")
        self._staged_bytes += stored_bytes(len(data))
        return await super()._write(name, data, hashes)

    def _is_here(self, place: Place) -> bool:
        away = self._away.get(place.segment)
        return away is None or place.offset in away.cached

    def read_now(self, place: Place, start: int, end: int) -> tuple[BlobData, Data] | None:
        """Return the bytes [start, end) of the blob at `place` if they are in memory here, None if not."""
        return super().read_now(place, start, end) if self._is_here(place) else None

    async def read(self, place: Place, start: int, end: int) -> tuple[BlobData, Data]:
        """Return the bytes [start, end) of the blob at `place` as they stand, or raise StoreAway."""
        if self._is_here(place):
            return await super().read(place, start, end)
        away = self._away[place.segment]
        header = await self._header(place)
        at = place.offset + header_bytes(place.size)
        path = away.name + BODIES
        data = await self._ranges.read(path, at + start, at + end, away.size, READ_TIMEOUT_S)
        if data is None:
            log.error("the object %s is gone", path)
        hashes = header.hashes if header is not None else b""
        return BlobData(True, place.size, start, hashes), data or b""

    async def _header(self, place: Place) -> BlobHeader | None:
        segment = self._segments[place.segment]
        return await self._in_thread(segment, lambda: header_at(self._key, segment, place))

    async def is_whole(self, name: int) -> bool | None:
        """Tell whether the copy of `name` that counts, away if it is, matches its header; None if it is gone.

        Raises StoreAway.
        """
        place = self.index.get(name)
        if place is None or place.segment not in self._away:
            return await super().is_whole(name)
        data = await self._whole(name, place)
        if data is None and self._is_here(place) and await super().is_whole(name):
            log.error("blob %s is damaged in the object store; it is stored again from the copy here", name)
            found, body = await super().read(place, 0, place.size)
            await self.replace(name, bytes(body), found.hashes)
            return True
        return data is not None

    async def _whole(self, name: int, place: Place) -> bytes | None:
        """Return the bytes of `name` from the store if they are right, None if they are not."""
        away = self._away[place.segment]
        header = await self._header(place)
        if header is None or header.name != name:
            return None
        at = place.offset + header_bytes(place.size)
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                data = await self._store.read(away.name + BODIES, at, at + place.size)
        except TimeoutError as error:
            raise self._store.was_too_slow() from error
        is_right = data is not None and len(data) == place.size
        if not is_right or next(wrong_pieces(header.hashes, 0, data or b""), None) is not None:
            self._ranges.forget(away.name + BODIES)
            return None
        return data

    def spoil(self, name: int, data: bytes) -> None:
        """Write `data`, cut or filled with zeros, over the bytes of the copy of `name`, unchecked, here."""
        super().spoil(name, data)
        place = self.index.get(name)
        if place is not None and (away := self._away.get(place.segment)) is not None:
            away.cached[place.offset] = place.size

    def _drop(self, segment: Segment) -> None:
        """Let a segment go that holds no blob any more; one that is away waits for its object to go."""
        if segment.number not in self._away:
            super()._drop(segment)
