"""Deliberate errors in the protocol: each one breaks a rule of the real code, and must be noticed.

Rule: a mutant is killed by what any run demands, on seeds that were not chosen for it.
"""

from functools import lru_cache, partial
from typing import Any

import msgspec
import pytest

from sim_disk import FOREIGN_KEY, VOLUME_KEY
from sim_keeper_mutants import KEEPER_MUTANTS, Patch
from trivet.errors import CorruptReplica
from trivet.quorum import acceptor_start, election, marks, upkeep
from trivet.quorum.acceptor import Acceptor
from trivet.quorum.acceptor_commands import AcceptorMeta, Decision, DropJournal, StoreMeta
from trivet.quorum.election import Election
from trivet.quorum.hash_chain import HashChain
from trivet.quorum.leader_log import LeaderLog
from trivet.quorum.membership import Config
from trivet.quorum.reign import Reign
from trivet.quorum.seat_moves import ElectionSeats
from trivet.wire import entries
from trivet.wire.entries import seal_entry
from trivet.wire.journal_messages import Append, Identity


def votes_while_empty(patch: pytest.MonkeyPatch) -> None:
    """A server that was wiped votes at once, and nobody looks at its incarnation."""

    def fresh(volume: str, port: int, incarnation: str, boot_id: str, *, acceptor: bool) -> AcceptorMeta:
        meta = acceptor_start.fresh(volume, port, incarnation, boot_id, acceptor=acceptor)
        wiped = acceptor and not incarnation.endswith("-1")
        return msgspec.structs.replace(meta, standing="voter") if wiped else meta

    patch.setattr("sim_server.fresh", fresh)
    patch.setattr(Config, "names", lambda self, bank, incarnation: True)


def votes_with_a_new_boot_id(patch: pytest.MonkeyPatch) -> None:
    """A server whose power was cut is no suspect."""

    def start(meta: Any, *found: Any, damaged: bool, real: Any = acceptor_start.start) -> Any:
        return real(msgspec.structs.replace(meta, clean=True), *found, damaged=damaged)

    patch.setattr("sim_server.start", start)


def acks_at_one_bank(patch: pytest.MonkeyPatch) -> None:
    """One bank is enough."""
    real = marks.Marks.__init__

    def init(self: marks.Marks, banks: Any, start: int) -> None:
        real(self, banks, start)
        self._majority = 1

    patch.setattr(marks.Marks, "__init__", init)


def durable_before_sync(patch: pytest.MonkeyPatch) -> None:
    """What was written counts as synced."""
    real = marks.Marks.holds
    patch.setattr(marks.Marks, "holds", lambda self, bank, head, synced: real(self, bank, head, head))


def durable_without_blobs(patch: pytest.MonkeyPatch) -> None:
    """The journal's sync is taken for the blobs' too, and a bank that lacks them counts."""
    patch.setattr(marks.Marks, "new_blobs", lambda self, slot, missing: None)


def forgets_promises(patch: pytest.MonkeyPatch) -> None:
    """A promise is not stored."""

    def on_prepare(self: Acceptor, epoch: Any, real: Any = Acceptor.on_prepare) -> Decision:
        return Decision((), real(self, epoch).reply)

    patch.setattr(Acceptor, "on_prepare", on_prepare)


def carries_out_lower_epochs(patch: pytest.MonkeyPatch) -> None:
    """A zombie's appends are taken after a higher promise."""

    def on_append(self: Acceptor, message: Append, entries: Any, real: Any = Acceptor.on_append) -> Decision:
        promised = self.meta.promised
        self.meta = msgspec.structs.replace(self.meta, promised=min(promised, message.epoch))
        decision = real(self, message, entries)
        self.meta = msgspec.structs.replace(self.meta, promised=promised)
        return decision

    patch.setattr(Acceptor, "on_append", on_append)


def takes_a_prefix_into_its_epoch(patch: pytest.MonkeyPatch) -> None:
    """The new epoch is accepted with the promise, before the log is there."""

    def on_prepare(self: Acceptor, epoch: Any, real: Any = Acceptor.on_prepare) -> Decision:
        decision = real(self, epoch)
        if isinstance(decision.reply, Identity) and self.meta.standing == "voter":
            self.meta = msgspec.structs.replace(self.meta, accepted_epoch=epoch)
            return Decision((StoreMeta(self.meta),), decision.reply)
        return decision

    patch.setattr(Acceptor, "on_prepare", on_prepare)


def takes_the_shortest_log(patch: pytest.MonkeyPatch) -> None:
    """A takeover ignores entries that only one bank has."""

    def takeover(replies: Any, bank_count: int, *, real: Any = election.takeover, **rules: bool) -> int:
        real(replies, bank_count, **rules)
        voters = [b for b, reply in replies.items() if reply.standing in ("voter", "suspect")]
        return min(voters, key=lambda b: (replies[b].accepted_epoch, replies[b].head))

    patch.setattr(election, "takeover", takeover)


def admits_without_config(patch: pytest.MonkeyPatch) -> None:
    """A refilled server votes before the other banks know its incarnation, and no incarnation is checked."""

    def admissions(self: Reign, now: float, real: Any = Reign.admissions) -> Any:
        for follower in self.followers.values():
            if follower.admit_after:
                follower.admit_after = -1
        return real(self, now)

    patch.setattr(Reign, "admissions", admissions)
    patch.setattr(ElectionSeats, "unseat", lambda self, config, now, *, given_up: None)


def applies_before_durable(patch: pytest.MonkeyPatch) -> None:
    """Records show what only one bank may have."""

    def on_append(self: Acceptor, message: Append, entries: Any, real: Any = Acceptor.on_append) -> Decision:
        message = msgspec.structs.replace(message, durable=message.previous + len(entries))
        self.synced = max(self.synced, self.chain.head + len(entries))
        return real(self, message, entries)

    patch.setattr(Acceptor, "on_append", on_append)


def trims_what_is_not_applied(patch: pytest.MonkeyPatch) -> None:
    """The log is trimmed to what is durable."""
    patch.setattr(
        upkeep, "trim_floor", lambda applied, count, keep_from, durable: min(keep_from - 1, durable)
    )
    real = Acceptor.on_trim

    def on_trim(self: Acceptor, message: Any) -> Decision:
        self.applied = max(self.applied, min(message.floor, self.chain.head - 1))
        return real(self, message)

    patch.setattr(Acceptor, "on_trim", on_trim)


def takes_what_is_there_first(patch: pytest.MonkeyPatch) -> None:
    """Put-if-absent as commit: whoever fills a slot first wins it, whatever the epoch it was filled in."""

    def takeover(replies: Any, bank_count: int, *, real: Any = election.takeover, **rules: bool) -> int:
        real(replies, bank_count, **rules)
        voters = [b for b, reply in replies.items() if reply.standing in ("voter", "suspect")]
        return max(voters, key=lambda b: (replies[b].head, -b))

    patch.setattr(election, "takeover", takeover)
    carries_out_lower_epochs(patch)


def opens_trimmed_slots_again(patch: pytest.MonkeyPatch) -> None:
    """A trimmed log begins at its first slot again."""

    def on_trim(self: Acceptor, message: Any, real: Any = Acceptor.on_trim) -> Decision:
        decision = real(self, message)
        if not decision.commands:
            return decision
        self.chain = HashChain()
        self.synced = self.applied = 0
        self.meta = msgspec.structs.replace(self.meta, floor=0, floor_hash=self.chain.floor_hash)
        return Decision((StoreMeta(self.meta), DropJournal(-1)), self.identity())

    patch.setattr(Acceptor, "on_trim", on_trim)


def accepts_a_rollback(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks at what was durable before."""
    patch.setattr(election, "refuse_rollback", lambda *_: None)


def takes_a_torn_tail_for_the_end(patch: pytest.MonkeyPatch) -> None:
    """What can't be read at the end of a journal was never there."""

    def start(*args: Any, damaged: bool = False, real: Any = acceptor_start.start) -> Any:
        return real(*args)

    patch.setattr("sim_server.start", start)


def signs_adopted_entries_again(patch: pytest.MonkeyPatch) -> None:
    """A takeover makes the last entry its own."""

    def have_log(self: Election, now: float, real: Any = Election._have_log) -> Any:
        log: LeaderLog = self.log
        if log.entries:
            last = log.entries.pop()
            log.add(seal_entry(VOLUME_KEY, last.slot, self._epoch, last.previous_hash, last.body))
        return real(self, now)

    patch.setattr(Election, "_have_log", have_log)


def adopts_foreign_entries(patch: pytest.MonkeyPatch) -> None:
    """An entry counts whoever made it."""

    def open_any(key: bytes, raw: bytes, real: Any = entries.open_entry) -> entries.Entry:
        try:
            return real(key, raw)
        except CorruptReplica:
            return real(FOREIGN_KEY, raw)

    opened = lru_cache(maxsize=4096)(partial(open_any, VOLUME_KEY))
    patch.setattr(election, "open_entry", open_any)
    for room in ("sim_disk", "sim_server"):
        patch.setattr(f"{room}.opened", opened)


MUTANTS: tuple[Patch, ...] = (
    votes_while_empty, votes_with_a_new_boot_id, acks_at_one_bank, durable_before_sync,
    durable_without_blobs, forgets_promises, carries_out_lower_epochs,
    takes_a_prefix_into_its_epoch, takes_the_shortest_log, admits_without_config,
    applies_before_durable, trims_what_is_not_applied, takes_what_is_there_first,
    opens_trimmed_slots_again, accepts_a_rollback, takes_a_torn_tail_for_the_end,
    signs_adopted_entries_again, adopts_foreign_entries, *KEEPER_MUTANTS,
)  # fmt: skip
