"""The write path: taking data in, and seeing that it reaches the banks in time.

Rule: dirty data and what is not acknowledged yet are at most `dirty_limit_bytes`; a writer above waits.
Rule: dirty data is at most about a second old; a file with many complete MiBs is flushed before that.
Rule: what a flush in the background failed with is told to the next one who asks for the inode's data to be
safe.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from errno import EFBIG

from trivet.errors import FileSystemError, NoMajority, NoSpace, TrivetError
from trivet.keeper.flushing import Flusher
from trivet.keeper.packing import Packer
from trivet.keeper.page_cache import PageCache
from trivet.keeper.read_path import ReadPath
from trivet.keeper.submitting import Submitter
from trivet.volume.attributes import MAX_FILE_BYTES, MIB_BYTES, PAGE_BYTES, Inode
from trivet.volume.namespace import Namespace
from trivet.volume.open_files import OpenFile
from trivet.wire.records import page_key

DIRTY_LIMIT_BYTES = 32 << 20
_EARLY_FLUSH_BYTES = 4 << 20
_LARGEST_WRITE_BYTES = 4 << 20
_OLD_S = 0.6
_RETRY_S = 1.0
_LOOK_S = 0.2
_ROOM_DEADLINE_S = 30.0
_FLUSHES_AT_ONCE = 16


class WritePath:
    """Writes to the files of one volume; `start` it, `close` it."""

    def __init__(
        self,
        space: Namespace,
        submitter: Submitter,
        flusher: Flusher,
        reads: ReadPath,
        cache: PageCache,
        packer: Packer,
        clock_ns: Callable[[], int],
        dirty_limit_bytes: int = DIRTY_LIMIT_BYTES,
    ) -> None:
        self._space = space
        self._submitter = submitter
        self._flusher = flusher
        self._reads = reads
        self._cache = cache
        self._packer = packer
        self._clock_ns = clock_ns
        self._limit_bytes = dirty_limit_bytes
        self._held: dict[int, asyncio.Event] = {}
        self._has_dirty = asyncio.Event()
        self._has_room = asyncio.Event()
        self._early: dict[int, asyncio.Task[None]] = {}
        self._errors: dict[int, TrivetError] = {}
        self._retry_at_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._now_s = asyncio.get_running_loop().time

    def start(self) -> None:
        """Begin to flush in the background."""
        self._task = asyncio.create_task(self._flush_old())

    async def close(self) -> None:
        """End the background work; what is dirty stays dirty."""
        tasks = [task for task in (self._task, *self._early.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def write(self, file: OpenFile, offset: int, data: bytes) -> None:
        """Take `data` in as dirty; wait while there is no room for it, or the body is held still."""
        space = self._space
        size = len(data)
        end = offset + size
        if end > MAX_FILE_BYTES:
            raise FileSystemError(EFBIG)
        if size > _LARGEST_WRITE_BYTES:
            for at in range(0, size, _LARGEST_WRITE_BYTES):
                await self.write(file, offset + at, data[at : at + _LARGEST_WRITE_BYTES])
            return
        if space.dirty.cost_bytes + self._flusher.unacked_bytes + size > self._limit_bytes:
            await self._wait_for_room(size)
        if not size:
            return
        while (held := self._held.get(file.ino)) is not None:
            await held.wait()
        ino = file.ino
        inode = space.inode(ino)
        if end > inode.size and space.quotas:
            space.quotas.grow(ino, end - inode.size)
        grown = space.dirty.write(ino, offset, data, inode.size, self._now_s())
        if end > inode.size:
            inode.size = end
        inode.mtime_ns = inode.ctime_ns = self._clock_ns()
        if grown >= _EARLY_FLUSH_BYTES and ino not in self._early and not self._flusher.is_busy(ino):
            self._flush_early(ino)
        elif not self._has_dirty.is_set():
            self._has_dirty.set()

    async def store(self, ino: int) -> None:
        """See that all that is dirty is noted or acked; what failed before is left to `flush`."""
        await self._flusher.flush(ino)
        self._has_room.set()

    async def flush(self, ino: int) -> None:
        """See that all that is dirty is noted or acked; raise what a flush before this failed with."""
        error = self._errors.pop(ino, None) if self._errors else None
        await self.store(ino)
        if error is not None:
            raise type(error)(*error.args)

    @asynccontextmanager
    async def still(self, *inos: int) -> AsyncIterator[None]:
        """Hold bodies still: what is dirty is stored, then nobody writes, truncates or packs them.

        A body with many page records is packed first, so that what is left of them is little.
        """
        async with AsyncExitStack() as stack:
            for ino in sorted(inos):
                await stack.enter_async_context(self._no_writes(ino))
            for ino in inos:
                await self.store(ino)
                await self._packer.pack_whole(ino)
            for ino in sorted(inos):
                await stack.enter_async_context(self._flusher.alone(ino))
            yield

    @asynccontextmanager
    async def _no_writes(self, ino: int) -> AsyncIterator[None]:
        while (held := self._held.get(ino)) is not None:
            await held.wait()
        event = self._held[ino] = asyncio.Event()
        try:
            yield
        finally:
            del self._held[ino]
            event.set()

    async def resize(self, ino: int, size: int) -> None:
        """Cut or extend a file; what is cut off reads as zeros if it is extended again."""
        if size > MAX_FILE_BYTES:
            raise FileSystemError(EFBIG)
        space = self._space
        inode = space.inode(ino)
        if size > inode.size:
            space.quotas.check_growth(ino, size - inode.size)
        must_wait = size < inode.size and (size % PAGE_BYTES or space.layout.is_large(inode))
        if not must_wait and not self._flusher.is_busy(ino):
            self._resize_now(inode, size, b"")
            return
        async with self._flusher.alone(ino):
            for step in space.layout.cut_steps(space.inode(ino), size):
                self._resize_now(space.inode(ino), step, b"")
                await self._submitter.committed()
            tail = b""
            if size < space.inode(ino).size:
                tail = await self._stored_tail(ino, size)
            self._resize_now(space.inode(ino), size, tail)

    async def _stored_tail(self, ino: int, size: int) -> bytes:
        page, rest = divmod(size, PAGE_BYTES)
        if not rest:
            return b""
        stored = self._reads.stored_page_now(self._space.inode(ino), page)
        if stored is None:
            mib, start = divmod(page * PAGE_BYTES, MIB_BYTES)
            stored = await self._reads.stored(ino, mib, start, start + rest)
        return stored[:rest]

    def _resize_now(self, inode: Inode, size: int, tail: bytes) -> None:
        space = self._space
        ino = inode.ino
        if size < inode.size:
            space.dirty.cut(ino, size)
            page = size // PAGE_BYTES
            space.layout.cut(inode, page if tail else -(-size // PAGE_BYTES), space.changes)
            if tail:
                key = page_key(ino, page)
                space.changes.records[key] = tail
                space.layout.add_page(inode, page)
                self._cache.write(key, tail)
            self._reads.ahead.drop_from(ino, size // MIB_BYTES)
        if space.quotas:
            space.quotas.grown(ino, size - inode.size)
        inode.size = size
        space.touch(ino)

    async def _wait_for_room(self, size: int) -> None:
        deadline = self._now_s() + _ROOM_DEADLINE_S
        while self._space.dirty.cost_bytes + self._flusher.unacked_bytes + size > self._limit_bytes:
            errors = self._errors.values()
            full = next((error for error in errors if isinstance(error, NoSpace)), None)
            if full is not None or self._now_s() > deadline:
                raise NoSpace(str(full)) if full else NoMajority("the banks take no data in")
            self._has_room.clear()
            self._has_dirty.set()
            for ino in list(self._space.dirty)[:_FLUSHES_AT_ONCE]:
                if ino not in self._early and not self._flusher.is_busy(ino) and ino not in self._errors:
                    self._flush_early(ino)
            try:
                async with asyncio.timeout(1.0):
                    await self._has_room.wait()
            except TimeoutError:
                continue

    def _flush_early(self, ino: int) -> None:
        self._early[ino] = asyncio.create_task(self._flush_full_chunks(ino))

    async def _flush_full_chunks(self, ino: int) -> None:
        with self._telling(ino):
            try:
                cost = await self._flusher.flush_full_chunks(ino)
            finally:
                del self._early[ino]
            await self._flusher.acked(cost)

    async def _flush_quietly(self, ino: int) -> None:
        with self._telling(ino):
            await self._flusher.flush(ino)
            await self._submitter.committed()

    @contextmanager
    def _telling(self, ino: int) -> Iterator[None]:
        """Remember what a flush in the background fails with, and wake those who wait for room."""
        try:
            yield
            self._errors.pop(ino, None)
        except TrivetError as error:
            self._retry_at_s = self._now_s() + _RETRY_S
            if ino in self._space.inodes:
                self._errors[ino] = error.with_traceback(None)
        finally:
            self._has_room.set()

    async def _flush_old(self) -> None:
        while True:
            await self._has_dirty.wait()
            await asyncio.sleep(_LOOK_S)
            self._has_dirty.clear()
            self._errors = {ino: error for ino, error in self._errors.items() if ino in self._space.inodes}
            await asyncio.sleep(max(0.0, self._retry_at_s - self._now_s()))
            old = self._space.dirty.older_than(self._now_s() - _OLD_S)
            for at in range(0, len(old), _FLUSHES_AT_ONCE):
                await asyncio.gather(*map(self._flush_quietly, old[at : at + _FLUSHES_AT_ONCE]))
            with suppress(TrivetError):
                await self._packer.pack_scattered()
            if len(self._space.dirty):
                self._has_dirty.set()
