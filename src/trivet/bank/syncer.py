"""Syncing: one run at a time, in a thread; whoever asks while one runs waits for the next.

Rule: blobs are synced before the journal that names them.
Rule: after a failed sync nothing this process remembers can be believed: `on_failure` ends it.
Rule: between an fsync and its answer stand one switch to the thread and one back, no task.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from trivet.bank.blob_store import BlobStore
from trivet.bank.journal_file import Journal
from trivet.bank.segment import Segment
from trivet.errors import CorruptReplica
from trivet.io.disk import sync_folder


class Run:
    """What one run syncs, and who waits for it."""

    __slots__ = ("folder", "journal_fds", "safe_bytes", "segments", "waiting")

    def __init__(
        self,
        waiting: list[asyncio.Future[None]],
        segments: list[Segment],
        journal_fds: list[int],
        folder: Path | None,
    ) -> None:
        self.waiting = waiting
        self.segments = segments
        self.safe_bytes = [s.safe_bytes if s.writing else s.written_bytes for s in segments]
        self.journal_fds = journal_fds
        self.folder = folder

    def sync(self) -> None:
        """Sync all of it; blocks."""
        for segment in self.segments:
            os.fdatasync(segment.fd)
        for fd in self.journal_fds:
            os.fdatasync(fd)
        if self.folder is not None:
            sync_folder(self.folder)

    def let_go(self) -> None:
        """Let go of the files."""
        for fd in self.journal_fds:
            os.close(fd)
        for segment in self.segments:
            segment.unpin()


class Syncer:
    """Syncs `blobs` and `journal` in `pool`; `on_failure` is called with what went wrong."""

    def __init__(
        self, blobs: BlobStore, journal: Journal, pool: Executor, on_failure: Callable[[Exception], None]
    ) -> None:
        self._blobs = blobs
        self._journal = journal
        self._pool = pool
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []
        self._journal_too = False
        self._is_running = False

    def sync_blobs(self) -> asyncio.Future[None]:
        """Return the future of a sync of every blob written so far."""
        return self._ask(False)

    def sync_all(self) -> asyncio.Future[None]:
        """Return the future of a sync of every blob and then every entry written so far."""
        return self._ask(True)

    def _ask(self, with_journal: bool) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        self._journal_too |= with_journal
        if not self._is_running:
            self._begin()
        return future

    def _begin(self) -> None:
        """Hand all that is written to the thread, for those who wait now."""
        waiting, self._waiting = self._waiting, []
        journal_too, self._journal_too = self._journal_too, False
        self._is_running = True
        try:
            run = self._make_run(waiting, with_journal=journal_too)
        except (OSError, CorruptReplica) as error:
            self._on_failure(error)
            return
        self._pool.submit(self._in_thread, run)

    def _make_run(self, waiting: list[asyncio.Future[None]], *, with_journal: bool) -> Run:
        journal_fds, folder = self._journal.take_dirty() if with_journal else ([], None)
        return Run(waiting, self._blobs.take_dirty(), journal_fds, folder)

    def _in_thread(self, run: Run) -> None:
        failure = None
        try:
            run.sync()
        except OSError as error:
            failure = error
        self._loop.call_soon_threadsafe(self._ended, run, failure)

    def _ended(self, run: Run, failure: Exception | None) -> None:
        run.let_go()
        self._is_running = False
        if failure is not None:
            self._on_failure(failure)
            return
        for segment, safe_bytes in zip(run.segments, run.safe_bytes, strict=True):
            segment.safe_bytes = safe_bytes
        for future in run.waiting:
            if not future.done():
                future.set_result(None)
        if self._waiting:
            self._begin()
