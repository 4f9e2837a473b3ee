"""A server's own folder: opened by one process at a time, its stores brought to what they were.

Rule: whatever is found damaged makes the server less than it was (suspect, empty, without some copies), never
a process that can't start.
"""

import contextlib
import fcntl
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TextIO

from trivet.bank.blob_store import BlobStore
from trivet.bank.foreign_store import ForeignStore
from trivet.bank.journal_file import Journal
from trivet.bank.journal_requests import JournalRequests, mint_incarnation
from trivet.bank.object_blobs import store_used
from trivet.bank.object_upkeep import TendedBlobs
from trivet.bank.record_store import RecordStore
from trivet.bank.state_file import ServerState, load_state, store_state
from trivet.bank.syncer import Syncer
from trivet.errors import ConfigError
from trivet.io.disk import boot_id
from trivet.io.object_store import ObjectStore, plan_of
from trivet.quorum.acceptor_commands import AcceptorMeta
from trivet.quorum.acceptor_start import fresh, start

log = logging.getLogger(__name__)


def lock_folder(folder: Path) -> TextIO:
    """Return the open lock of a server's folder, made if need be; ConfigError if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ConfigError(
            f"another server works on {folder}; stop it first, or use another --state"
        ) from error
    return lock


def store_of(folder: Path, url: str | None, base: int) -> ObjectStore | None:
    """Return the store at `url`, or the one that a server's folder says it used; None for neither.

    Raises ConfigError when the two are not the same place.
    """
    used = store_used(folder / "segments")
    if url is None and used is None:
        return None
    store = ObjectStore(plan_of(url or used or ""), base)
    if used is not None and not plan_of(used).is_same_place(store.plan):
        raise ConfigError(
            f"the blobs of this server are in {used}: move them there, or name that with --blobs"
        )
    return store


class Place:
    """The stores of the server on `port` of `volume`, opened; blobs go to `store` if there is one."""

    make_syncer: Callable[..., Syncer] = Syncer
    make_journal_requests: Callable[..., JournalRequests] = JournalRequests

    def __init__(
        self,
        folder: Path,
        volume: str,
        port: int,
        volume_key: bytes,
        pool: Executor,
        *,
        first: bool,
        store: ObjectStore | None = None,
    ) -> None:
        self._folder = folder
        self._key = volume_key
        boot = boot_id()
        state = load_state(self._state_path, volume_key, volume, port)
        if state is None:
            self._set_aside_journal()
            state = ServerState(fresh(volume, port, mint_incarnation(), boot, acceptor=first))
        meta = state.acceptor
        segments = folder / "segments"
        self.blobs = BlobStore(segments, volume_key, pool)
        if store is not None:
            self.blobs = TendedBlobs(segments, volume_key, pool, store, store.below(volume, str(port)))
        self.blobs.open(dict(state.segments))
        self.journal = Journal(folder / "journal", volume_key)
        scan = self.journal.open(state.journal, meta.floor, meta.floor_hash)
        chain = scan.chain
        if 0 <= meta.trusted < chain.head:
            cut = max(meta.trusted, chain.floor)
            self.journal.install(cut, cut, chain.hash_at(cut))
        self.records = RecordStore(folder / "records.sqlite", volume_key, self.journal.entries_after)
        through = scan.last.body.durable if scan.last is not None else 0
        self.records.open(chain.floor, min(through, chain.head))
        self.acceptor, _ = start(meta, chain, self.records.applied, boot, damaged=scan.damaged)
        self.store(self.acceptor.meta)
        self.journal.write_mark()
        if scan.damaged:
            _remove(self._aside_path)
        self.journal.remove_unlisted(self._aside_path if scan.damaged else None)
        if self.acceptor.meta.standing != "blobs":
            with contextlib.suppress(OSError):  # a full disk; the server tries again
                self.journal.make_spare()
        self.foreign = ForeignStore(folder / "foreign.sqlite")
        if self.acceptor.meta.standing != meta.standing or scan.damaged:
            log.error("the journal is not what it was: this server is %s", self.acceptor.meta.standing)

    @property
    def _state_path(self) -> Path:
        return self._folder / "state"

    @property
    def _aside_path(self) -> Path:
        return self._folder / "journal.aside"

    def _set_aside_journal(self) -> None:
        """Move a journal that no state speaks of out of the way, in place of the one moved before."""
        journal, aside = self._folder / "journal", self._aside_path
        if journal.exists():
            _remove(aside)
            journal.rename(aside)

    def store(self, meta: AcceptorMeta, unsafe_segments: list[tuple[int, int]] | None = None) -> None:
        """Store `meta` with the list of the journal's files, in one synced step; blocks."""
        state = ServerState(meta, self.journal.listed(), unsafe_segments or [])
        store_state(self._state_path, self._key, state)

    def record_failure(self, error: Exception) -> None:
        """Write down, as well as the disk allows, that what was not synced can't be believed."""
        log.critical("a write or a sync failed (%s): what was not synced counts as lost", error)
        self.acceptor.on_sync_failed()
        try:
            self.store(self.acceptor.meta, self.blobs.unsafe())
        except OSError as again:
            log.critical("that could not even be written down: %s", again)

    def close(self) -> None:
        """Close what is still open; everything is synced already."""
        self.blobs.close()
        self.journal.close()
        self.foreign.close()


def _remove(folder: Path) -> None:
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
