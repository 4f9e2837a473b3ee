"""Syncing: one run at a time, in a thread; whoever asks while one runs waits for the next.

Rule: blobs are synced before the journal that names them.
Rule: after a failed sync nothing this process remembers can be believed: `on_failure` ends it.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor

from trivet.bank.blob_store import BlobStore
from trivet.bank.journal_file import Journal
from trivet.errors import CorruptReplica
from trivet.io.disk import sync_folder


class Syncer:
    """Syncs `blobs` and `journal` in `pool`; `on_failure` is called with what went wrong."""

    def __init__(
        self, blobs: BlobStore, journal: Journal, pool: Executor, on_failure: Callable[[Exception], None]
    ) -> None:
        self._blobs = blobs
        self._journal = journal
        self._pool = pool
        self._on_failure = on_failure
        self._waiting: list[tuple[asyncio.Future[None], bool]] = []
        self._running: asyncio.Task[None] | None = None

    def sync_blobs(self) -> asyncio.Future[None]:
        """Return the future of a sync of every blob written so far."""
        return self._ask(False)

    def sync_all(self) -> asyncio.Future[None]:
        """Return the future of a sync of every blob and then every entry written so far."""
        return self._ask(True)

    def _ask(self, with_journal: bool) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((future, with_journal))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._sync(any(with_journal for _, with_journal in waiting))
                for future, _ in waiting:
                    if not future.done():
                        future.set_result(None)
        except (OSError, CorruptReplica) as error:
            self._on_failure(error)
        finally:
            self._running = None

    async def _sync(self, with_journal: bool) -> None:
        segments = self._blobs.take_dirty()
        safe = [s.safe_bytes if s.writing else s.written_bytes for s in segments]
        journal_fds, folder = self._journal.take_dirty() if with_journal else ([], None)

        def in_thread() -> None:
            for segment in segments:
                os.fdatasync(segment.fd)
            for fd in journal_fds:
                os.fdatasync(fd)
            if folder is not None:
                sync_folder(folder)

        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, in_thread)
        finally:
            for fd in journal_fds:
                os.close(fd)
            for segment in segments:
                segment.unpin()
        for segment, safe_bytes in zip(segments, safe, strict=True):
            segment.safe_bytes = safe_bytes
