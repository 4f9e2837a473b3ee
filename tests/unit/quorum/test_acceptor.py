"""What an acceptor promises, appends, adopts and refuses."""

import msgspec
import pytest

from trivet.quorum.acceptor import Acceptor
from trivet.quorum.acceptor_commands import (
    AcceptorMeta,
    ApplyThrough,
    DropJournal,
    InstallLog,
    SkipRecords,
    StoreMeta,
    SyncJournal,
    TrimThrough,
    WipeRecords,
    WriteEntries,
)
from trivet.quorum.acceptor_start import start
from trivet.quorum.hash_chain import HashChain
from trivet.wire.entries import GENESIS_HASH, Entry, EntryBody, Epoch, seal_entry
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    Append,
    Appended,
    Assign,
    Identity,
    Refusal,
    Reset,
    Trim,
)

KEY = bytes(32)
E1, E2, E3 = Epoch(1, 1), Epoch(2, 2), Epoch(3, 3)


def entries_of(epoch: Epoch, count: int, after: Entry | None = None) -> list[Entry]:
    made = [] if after is None else [after]
    for _ in range(count):
        slot, previous = (made[-1].slot + 1, made[-1].hash) if made else (1, GENESIS_HASH)
        made.append(seal_entry(KEY, slot, epoch, previous, EntryBody(0)))
    return made if after is None else made[1:]


def voter(count: int = 3, *, applied: int = 0, epoch: Epoch = E1) -> tuple[Acceptor, list[Entry]]:
    entries = entries_of(epoch, count)
    chain = HashChain()
    chain.extend(entries)
    meta = AcceptorMeta("v", 7000, "inc", "boot", "voter", promised=epoch, accepted_epoch=epoch)
    return Acceptor(meta, chain, applied), entries


def append_of(acceptor: Acceptor, *, epoch: Epoch = E1, durable: int = 0, sync: bool = False) -> Append:
    return Append(epoch, acceptor.chain.head, acceptor.chain.head_hash, durable, sync)


def test_promise_is_stored_before_its_reply() -> None:
    acceptor, _ = voter()
    decision = acceptor.on_prepare(E2)
    assert decision.commands == (StoreMeta(acceptor.meta),)
    assert isinstance(decision.reply, Identity)
    assert decision.reply.promised == E2


def test_lower_promise_is_refused_and_names_the_higher() -> None:
    acceptor, _ = voter()
    acceptor.on_prepare(E3)
    for decision in (acceptor.on_prepare(E2), acceptor.on_append(append_of(acceptor), [])):
        assert isinstance(decision.reply, Refusal)
        assert (decision.reply.reason, decision.reply.promised) == ("promised", E3)
        assert decision.commands == ()


def test_of_two_epochs_with_one_number_only_the_first_is_promised() -> None:
    acceptor, _ = voter()
    acceptor.on_prepare(Epoch(2, 5))
    for rival in (Epoch(2, 4), Epoch(2, 6)):
        decision = acceptor.on_prepare(rival)
        assert isinstance(decision.reply, Refusal)
        assert (decision.reply.reason, decision.reply.promised) == ("promised", Epoch(2, 5))
    assert isinstance(acceptor.on_prepare(Epoch(2, 5)).reply, Identity)


def test_log_of_an_epoch_not_promised_is_refused() -> None:
    acceptor, _ = voter()
    decision = acceptor.on_adopt_begin(AdoptBegin(E2, 3, acceptor.chain.head_hash))
    assert isinstance(decision.reply, Refusal)


def test_append_writes_and_syncs() -> None:
    acceptor, entries = voter()
    more = entries_of(E1, 2, entries[-1])
    decision = acceptor.on_append(append_of(acceptor, sync=True), more)
    assert decision.commands == (WriteEntries(more), SyncJournal(5, 0))
    assert decision.reply == Appended(5, more[-1].hash, 5)
    assert acceptor.synced == 3


def test_append_with_a_gap_is_refused_with_the_head() -> None:
    acceptor, entries = voter()
    later = entries_of(E1, 2, entries[-1])[1:]
    decision = acceptor.on_append(Append(E1, 4, later[0].previous_hash, 0, False), later)
    assert isinstance(decision.reply, Refusal)
    assert (decision.reply.reason, decision.reply.head, decision.reply.head_hash) == (
        "gap",
        3,
        entries[-1].hash,
    )


def test_append_of_an_epoch_not_adopted_is_refused() -> None:
    acceptor, entries = voter()
    acceptor.on_prepare(E2)
    decision = acceptor.on_append(append_of(acceptor, epoch=E2), entries_of(E2, 1, entries[-1]))
    assert isinstance(decision.reply, Refusal)
    assert decision.reply.reason == "standing"


def test_records_follow_durable_and_the_own_sync() -> None:
    acceptor, entries = voter()
    more = entries_of(E1, 2, entries[-1])
    decision = acceptor.on_append(append_of(acceptor, durable=5), more)
    assert decision.commands[1:] == (ApplyThrough(3),)
    assert acceptor.on_synced(SyncJournal(5, 0)) == (ApplyThrough(5),)
    assert acceptor.on_synced(SyncJournal(5, 0)) == ()


def test_sync_of_a_log_replaced_meanwhile_counts_for_nothing() -> None:
    acceptor, entries = voter()
    sync = acceptor.on_append(append_of(acceptor, sync=True), entries_of(E1, 3, entries[-1])).commands[-1]
    assert isinstance(sync, SyncJournal)
    acceptor.on_prepare(E2)
    acceptor.on_adopt_begin(AdoptBegin(E2, 3, entries[-1].hash))
    acceptor.on_adopt_part(other := entries_of(E2, 1, entries[-1]))
    acceptor.on_adopt_end(AdoptEnd(4, other[-1].hash))
    acceptor.on_append(append_of(acceptor, epoch=E2), entries_of(E2, 2, other[-1]))
    acceptor.on_synced(sync)
    assert (acceptor.chain.head, acceptor.synced) == (6, 4)


def test_same_log_is_adopted_by_one_meta_write() -> None:
    acceptor, _ = voter()
    acceptor.on_prepare(E2)
    acceptor.on_adopt_begin(AdoptBegin(E2, 3, acceptor.chain.head_hash))
    decision = acceptor.on_adopt_end(AdoptEnd(3, acceptor.chain.head_hash))
    assert decision.commands == (StoreMeta(acceptor.meta),)
    assert acceptor.meta.accepted_epoch == acceptor.meta.promised == E2


def test_tail_is_adopted_and_a_diverging_end_is_dropped() -> None:
    acceptor, entries = voter(5)
    other = entries_of(E2, 4, entries[1])
    acceptor.on_prepare(E3)
    acceptor.on_adopt_begin(AdoptBegin(E3, 2, entries[1].hash))
    acceptor.on_adopt_part(other[:2])
    acceptor.on_adopt_part(other[2:])
    decision = acceptor.on_adopt_end(AdoptEnd(6, other[-1].hash))
    assert decision.commands == (InstallLog(2, acceptor.meta),)
    assert acceptor.chain.joins(2, entries[1].hash)
    assert (acceptor.chain.head, acceptor.chain.head_hash, acceptor.synced) == (6, other[-1].hash, 6)


def test_log_above_the_own_head_skips_records() -> None:
    acceptor, entries = voter(3, applied=3)
    later = entries_of(E1, 10, entries[-1])
    acceptor.on_prepare(E2)
    acceptor.on_adopt_begin(AdoptBegin(E2, 8, later[4].hash))
    acceptor.on_adopt_part(later[5:])
    decision = acceptor.on_adopt_end(AdoptEnd(13, later[-1].hash))
    assert decision.commands == (InstallLog(-1, acceptor.meta), SkipRecords(8))
    assert (acceptor.chain.floor, acceptor.meta.floor, acceptor.applied) == (8, 8, 8)


def test_what_was_durable_before_the_log_came_is_applied_after_it() -> None:
    acceptor, entries = voter(3)
    acceptor.on_append(append_of(acceptor, durable=9), [])
    later = entries_of(E1, 7, entries[-1])
    acceptor.on_adopt_begin(AdoptBegin(E1, 3, entries[-1].hash))
    acceptor.on_adopt_part(later)
    decision = acceptor.on_adopt_end(AdoptEnd(10, later[-1].hash))
    assert decision.commands[-1] == ApplyThrough(9)


def test_log_is_never_shortened_within_its_epoch() -> None:
    acceptor, entries = voter(5)
    acceptor.on_adopt_begin(AdoptBegin(E1, 4, entries[3].hash))
    decision = acceptor.on_adopt_end(AdoptEnd(4, entries[3].hash))
    assert isinstance(decision.reply, Refusal)
    assert acceptor.chain.head == 5


def test_prefix_of_the_announced_log_is_not_taken() -> None:
    acceptor, entries = voter(2)
    more = entries_of(E1, 4, entries[-1])
    acceptor.on_prepare(E2)
    acceptor.on_adopt_begin(AdoptBegin(E2, 2, entries[-1].hash))
    acceptor.on_adopt_part(more[:2])
    assert isinstance(acceptor.on_adopt_end(AdoptEnd(6, more[-1].hash)).reply, Refusal)
    assert (acceptor.meta.accepted_epoch, acceptor.chain.head) == (E1, 2)


def test_log_shorter_than_the_records_is_refused() -> None:
    acceptor, entries = voter(5, applied=4)
    acceptor.on_prepare(E2)
    acceptor.on_adopt_begin(AdoptBegin(E2, 3, entries[2].hash))
    assert isinstance(acceptor.on_adopt_end(AdoptEnd(3, entries[2].hash)).reply, Refusal)


def test_promise_during_an_adoption_stops_it() -> None:
    acceptor, entries = voter(3)
    acceptor.on_prepare(E2)
    acceptor.on_adopt_begin(AdoptBegin(E2, 3, entries[-1].hash))
    acceptor.on_prepare(E3)
    decision = acceptor.on_adopt_end(AdoptEnd(3, entries[-1].hash))
    assert isinstance(decision.reply, Refusal)
    assert decision.reply.promised == E3


def test_reset_forgets_all_and_only_its_incarnation_is_admitted() -> None:
    acceptor, _ = voter()
    acceptor.on_prepare(E2)
    decision = acceptor.on_reset(Reset(E2, 9), "inc2")
    assert decision.commands == (StoreMeta(acceptor.meta), DropJournal(-1), WipeRecords(9))
    assert acceptor.meta.standing == "joining"
    assert isinstance(acceptor.on_admit(Admit("inc2", E2)).reply, Refusal)
    tail = entries_of(E1, 12)
    acceptor.on_adopt_begin(AdoptBegin(E2, 9, tail[8].hash))
    acceptor.on_adopt_part(tail[9:])
    acceptor.on_adopt_end(AdoptEnd(12, tail[-1].hash))
    assert isinstance(acceptor.on_admit(Admit("inc", E2)).reply, Refusal)
    acceptor.on_admit(Admit("inc2", E2))
    assert acceptor.meta.standing == "voter"


def test_trim_keeps_the_last_entry_and_what_is_not_applied() -> None:
    acceptor, entries = voter(5, applied=4)
    decision = acceptor.on_trim(Trim(9))
    assert decision.commands == (StoreMeta(acceptor.meta), TrimThrough(4))
    assert (acceptor.chain.floor, acceptor.chain.floor_hash) == (4, entries[3].hash)
    acceptor.on_applied(5)
    assert acceptor.on_trim(Trim(9)).commands == ()


def test_role_taken_up_is_empty_and_fresh() -> None:
    acceptor, _ = voter()
    assert acceptor.on_assign(Assign(False), "n1").commands == (StoreMeta(acceptor.meta),)
    assert isinstance(acceptor.on_append(append_of(acceptor), []).reply, Refusal)
    acceptor.on_assign(Assign(True), "n2")
    assert (acceptor.meta.standing, acceptor.meta.incarnation) == ("empty", "n2")


@pytest.mark.parametrize(
    ("boot_id", "clean", "damaged", "standing"),
    [
        ("boot", False, False, "voter"),
        ("boot 2", False, False, "suspect"),
        ("boot 2", True, False, "voter"),
        ("boot", True, True, "suspect"),
    ],
)
def test_standing_after_a_restart(boot_id: str, clean: bool, damaged: bool, standing: str) -> None:
    acceptor, _ = voter()
    meta = msgspec.structs.replace(acceptor.meta, clean=clean)
    again, commands = start(meta, acceptor.chain, 0, boot_id, damaged=damaged)
    assert again.meta.standing == standing
    assert commands == (StoreMeta(again.meta),)
    assert not again.meta.clean


def test_failed_sync_is_not_believed_in_the_next_start() -> None:
    acceptor, entries = voter()
    acceptor.on_append(append_of(acceptor), entries_of(E1, 4, entries[-1]))
    (store,) = acceptor.on_sync_failed()
    assert isinstance(store, StoreMeta)
    again, commands = start(store.meta, acceptor.chain, 0, "boot")
    assert commands[0] == DropJournal(3)
    assert (again.meta.standing, again.chain.head) == ("suspect", 3)


def test_journal_shorter_than_the_records_is_suspect() -> None:
    acceptor, _ = voter()
    again, _ = start(acceptor.meta, acceptor.chain, 4, "boot")
    assert again.meta.standing == "suspect"
