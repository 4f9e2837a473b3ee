"""A server's journal whose entries are in a database: kept in memory above the floor, committed in groups.

Rule: an entry counts once the commit that holds it has answered; nothing of it is told before.
Rule: a log that is cut, installed anew or trimmed changes in the database in the step that stores the meta.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trivet.bank.fence import Fence, Held
from trivet.bank.journal_file import Journal
from trivet.bank.journal_format import JournalList
from trivet.bank.overlay import Change, Overlay
from trivet.errors import ConfigError, CorruptReplica
from trivet.quorum.acceptor_commands import AcceptorMeta
from trivet.quorum.hash_chain import HashChain
from trivet.wire.entries import Entry, open_entry

_EVERYTHING = 1 << 62


class JournalInDatabase(Journal):
    """The journal behind `fence`; use `take_in` in place of `open`."""

    def __init__(self, folder: Path, volume_key: bytes, fence: Fence) -> None:
        super().__init__(folder, volume_key)
        self._fence = fence
        self._entries: list[Entry] = []
        self._staged_entries: list[Entry] = []
        self._floor = 0
        self._committed = 0
        self._kept: int | None = None
        self._trimmed: list[Entry] = []

    def take_in(self, held: Held) -> HashChain:
        """Take what the database holds; return its chain. ConfigError for damage: there is no other copy."""
        meta = held.meta
        chain = HashChain(meta.floor, meta.floor_hash)
        for raw in held.entries:
            try:
                entry = open_entry(self._key, raw)
            except CorruptReplica as error:
                raise _damaged(chain.head + 1) from error
            if not chain.follows([entry]):
                raise _damaged(chain.head + 1)
            chain.extend([entry])
            self._entries.append(entry)
        if chain.head != held.head:
            raise _damaged(chain.head + 1)
        self._floor = meta.floor
        self._head, self._head_hash = chain.head, chain.head_hash
        self._committed = chain.head
        return chain

    @property
    def last(self) -> Entry | None:
        """The last entry."""
        return self._entries[-1] if self._entries else None

    def listed(self) -> JournalList:
        """Return the list of files, of which there are none."""
        return JournalList([], 0, self._head, self._head_hash)

    def has_room(self, size: int, *, staged: bool) -> bool:
        """Tell that there is room: the database says when there is none."""
        return True

    def check(self) -> None:
        """Nobody can take files away."""

    @property
    def wants_spare(self) -> bool:
        """Whether `make_spare` should be called."""
        return False

    def append(self, entries: Sequence[Entry]) -> None:
        """Take `entries` behind the last one; they are written with the next commit."""
        self._entries += entries
        self._head, self._head_hash = entries[-1].slot, entries[-1].hash

    def write_mark(self) -> None:
        """The head stands in the fence."""

    def stage_begin(self) -> None:
        """Forget what was staged."""
        self._staged_entries = []

    def stage(self, entries: Sequence[Entry]) -> None:
        """Collect `entries` beside the journal."""
        self._staged_entries += entries

    def install(self, keep_through: int, head: int, head_hash: bytes) -> None:
        """Let the journal be its entries up to `keep_through` and all that was staged."""
        self._entries = [entry for entry in self._entries if entry.slot <= keep_through]
        self._entries += self._staged_entries
        self._staged_entries = []
        kept = min(max(keep_through, self._floor), self._committed)
        self._kept = kept if self._kept is None else min(kept, self._kept)
        self._head, self._head_hash = head, head_hash

    def trim(self, floor: int) -> None:
        """Leave out what is up to `floor`, which the records show."""
        gone = max(floor - self._floor, 0)
        self._trimmed += self._entries[:gone]
        del self._entries[:gone]
        self._floor = max(floor, self._floor)

    def remove_unlisted(self, aside: Path | None = None) -> None:
        """There are no files."""

    def uncommitted(self) -> tuple[int, list[bytes]] | None:
        """Return (slot, entries behind it) for the next commit; None while a new log waits for its meta."""
        if self._kept is not None:
            return None
        return self._committed, self._raws_after(self._committed)

    def committed(self, head: int) -> None:
        """Note that the database holds the entries up to `head`."""
        self._committed = head

    def store(self, meta: AcceptorMeta) -> None:
        """Store `meta` with what has changed of the log; blocks, raises FenceLost."""
        kept, trimmed = self._kept, self._trimmed
        if kept is not None:
            raws = self._raws_after(kept)
            self._fence.store(meta, above=kept, raws=raws)
            self._kept, self._committed = None, kept + len(raws)
        elif trimmed:
            self._fence.store(meta, trimmed=trimmed[-1].slot, changes=_last_changes(trimmed))
            self._trimmed = []
        else:
            self._fence.store(meta)

    def _raws_after(self, slot: int) -> list[bytes]:
        return [entry.raw for entry in self._entries[max(slot - self._floor, 0) :]]

    def read(self, first: int, max_bytes: int) -> bytes:
        """Return the raw entries from `first` on, at most `max_bytes` of them but at least one."""
        chunks: list[bytes] = []
        size = 0
        for raw in self._raws_after(first - 1):
            if chunks and size + len(raw) > max_bytes:
                break
            chunks.append(raw)
            size += len(raw)
        return b"".join(chunks)

    def entries_after(self, slot: int) -> Iterator[Entry]:
        """Yield the entries behind `slot`."""
        yield from self._entries[max(slot - self._floor, 0) :]

    def close(self) -> None:
        """Let go of the database."""
        self._fence.close()


def _damaged(slot: int) -> ConfigError:
    return ConfigError(f"the journal in the database is damaged at slot {slot}: restore the database")


def _last_changes(entries: Sequence[Entry]) -> dict[bytes, Change]:
    overlay = Overlay()
    overlay.begin(entries[0].slot - 1)
    overlay.add(entries)
    return overlay.through(entries[-1].slot, _EVERYTHING)[1]
