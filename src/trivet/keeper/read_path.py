"""The read path: what is stored of a file, with its dirty data laid over it.

Rule: dirty data is laid over what is read, never flushed for it.
Rule: dirty data is looked at before anything is waited for, so that what a flush moves meanwhile is not lost.
"""

import asyncio
from collections.abc import Mapping

from trivet.errors import NoMajority
from trivet.keeper.page_cache import PageCache
from trivet.keeper.read_ahead import ReadAhead
from trivet.keeper.stores import BlobPort, RecordPort
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES, PAGES_PER_MIB, Inode
from trivet.volume.extents import ranges_to_read, unpack_extents
from trivet.volume.namespace import Namespace
from trivet.volume.open_files import OpenFile
from trivet.volume.stored_body import StoredBody, lay_pages
from trivet.wire.records import page_key

_TRIES = 8
_SEQUENTIAL_SLACK_BYTES = MIB_BYTES


class ReadPath:
    """Reads of the files of one volume."""

    def __init__(self, space: Namespace, blobs: BlobPort, records: RecordPort, cache: PageCache) -> None:
        self._space = space
        self._blobs = blobs
        self._records = records
        self._cache = cache
        self.ahead = ReadAhead(self._load_mib)

    async def read(self, file: OpenFile, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`, fewer only at the end of the file."""
        exchanges = self._space.layout.exchanges
        for _attempt in range(_TRIES):
            ino = file.ino
            before = exchanges(ino)
            found = await self._read_once(file, offset, size)
            if file.ino == ino and exchanges(ino) == before:
                return found
        raise NoMajority(f"the content of inode {file.ino} is exchanged too fast to be read")

    async def stored_body(self, ino: int, mibs: range | None = None) -> StoredBody:
        """Return what is stored of a body, or of its MiBs `mibs`; nobody may change it meanwhile."""
        layout = self._space.layout
        inode = self._space.inode(ino)
        size = inode.size
        if mibs is None:
            extents = dict(layout.all_extents(ino))
            pages = layout.pages(inode)
        else:
            extents = {mib: value for mib in mibs if (value := layout.extents(ino, mib))}
            pages = layout.pages_between(inode, mibs.start * PAGES_PER_MIB, mibs.stop * PAGES_PER_MIB)
        bodies = await self._pages(ino, pages) if pages else {}
        if bodies is None:
            raise NoMajority(f"the page records of inode {ino} are not where they should be")
        return StoredBody(size, extents, bodies)

    async def read_body(self, body: StoredBody, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset` of a body that is held as a snapshot."""
        end = min(offset + size, body.size)
        parts = []
        while offset < end:
            mib, start = divmod(offset, MIB_BYTES)
            stop = min(MIB_BYTES, start + end - offset)
            found = bytearray(stop - start)
            for piece in body.ranges(mib, start, stop):
                text = await self._blobs.read(piece.blob, piece.offset, piece.size)
                found[piece.place : piece.place + len(text)] = text
            body.lay_pages(found, mib, start, stop)
            parts.append(found)
            offset += stop - start
        return b"".join(parts)

    def exchanged(self, ino: int, pages: Mapping[int, bytes]) -> None:
        """Note that a body is another one now, with these page bodies."""
        self.ahead.drop_from(ino, 0)
        for page, body in pages.items():
            self._cache.write(page_key(ino, page), body)

    async def _read_once(self, file: OpenFile, offset: int, size: int) -> bytes:
        ino = file.ino
        inode = self._space.inode(ino)
        end = min(offset + size, inode.size)
        if offset >= end:
            return b""
        mib, start = divmod(offset, MIB_BYTES)
        last_mib = (inode.size - 1) // MIB_BYTES
        whole = self._reads_on(file, offset, end) and self._space.layout.extents(ino, mib) is not None
        if whole:
            self.ahead.advance(ino, mib, last_mib)
        if start + end - offset <= MIB_BYTES:
            return await self._read_mib(ino, mib, start, start + end - offset)
        parts = []
        while offset < end:
            mib, start = divmod(offset, MIB_BYTES)
            stop = min(MIB_BYTES, start + end - offset)
            parts.append(await self._read_mib(ino, mib, start, stop))
            offset += stop - start
        return b"".join(parts)

    def stored_page_now(self, inode: Inode, page: int) -> bytes | None:
        """Return the stored bytes of a page (its rest is zero), None if they must be waited for."""
        layout = self._space.layout
        if layout.has_page(inode, page):
            key = page_key(inode.ino, page)
            return self._cache.get(key) or self._space.changes.records.get(key)
        mib, first = divmod(page, PAGES_PER_MIB)
        for piece in layout.pieces(inode.ino, mib):
            if piece.page <= first < piece.page + piece.pages:
                return None
        return b""

    async def stored(self, ino: int, mib: int, start: int, end: int) -> bytes:
        """Return the stored bytes [`start`, `end`) of a MiB, zeros where there are none."""
        for _attempt in range(_TRIES):
            found = await self._stored_once(self._space.inode(ino), mib, start, end)
            if found is not None:
                return found
        raise NoMajority(f"the page records of inode {ino} are not where they should be")

    async def _read_mib(self, ino: int, mib: int, start: int, end: int) -> bytes:
        space = self._space
        for _attempt in range(_TRIES):
            dirty = space.dirty.get(ino)
            slices = dirty.slices(mib, start, end) if dirty is not None else []
            if slices and len(slices[-1][1]) == end - start:
                return slices[-1][1]
            window = self.ahead.get(ino, mib)
            stored: bytes | None
            if window is None:
                stored = await self._stored_once(space.inode(ino), mib, start, end)
                if stored is None:
                    continue
            else:
                held = window.result() if window.done() else await asyncio.shield(window)
                stored = held[start:end]
                if len(stored) < end - start:
                    stored += bytes(end - start - len(stored))
            if not slices:
                return stored
            mixed = bytearray(stored)
            for at, part in slices:
                mixed[at : at + len(part)] = part
            return bytes(mixed)
        raise NoMajority(f"the page records of inode {ino} are not where they should be")

    async def _load_mib(self, ino: int, mib: int) -> bytes:
        size = min(self._space.inode(ino).size - mib * MIB_BYTES, MIB_BYTES)
        return await self.stored(ino, mib, 0, max(size, 0))

    async def _stored_once(self, inode: Inode, mib: int, start: int, end: int) -> bytes | None:
        """Return what is stored, None if a page record went away meanwhile and all must be looked at anew."""
        layout = self._space.layout
        ino = inode.ino
        first = mib * PAGES_PER_MIB + start // PAGE_BYTES
        pages = layout.pages_between(inode, first, mib * PAGES_PER_MIB + -(-end // PAGE_BYTES))
        packed = layout.extents(ino, mib)
        ranges = ranges_to_read(unpack_extents(packed), start, end) if packed else []
        if len(ranges) == 1 and not pages and ranges[0].size == end - start:
            return await self._blobs.read(ranges[0].blob, ranges[0].offset, ranges[0].size)
        bodies = await self._pages(ino, pages) if pages else {}
        if bodies is None:
            return None
        if len(pages) == 1 and start % PAGE_BYTES == 0 and end - start == len(bodies[pages[0]]):
            return bodies[pages[0]]
        found = bytearray(end - start)
        texts = await asyncio.gather(*(self._blobs.read(r.blob, r.offset, r.size) for r in ranges))
        for piece, text in zip(ranges, texts, strict=True):
            found[piece.place : piece.place + len(text)] = text
        lay_pages(found, mib, start, end, bodies)
        return bytes(found)

    async def _pages(self, ino: int, pages: list[int]) -> dict[int, bytes] | None:
        bodies: dict[int, bytes] = {}
        missing: dict[bytes, int] = {}
        waiting = self._space.changes.records
        for page in pages:
            key = page_key(ino, page)
            body = self._cache.get(key) or waiting.get(key)
            if body is None:
                missing[key] = page
            else:
                bodies[page] = body
        if missing:
            keys = list(missing)
            token = self._cache.expect(keys)
            fetched: dict[bytes, bytes] = {}
            try:
                fetched = await self._records.read(keys)
            finally:
                self._cache.fill(token, keys, fetched)
            for key, page in missing.items():
                if key not in fetched:
                    return None
                bodies[page] = fetched[key]
        return bodies

    @staticmethod
    def _reads_on(file: OpenFile, offset: int, end: int) -> bool:
        if abs(offset - file.next_offset) <= _SEQUENTIAL_SLACK_BYTES:
            file.sequential_reads += 1
        else:
            file.sequential_reads = 0
        file.next_offset = end
        return file.sequential_reads > 1
