"""The folder of a server whose journal is in a database and whose blobs are in an object store: a cache.

Rule: what lies here is used again only if this folder's server was the last to write to the volume; else, and
after any failure of the disk, it is removed and made anew from the database and the store.
"""

import functools
import logging
import shutil
from concurrent.futures import Executor
from pathlib import Path

import msgspec

from trivet.bank.blobs_only_away import BlobsOnlyAway, FencedStore
from trivet.bank.committing import Committer, CommittingRequests
from trivet.bank.fence import Fence, Held
from trivet.bank.foreign_store import ForeignStore
from trivet.bank.journal_in_database import JournalInDatabase
from trivet.bank.place import Place
from trivet.bank.record_store import RecordStore
from trivet.bank.record_table import RecordTable
from trivet.io.object_store import plan_of
from trivet.io.volume_folder import write_synced
from trivet.quorum.acceptor_commands import AcceptorMeta
from trivet.quorum.acceptor_start import start

log = logging.getLogger(__name__)

_WHERE = "bodies"


class PlaceInDatabase(Place):
    """The stores of the server on `port` of `volume`, whose blobs are at the URL `blobs`, behind `fence`."""

    def __init__(
        self,
        folder: Path,
        volume: str,
        port: int,
        volume_key: bytes,
        pool: Executor,
        *,
        fence: Fence,
        blobs: str,
    ) -> None:
        self._folder = folder
        self._key = volume_key
        self._fence = fence
        self.make_syncer = functools.partial(Committer, fence=fence)
        self.make_journal_requests = functools.partial(CommittingRequests, fence=fence)
        known = self._tokens()
        self._note_tokens([*known, fence.token])
        held = fence.begin()
        self.journal = self._in_database = JournalInDatabase(folder / "journal", volume_key, fence)
        chain = self._in_database.take_in(held)
        if held.last_token not in known and not fence.lost:
            self._forget_cache()
        self._fill_records(held)
        store = FencedStore(plan_of(blobs), port, fence, pool)
        where = store.below(volume, _WHERE)
        self.blobs = BlobsOnlyAway(folder / "segments", volume_key, pool, store, where, fence)
        self.blobs.open({})
        self._note_tokens([fence.token])
        self.records = RecordStore(self._records_path, volume_key, self.journal.entries_after)
        last = self._in_database.last
        self.records.open(chain.floor, min(last.body.durable if last is not None else 0, chain.head))
        meta = msgspec.structs.replace(held.meta, port=port)
        self.acceptor, _ = start(meta, chain, self.records.applied, meta.boot_id)
        self.foreign = ForeignStore(folder / "foreign.sqlite")

    @property
    def _records_path(self) -> Path:
        return self._folder / "records.sqlite"

    def _tokens(self) -> list[str]:
        """Return the tokens under which what lies here was, or may have been, the newest."""
        try:
            return msgspec.json.decode((self._folder / "tokens.json").read_bytes(), type=list[str])
        except (FileNotFoundError, msgspec.DecodeError):
            return []

    def _note_tokens(self, tokens: list[str]) -> None:
        write_synced(self._folder / "tokens.json", msgspec.json.encode(tokens))

    def _forget_cache(self) -> None:
        self._note_tokens([])
        for path in self._folder.glob("records.sqlite*"):
            path.unlink()
        shutil.rmtree(self._folder / "segments", ignore_errors=True)

    def _fill_records(self, held: Held) -> None:
        """Bring the table to what the database says, unless it is between the journal's floor and head."""
        table = RecordTable(self._records_path, self._key)
        table.open()
        if not max(held.meta.floor, 0) <= table.applied <= held.head and not self._fence.lost:
            self._note_tokens([])
            table.wipe(held.meta.floor)
            for rows in self._fence.rows():
                table.put_rows(rows)
            table.sync()
            log.info("%s records came from the database", table.count)
        table.close()

    def store(self, meta: AcceptorMeta, unsafe_segments: list[tuple[int, int]] | None = None) -> None:
        """Store `meta` with what has changed of the journal, in one step; blocks, raises FenceLost."""
        self._in_database.store(meta)

    def record_failure(self, error: Exception) -> None:
        """Have everything here made anew by the next server: what the disk holds can't be believed."""
        log.critical("a write or a sync failed (%s): what lies here is made anew", error)
        try:
            self._note_tokens([])
        except OSError as again:
            log.critical("that could not even be written down: %s", again)
