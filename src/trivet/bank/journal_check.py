"""The scrub of a journal: its files are read again while the server runs, and compared with what was written.

Rule: a few bytes at a time, off the loop, and from the disk, not from what the kernel remembers of it.
Rule: what differs is looked at once more: only what the journal still lists there, unchanged, is damage.
Rule: damage ends the process, as a failed sync does: at its start the server says that its journal is not
whole, and the keeper gives it what it lacks.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from trivet.bank.journal_file import Journal
from trivet.bank.journal_format import HEADER_BYTES, Stretch, change_of, part_path
from trivet.errors import CorruptReplica
from trivet.io.clock import steady_s
from trivet.quorum.acceptor import Acceptor
from trivet.wire.entries import open_entry, split_entries

STEP_BYTES = 64 << 10
PAGE_BYTES = 4096
STEP_PAUSE_S = 0.05
ROUND_S = 10.0


class JournalCheck:
    """Reads the journal of `acceptor` in `folder` again, one round each time somebody begins one.

    `on_damage` is told of what is not there any more, and must end the process; `on_ended` gets the task of
    each round.
    """

    def __init__(
        self, journal: Journal, acceptor: Acceptor, folder: Path, *, volume_key: bytes, pool: Executor,
        on_damage: Callable[[Exception], None], on_ended: Callable[[asyncio.Future[None]], None],
    ) -> None:  # fmt: skip
        self._journal = journal
        self._acceptor = acceptor
        self._folder = folder
        self._key = volume_key
        self._pool = pool
        self._on_damage = on_damage
        self._on_ended = on_ended
        self._began_at = float("-inf")
        self.round: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin a round, unless one is under way or was begun a moment ago."""
        is_busy = self.round is not None and not self.round.done()
        if is_busy or steady_s() - self._began_at < ROUND_S:
            return
        self._began_at = steady_s()
        self.round = asyncio.create_task(self._read_all())
        self.round.add_done_callback(self._on_ended)

    async def stop(self) -> None:
        """End a round that is under way."""
        if self.round is not None:
            self.round.cancel()
            await asyncio.gather(self.round, return_exceptions=True)

    async def _read_all(self) -> None:
        slot = 0
        while (stretch := self._journal.stretch(slot, STEP_BYTES)) is not None:
            if not await self._is_whole(stretch) and stretch == self._journal.stretch(slot, STEP_BYTES):
                again = await self._is_whole(stretch)
                if not again and stretch == self._journal.stretch(slot, STEP_BYTES):
                    where = f"file {stretch.number}, slots {stretch.first} to {stretch.last}"
                    self._on_damage(CorruptReplica(f"the journal is not what was written: {where}"))
                    return
            slot = stretch.last + 1
            await asyncio.sleep(STEP_PAUSE_S)

    async def _is_whole(self, stretch: Stretch) -> bool:
        chain = self._acceptor.chain
        expected = chain.hash_at(stretch.last) if chain.floor <= stretch.last <= chain.head else b""
        read = asyncio.get_running_loop().run_in_executor(self._pool, self._last_hash, stretch)
        last_hash = await read
        return last_hash == expected if expected else last_hash != b""

    def _last_hash(self, stretch: Stretch) -> bytes:
        """Return the hash of the last entry of `stretch` as it is on the disk, b"" if any is not right."""
        try:
            with part_path(self._folder, stretch.number).open("rb", buffering=0) as file:
                begin = 0 if stretch.begin == HEADER_BYTES else stretch.begin
                pages = begin - begin % PAGE_BYTES, stretch.end + PAGE_BYTES - begin
                os.posix_fadvise(file.fileno(), *pages, os.POSIX_FADV_DONTNEED)
                if begin == 0 and change_of(self._key, stretch.number, file.read(HEADER_BYTES)) is None:
                    return b""
                file.seek(stretch.begin)
                data = file.read(stretch.end - stretch.begin)
            slot, last_hash = stretch.first, b""
            for raw in split_entries(data):
                entry = open_entry(self._key, raw)
                if entry.slot != slot or (last_hash and entry.previous_hash != last_hash):
                    return b""
                slot, last_hash = slot + 1, entry.hash
        except (OSError, CorruptReplica):
            return b""
        return last_hash if slot == stretch.last + 1 else b""
