"""The journal requests of a server whose journal is in a database: everything waits for its commit.

Rule: an append is answered once it is committed, a heartbeat once the fence was found to stand.
Rule: a server that lost the fence refuses everything, and names the epoch of who has it, so that its keeper
ends its reign; the only copy is never begun anew.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from trivet.bank.blob_store import BlobStore
from trivet.bank.fence import Fence, FenceLost
from trivet.bank.journal_in_database import JournalInDatabase
from trivet.bank.journal_requests import JournalRequests, Result
from trivet.bank.syncer import Run, Syncer
from trivet.errors import TrivetError
from trivet.io.link import Body, HandlerResult
from trivet.quorum.acceptor_commands import Decision, SyncJournal
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Append,
    Assign,
    BankMessage,
    Prepare,
    ReadLog,
    Refusal,
    Reset,
    Trim,
)

_OF_THE_LOG = (Admit, AdoptBegin, AdoptEnd, AdoptPart, Append, Assign, Prepare, ReadLog, Reset, Trim)


class _Commit(Run):
    """One commit of all that waits."""

    __slots__ = ("after", "fence", "raws")

    def __init__(
        self,
        waiting: list[asyncio.Future[None]],
        fence: Fence,
        entries: tuple[int, list[bytes]] | None,
    ) -> None:
        super().__init__(waiting, [], [], None)
        self.fence = fence
        self.after, self.raws = entries if entries is not None else (-1, [])

    def sync(self) -> None:
        if self.after >= 0:
            self.fence.commit(self.after, self.raws)


class Committer(Syncer):
    """Commits the journal, and syncs blobs apart from that; a lost fence fails who waits with FenceLost."""

    def __init__(
        self, blobs: BlobStore, journal: JournalInDatabase, *rest: Any, fence: Fence, **named: Any
    ) -> None:
        super().__init__(blobs, journal, *rest, **named)
        self._in_database = journal
        self._for_blobs = Syncer(blobs, journal, *rest, **named)
        self._fence = fence

    def sync_blobs(self) -> asyncio.Future[None]:
        """Return the future of a sync of every blob written so far; no commit is waited for."""
        return self._for_blobs.sync_blobs()

    def _make_run(self, waiting: list[asyncio.Future[None]], *, with_journal: bool) -> Run:
        return _Commit(waiting, self._fence, self._in_database.uncommitted())

    def _in_thread(self, run: Run) -> None:
        failure: Exception | None = None
        try:
            run.sync()
        except (OSError, TrivetError) as error:
            failure = error
        self._loop.call_soon_threadsafe(self._ended, run, failure)

    def _ended(self, run: Run, failure: Exception | None) -> None:
        assert isinstance(run, _Commit)
        if isinstance(failure, FenceLost):
            for future in run.waiting:
                if not future.done():
                    future.set_exception(failure)
            run.waiting.clear()
            failure = None
        elif failure is None and run.after >= 0:
            self._in_database.committed(run.after + len(run.raws))
        super()._ended(run, failure)


class CommittingRequests(JournalRequests):
    """Answers the journal half for the holder of `fence`."""

    def __init__(self, *arguments: Any, fence: Fence, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._fence = fence

    def handle(self, message: BankMessage, body: Body) -> Result | None:
        """Return the reply (or what it waits for) to a journal request, None if `message` is none."""
        if not isinstance(message, _OF_THE_LOG):
            return super().handle(message, body)
        if self._fence.lost:
            return self._refuse_as_lost(isinstance(message, Prepare))
        if isinstance(message, Reset | Assign):
            return self._refuse("standing", "the only copy of a volume is not begun anew")
        if isinstance(message, Append):
            message = msgspec.structs.replace(message, sync=True)
        return super().handle(message, body)

    def _refuse_as_lost(self, is_asked_to_promise: bool) -> Refusal:
        """Refuse; a keeper that is only about to begin is not deposed again and again, it waits."""
        refusal = self._refuse("failed" if is_asked_to_promise else "promised", self._fence.lost)
        return msgspec.structs.replace(refusal, promised=self._fence.promised)

    def _reply_synced(self, syncing: asyncio.Future[None], decision: Decision) -> Result:
        answer: asyncio.Future[HandlerResult] = syncing.get_loop().create_future()

        def finish(ended: asyncio.Future[None]) -> None:
            done = decision.commands[-1]
            assert isinstance(done, SyncJournal), "a sync stands last"
            is_lost = ended.exception() is not None
            if not is_lost:
                self._carry_out_now(self.acceptor.on_synced(done))
            if not answer.done():  # its peer may have gone away
                answer.set_result(self._refuse_as_lost(False) if is_lost else decision.reply)

        syncing.add_done_callback(finish)
        return answer

    async def stop(self) -> None:
        """Wait for what is under way and store that the stop was clean, if that is ours to say."""
        with contextlib.suppress(FenceLost):
            await super().stop()

    async def _take_turn(self, work: Callable[[], Awaitable[HandlerResult]]) -> HandlerResult:
        try:
            return await super()._take_turn(work)
        except FenceLost:
            return self._refuse_as_lost(False)
