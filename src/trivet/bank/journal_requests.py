"""The vote and the journal of one server: decides by the acceptor, carries out what it commands.

Rule: decisions are taken in the order of the requests; their commands are carried out in that order too.
Rule: appends are carried out at once; whatever replaces the stored state waits its turn and holds up what
comes behind it.
Rule: a command that fails ends the process (`on_failure`); nothing is answered any more.
"""

import asyncio
import errno
import os
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

from trivet.bank.journal_file import Journal
from trivet.bank.record_store import RecordStore
from trivet.bank.syncer import Syncer
from trivet.errors import CorruptReplica, NoSpace
from trivet.io.link import Body, HandlerResult
from trivet.quorum.acceptor import Acceptor
from trivet.quorum.acceptor_commands import (
    AcceptorCommand,
    AcceptorMeta,
    ApplyThrough,
    Decision,
    DropJournal,
    InstallLog,
    SkipRecords,
    StageBegin,
    StageEntries,
    StoreMeta,
    SyncJournal,
    TrimThrough,
    WipeRecords,
    WriteEntries,
)
from trivet.wire.entries import open_entry, split_entries
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Append,
    Assign,
    BankMessage,
    Done,
    LogPart,
    Prepare,
    ReadLog,
    Refusal,
    Reset,
    Trim,
)

_AT_ONCE = frozenset((WriteEntries, SyncJournal, ApplyThrough, StageBegin, StageEntries))
UNAPPLIED_BYTES = 256 << 20
_READ_BYTES = 16 << 20
_T = TypeVar("_T")
Result = HandlerResult | Awaitable[HandlerResult]


class JournalRequests:
    """Answers the journal half of the protocol; `store_meta` writes (meta, journal list) and blocks."""

    def __init__(
        self,
        acceptor: Acceptor,
        journal: Journal,
        records: RecordStore,
        syncer: Syncer,
        *,
        volume_key: bytes,
        pool: Executor,
        store_meta: Callable[[AcceptorMeta], None],
        on_failure: Callable[[Exception], None],
        on_ended: Callable[[asyncio.Future[HandlerResult]], None],
    ) -> None:
        self.acceptor = acceptor
        self._journal = journal
        self._records = records
        self._syncer = syncer
        self._key = volume_key
        self._pool = pool
        self._store_meta = store_meta
        self._on_failure = on_failure
        self._on_ended = on_ended
        self._turn = asyncio.Lock()
        self._slow: set[asyncio.Task[HandlerResult]] = set()
        self._mark_asked = False
        records.on_applied = acceptor.on_applied
        self._decide: dict[type[BankMessage], Callable[..., Decision]] = {
            Prepare: lambda message: acceptor.on_prepare(message.epoch),
            AdoptBegin: acceptor.on_adopt_begin,
            AdoptEnd: acceptor.on_adopt_end,
            Admit: acceptor.on_admit,
            Reset: lambda message: acceptor.on_reset(message, mint_incarnation()),
            Assign: lambda message: acceptor.on_assign(message, mint_incarnation()),
        }

    def handle(self, message: BankMessage, body: Body) -> Result | None:
        """Return the reply (or what it waits for) to a journal request, None if `message` is none."""
        if isinstance(message, Append | AdoptPart):
            return self._take_entries(message, bytes(body))
        if isinstance(message, Trim):
            return self._trim(message)
        if isinstance(message, ReadLog):
            return self._in_turn(lambda: self._read_log(message))
        decide = self._decide.get(type(message))
        if decide is None:
            return None
        return self._carry_out(decide(message))

    def _take_entries(self, message: Append | AdoptPart, body: bytes) -> Result:
        try:
            raws = split_entries(body)
            if sum(map(len, raws)) != len(body):
                raise CorruptReplica("the entries are cut short")
            entries = [open_entry(self._key, raw) for raw in raws]
        except CorruptReplica as error:
            return self._refuse("request", str(error))
        if entries and not self._has_room(len(body), staged=isinstance(message, AdoptPart)):
            return self._refuse("space", "the disk is full: no room for the journal")
        if self._records.unapplied_bytes > UNAPPLIED_BYTES:
            return self._refuse("space", "too much is waiting for the durable mark")
        if isinstance(message, Append):
            return self._carry_out(self.acceptor.on_append(message, entries))
        return self._carry_out(self.acceptor.on_adopt_part(entries))

    def _has_room(self, size: int, *, staged: bool) -> bool:
        try:
            if not self._journal.has_room(size, staged=staged):
                self._journal.make_spare()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return False
            self._on_failure(error)
            raise
        return True

    def _refuse(self, reason: str, message: str) -> Refusal:
        acceptor = self.acceptor
        chain = acceptor.chain
        return Refusal(reason, message, acceptor.meta.promised, chain.head, chain.head_hash)  # type: ignore[arg-type]

    def _carry_out(self, decision: Decision) -> Result:
        if self._slow or not _AT_ONCE.issuperset(map(type, decision.commands)):
            return self._in_turn(lambda: self._carry_out_slowly(decision))
        syncing = self._carry_out_now(decision.commands)
        return decision.reply if syncing is None else self._reply_synced(syncing, decision)

    def _carry_out_now(self, commands: tuple[AcceptorCommand, ...]) -> asyncio.Future[None] | None:
        syncing = None
        try:
            for command in commands:
                if isinstance(command, WriteEntries):
                    self._journal.append(command.entries)
                    self._records.add(command.entries)
                    if not self._mark_asked:
                        self._mark_asked = True
                        asyncio.get_running_loop().call_soon(self._write_mark)
                elif isinstance(command, ApplyThrough):
                    self._records.allow(command.slot)
                elif isinstance(command, SyncJournal):
                    syncing = self._syncer.sync_all()
                elif isinstance(command, StageBegin):
                    self._journal.stage_begin()
                elif isinstance(command, StageEntries):
                    self._journal.stage(command.entries)
        except OSError as error:
            self._on_failure(error)
            raise
        return syncing

    def _write_mark(self) -> None:
        """Follow the appends of one turn of the loop, once and behind their replies."""
        self._mark_asked = False
        try:
            self._journal.write_mark()
        except OSError as error:
            self._on_failure(error)
            raise

    def _reply_synced(self, syncing: asyncio.Future[None], decision: Decision) -> Result:
        answer: asyncio.Future[HandlerResult] = syncing.get_loop().create_future()

        def finish(_: asyncio.Future[None]) -> None:
            done = decision.commands[-1]
            assert isinstance(done, SyncJournal), "a sync stands last"
            self._carry_out_now(self.acceptor.on_synced(done))
            if not answer.done():  # its peer may have gone away
                answer.set_result(decision.reply)

        syncing.add_done_callback(finish)
        return answer

    def _in_turn(self, work: Callable[[], Awaitable[HandlerResult]]) -> Awaitable[HandlerResult]:
        """Begin `work` once everything slow before it is done; it ends even if the peer goes away."""
        task = asyncio.get_running_loop().create_task(self._take_turn(work))
        self._slow.add(task)
        task.add_done_callback(self._slow.discard)
        task.add_done_callback(self._on_ended)
        return asyncio.shield(task)

    async def _take_turn(self, work: Callable[[], Awaitable[HandlerResult]]) -> HandlerResult:
        async with self._turn:
            try:
                return await work()
            except NoSpace as error:
                return self._refuse("space", str(error))
            except (OSError, sqlite3.Error, CorruptReplica) as error:
                self._on_failure(error)
                raise

    async def _carry_out_slowly(self, decision: Decision) -> HandlerResult:
        """Carry out commands among which one replaces the stored state.

        What changes the journal's list is done in memory first, so that StoreMeta stores both in one step;
        files go, and records change, only after it.
        """
        commands = decision.commands
        syncing = self._carry_out_now(commands)
        if syncing is not None:
            await syncing
        metas = [command.meta for command in commands if isinstance(command, StoreMeta | InstallLog)]
        changes_files = self._change_list(commands)
        if metas:
            if changes_files:
                await self._syncer.sync_all()
            await self._run(lambda: self._store_meta(metas[-1]))
        if changes_files:
            self._journal.write_mark()
            await self._run(self._journal.remove_unlisted)
        for command in commands:
            if isinstance(command, WipeRecords):
                await self._records.wipe(command.applied)
            elif isinstance(command, SkipRecords):
                await self._records.skip_to(command.applied)
            elif isinstance(command, InstallLog):
                await self._records.replace_tail()
            elif isinstance(command, SyncJournal):
                self._carry_out_now(self.acceptor.on_synced(command))
        return decision.reply

    def _change_list(self, commands: tuple[AcceptorCommand, ...]) -> bool:
        changed = False
        for command in commands:
            chain = self.acceptor.chain
            if isinstance(command, InstallLog):
                self._journal.install(command.keep_through, chain.head, chain.head_hash)
            elif isinstance(command, DropJournal):
                self._journal.stage_begin()
                self._journal.install(command.above, chain.head, chain.head_hash)
            elif isinstance(command, TrimThrough):
                self._journal.trim(command.floor)
            else:
                continue
            changed = True
        return changed

    async def _trim(self, message: Trim) -> HandlerResult:
        """Sync the records first, and without holding up the appends that come behind."""
        applied = self._records.applied
        try:
            await self._records.sync()
        except NoSpace as error:
            return self._refuse("space", str(error))
        except sqlite3.Error as error:
            self._on_failure(error)
            raise
        answer = self._carry_out(self.acceptor.on_trim(Trim(min(message.floor, applied))))
        return await answer if isinstance(answer, Awaitable) else answer

    async def _read_log(self, message: ReadLog) -> HandlerResult:
        chain = self.acceptor.chain
        if not chain.floor < message.first <= chain.head + 1:
            return self._refuse("gap", f"slot {message.first} is not in this journal")
        raw = await self._run(lambda: self._journal.read(message.first, min(message.max_bytes, _READ_BYTES)))
        for entry in split_entries(raw):
            open_entry(self._key, entry)  # a damaged entry must not pass for the end of the log
        return LogPart(chain.head), raw

    async def make_room(self) -> None:
        """Make the journal file ahead if this server keeps a journal; OSError when the disk is full."""
        if self._journal.wants_spare and self.acceptor.meta.standing != "blobs":
            await self._run(self._journal.make_spare)

    async def stop(self) -> None:
        """Wait for what is under way, sync everything and store that the stop was clean."""
        await asyncio.gather(*self._slow, return_exceptions=True)
        await self._carry_out_slowly(Decision(self.acceptor.on_stop(), Done()))

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def mint_incarnation() -> str:
    """Return a name for a store that was just emptied, which no other ever had."""
    return os.urandom(8).hex()
