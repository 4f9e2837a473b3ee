"""The table of records when SQLite refuses to commit: it goes on showing what it showed."""

import sqlite3
from pathlib import Path

import pytest

from trivet.bank.overlay import Change
from trivet.bank.record_table import RecordTable

KEY = bytes(32)


def apply(table: RecordTable, slot: int, key: bytes) -> None:
    for _ in table.apply(slot, {key: Change(slot, b"value")}):
        pass


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
