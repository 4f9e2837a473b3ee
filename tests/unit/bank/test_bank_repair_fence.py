"""Who may mend a bank's rows: the keeper that was promised last, and nobody before it."""

from pathlib import Path

from bank_in_process import BankInProcess
from bank_process import Keeper
from trivet.wire.bank_messages import DeleteRows, GetRecords, PutRows, Rows
from trivet.wire.entries import Epoch, RecordOp
from trivet.wire.journal_messages import Done, Identity, Prepare, Refusal
from trivet.wire.records import Row, record_mac


async def test_rows_are_mended_only_by_the_keeper_that_was_promised_last(tmp_path: Path) -> None:
    bank = BankInProcess(tmp_path)
    await bank.open()
    keeper = Keeper(bank, bank, Epoch(1, 1))
    await keeper.form()
    await keeper.append([RecordOp(b"i/a", 0, b"there")], sync=True)
    await keeper.heartbeat(keeper.head)
    row = Row(b"i/b", 1, b"late", record_mac(bank.key, b"i/b", 1, b"late"))
    assert await keeper.ask(PutRows([row], keeper.epoch)) == Done()
    assert await keeper.ask(DeleteRows([(b"i/b", 1)], keeper.epoch)) == Done()
    assert isinstance(await keeper.ask(Prepare(Epoch(2, 1))), Identity)
    for repair in (PutRows([row], keeper.epoch), DeleteRows([(b"i/a", keeper.head)], keeper.epoch)):
        refusal = await keeper.ask(repair)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == "promised"
    rows = await keeper.ask(GetRecords([b"i/a", b"i/b"]))
    assert isinstance(rows, Rows)
    assert {one.key: one.value for one in rows.rows} == {b"i/a": b"there"}
    await bank.crash()
    assert bank.failures == []
