"""The table of records: a commit that SQLite refuses, and the opening of a large file."""

import sqlite3
from pathlib import Path

import pytest

from run_steps import finish
from trivet.bank import record_table
from trivet.bank.overlay import Change
from trivet.bank.record_table import RecordTable

KEY = bytes(32)


def apply(table: RecordTable, slot: int, key: bytes) -> None:
    finish(table.apply(slot, {key: Change(slot, b"value")}))


def test_a_commit_that_fails_leaves_the_slot_shown_as_it_was(tmp_path: Path) -> None:
    """On a full disk it is the commit that fails; entries up to `applied` are not kept elsewhere."""
    table = RecordTable(tmp_path / "records.sqlite", KEY)
    table.open()
    apply(table, 1, b"i/1")

    def refuse_commit(action: int, what: str | None, *more: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    table._sql.set_authorizer(refuse_commit)
    with pytest.raises(sqlite3.DatabaseError):
        apply(table, 2, b"i/2")
    assert table.applied == 1
    assert table.rows_of([b"i/2"]) == []
    table._sql.set_authorizer(None)
    apply(table, 2, b"i/2")
    assert table.applied == 2
    assert [row.key for row in table.rows_of([b"i/1", b"i/2"])] == [b"i/1", b"i/2"]
    table.close()


def test_a_large_file_is_not_counted_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting reads every page of it: at a million files that took a minute and a half."""
    table = RecordTable(tmp_path / "records.sqlite", KEY)
    table.open()
    apply(table, 1, b"i/1")
    finish(table.begin_sums())
    finish(table.sum_on())
    apply(table, 2, b"i/1")  # the sums are told with what is applied next
    table._sql.execute("DELETE FROM records")
    table.close()
    again = RecordTable(tmp_path / "records.sqlite", KEY)
    again.open()
    assert again.count == 0
    again.close()
    monkeypatch.setattr(record_table, "_SOON_COUNTED_BYTES", 0)
    again.open()
    assert again.count == 1
    again.close()
