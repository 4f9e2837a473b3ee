"""Every byte of a records file that says how the rest is read, damaged: the file is read or made anew."""

import sqlite3
from pathlib import Path

import pytest

from run_steps import finish
from trivet.bank.overlay import Change
from trivet.bank.record_store import RecordStore
from trivet.bank.record_table import RecordTable
from trivet.bank.table_errors import TABLE_ERRORS, is_damage
from trivet.wire.records import row_is_valid

KEY = bytes(32)
KEYS = [b"i/%04d" % number for number in range(60)]
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A records file that shows slot 7."""
    path = tmp_path / "records.sqlite"
    table = RecordTable(path, KEY)
    table.open()
    finish(table.apply(7, {key: Change(7, key * 9) for key in KEYS}))
    table.close()
    return path


def open_and_read(path: Path) -> int:
    """Open the file as a server does that shows slot 9 at least; return how many whole rows it has."""
    store = RecordStore(path, KEY, lambda slot: [])
    store.open(9, 9)
    assert store.applied in (7, 9)
    table = store._table
    try:
        return read(table)
    except TABLE_ERRORS as error:
        if not is_damage(error):
            raise
        table.rebuild(str(error))
        return read(table)
    finally:
        table.close()


def read(table: RecordTable) -> int:
    """Ask for everything; return how many rows are whole."""
    finish(table.begin_sums())
    while finish(table.sum_on()) is None:
        pass
    rows, more = finish(table.rows_after(b"", 1000, -1))
    assert not more
    finish(table.rows_after(b"", 1000, 3))
    table.keys_between(b"", b"z", 100)
    whole = [row for row in rows if row_is_valid(KEY, row)]
    assert all(row.value == row.key * 9 for row in whole)
    table.put_rows(whole)
    return len(whole)


@pytest.mark.parametrize(("first", "mask"), [(0, 0x5A), (1, 0x80), (2, 0x01)])
def test_bytes_of_the_schema_and_of_the_slot_shown(path: Path, first: int, mask: int) -> None:
    whole = path.read_bytes()
    with sqlite3.connect(path) as connection:
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'shown'")
    connection.close()
    shown = range((page - 1) * PAGE, page * PAGE)
    places = [at for at in (*range(PAGE), *shown) if whole[at]]
    assert len(places) > 200
    for at in [*range(16, 24), *places[first::3]]:
        data = bytearray(whole)
        data[at] ^= mask
        path.write_bytes(data)
        found = open_and_read(path)
        assert 0 <= found <= len(KEYS), at


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE shown SET slot = -5",
        "UPDATE shown SET slot = 'seven'",
        "UPDATE records SET key = CAST(key AS TEXT) WHERE key = x'692f30303131'",
        "UPDATE records SET key = NULL, slot = -1, mac = 1.5 WHERE key = x'692f30303131'",
        "ALTER TABLE records RENAME COLUMN value TO valeu",
        "DROP TABLE shown",
        "CREATE TRIGGER no BEFORE INSERT ON shown BEGIN SELECT RAISE(ABORT, 'no'); END",
    ],
)
def test_a_sound_database_that_is_not_ours(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        if "NULL" not in statement:
            connection.execute(statement)
    connection.close()
    open_and_read(path)
