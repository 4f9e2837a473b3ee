"""A server's folder broken between two starts: it comes back as less than it was, never as wrong."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bank_in_process import BankInProcess
from bank_process import Keeper
from file_damage import cut, drop, empty, flip, garbage
from trivet.bank.journal_format import HEADER_BYTES
from trivet.errors import ConfigError
from trivet.wire.bank_messages import (
    BlobNames,
    GetBlob,
    ListBlobs,
)
from trivet.wire.entries import Epoch, RecordOp, split_entries
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Identity,
    Prepare,
    ReadLog,
)

ENTRIES = 40
KEYS = [b"i/%03d" % number for number in range(ENTRIES)]


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[BankInProcess]:
    bank = BankInProcess(tmp_path)
    await bank.open()
    yield bank
    await bank.crash()
    assert bank.failures == []


@pytest.fixture
async def keeper(bank: BankInProcess) -> Keeper:
    keeper = Keeper(bank, bank, Epoch(1, 1))
    await keeper.form()
    for number, key in enumerate(KEYS):
        await keeper.append([RecordOp(key, 0, b"value %d" % number)])
    return keeper


def journal_file(bank: BankInProcess) -> Path:
    [path] = (bank.own / "journal").glob("*.log")
    return path


def places_of_entries(path: Path) -> list[int]:
    raws = split_entries(path.read_bytes()[HEADER_BYTES:])
    places = [HEADER_BYTES]
    for raw in raws:
        places.append(places[-1] + len(raw))
    return places


async def whole_log(keeper: Keeper) -> bytes:
    _, body = await keeper.link.request(ReadLog(1, 16 << 20))
    return bytes(body)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("slot", [1, 20, ENTRIES])
async def test_a_flipped_entry_makes_a_suspect_that_the_missing_tail_cures(
    bank: BankInProcess, keeper: Keeper, clean: bool, slot: int
) -> None:
    log = split_entries(await whole_log(keeper))
    await (bank.stop() if clean else bank.crash())
    flip(journal_file(bank), places_of_entries(journal_file(bank))[slot - 1] + 30)
    await bank.open()
    identity = await keeper.identity()
    assert (identity.standing, identity.head) == ("suspect", slot - 1)
    new = Epoch(2, 2)
    await keeper.ask(Prepare(new))
    await keeper.ask(AdoptBegin(new, identity.head, identity.head_hash))
    await keeper.ask(AdoptPart(), b"".join(log[slot - 1 :]))
    await keeper.ask(AdoptEnd(keeper.head, keeper.head_hash))
    cured = await keeper.ask(Admit(identity.incarnation, new))
    assert isinstance(cured, Identity)
    assert (cured.standing, cured.head) == ("voter", ENTRIES)
    await bank.crash()
    await bank.open()
    assert (await keeper.identity()).head == ENTRIES
    assert await whole_log(keeper) == b"".join(log)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("damage", [drop, cut, empty, garbage])
async def test_a_journal_file_that_is_gone_makes_a_suspect(
    bank: BankInProcess, keeper: Keeper, clean: bool, damage: Callable[[Path], None]
) -> None:
    await (bank.stop() if clean else bank.crash())
    damage(journal_file(bank))
    await bank.open()
    identity = await keeper.identity()
    assert identity.standing == "suspect"
    assert identity.head < 10


async def test_a_torn_last_entry_that_nobody_was_answered_for_is_dropped(
    bank: BankInProcess, keeper: Keeper
) -> None:
    _, raw = keeper.seal([RecordOp(b"i/torn", 0, b"never acknowledged")])
    await bank.crash()
    path = journal_file(bank)
    with path.open("r+b") as file:
        file.seek(places_of_entries(path)[-1])
        file.write(raw[:-5])
    await bank.open()
    identity = await keeper.identity()
    assert (identity.standing, identity.head) == ("voter", ENTRIES)


async def test_a_journal_rolled_back_alone_is_noticed(bank: BankInProcess, keeper: Keeper) -> None:
    await bank.stop()
    old = journal_file(bank).read_bytes()
    await bank.open()
    await keeper.append([RecordOp(b"i/later", 0, b"x")])
    await bank.crash()
    journal_file(bank).write_bytes(old)
    await bank.open()
    assert (await keeper.identity()).standing == "suspect"


async def test_a_reboot_without_a_clean_stop_makes_a_suspect(
    bank: BankInProcess, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bank.crash()
    monkeypatch.setattr("trivet.bank.place.boot_id", lambda: "another boot")
    await bank.open()
    identity = await keeper.identity()
    assert (identity.standing, identity.head, identity.boot_id) == ("suspect", ENTRIES, "another boot")


async def test_a_reboot_after_a_clean_stop_keeps_the_vote(
    bank: BankInProcess, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bank.stop()
    monkeypatch.setattr("trivet.bank.place.boot_id", lambda: "another boot")
    await bank.open()
    assert (await keeper.identity()).standing == "voter"


@pytest.mark.parametrize("damage", [drop, cut, empty, garbage])
async def test_a_damaged_state_makes_an_empty_server_of_a_new_incarnation(
    bank: BankInProcess, keeper: Keeper, damage: Callable[[Path], None]
) -> None:
    before = await keeper.identity()
    await keeper.put_blob(5, b"still here")
    await bank.stop()
    damage(bank.own / "state")
    await bank.open()
    identity = await keeper.identity()
    assert (identity.standing, identity.head) == ("empty", 0)
    assert identity.incarnation != before.incarnation
    assert bytes((await bank.request(GetBlob(5, 0, 10)))[1]) == b"still here"
    aside = bank.own / "journal.aside"
    assert any(aside.glob("*.log"))
    keeper.head, keeper.head_hash = 0, bytes(32)
    await keeper.form()


async def test_another_servers_state_is_not_taken_for_its_own(tmp_path: Path, keeper: Keeper) -> None:
    other = BankInProcess(tmp_path, 8000)
    await other.open()
    await other.stop()
    await keeper.server.stop()
    shutil.copy(keeper.server.own / "state", other.own / "state")
    await other.open()
    await keeper.server.open()
    other_keeper = Keeper(other, other, Epoch(1, 1))
    assert (await other_keeper.identity()).standing == "empty"
    await other.stop()


async def test_a_second_process_on_one_folder_is_refused(bank: BankInProcess, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another server works on"):
        await BankInProcess(tmp_path).open()


async def test_a_failed_sync_counts_what_was_not_synced_as_lost(bank: BankInProcess, keeper: Keeper) -> None:
    await keeper.put_blob(1, b"synced")
    await keeper.append([RecordOp(b"i/synced", 0, b"x")], sync=True)
    await keeper.put_blob(2, b"not synced")
    await keeper.append([RecordOp(b"i/lost", 0, b"x")])
    bank.place.record_failure(OSError("a sync failed"))
    await bank.crash()
    await bank.open()
    identity = await keeper.identity()
    assert (identity.standing, identity.head) == ("suspect", ENTRIES + 1)
    listed = await keeper.ask(ListBlobs(0, 10))
    assert isinstance(listed, BlobNames)
    assert [name for name, _, _ in listed.blobs] == [1]
