"""The sums of the table of records, made in steps while rows are written, spoilt and removed in between."""

import random
from collections.abc import Generator
from pathlib import Path

import pytest

from run_steps import finish
from trivet.bank import record_table
from trivet.bank.overlay import Change
from trivet.bank.record_table import RecordTable
from trivet.bank.summing import TableSums
from trivet.quorum.digests import sums_of
from trivet.wire.records import Row, record_mac

KEY = bytes(range(32))
ROWS = 60


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[RecordTable]:
    monkeypatch.setattr(record_table, "_STEP_ROWS", 3)
    monkeypatch.setattr(record_table, "_SUM_STEPS", 2)
    table = RecordTable(tmp_path / "records.sqlite", KEY)
    table.open()
    yield table
    table.close()


def key(number: int) -> bytes:
    return b"i/%04d" % number


def row(number: int, slot: int) -> Row:
    value = b"%d at %d" % (number, slot)
    return Row(key(number), slot, value, record_mac(KEY, key(number), slot, value))


def apply(table: RecordTable, slot: int, changes: dict[int, bytes | None]) -> None:
    finish(table.apply(slot, {key(number): Change(slot, value) for number, value in changes.items()}))


def all_at_once(table: RecordTable) -> TableSums:
    finish(table.begin_sums())
    while (sums := finish(table.sum_on())) is None:
        pass
    return sums


def change(table: RecordTable, slot: int, rng: random.Random) -> None:
    """Do one of the things that are done to a table."""
    numbers = rng.sample(range(ROWS), 5)
    kind = rng.randrange(4)
    if kind == 0:
        apply(table, slot, {number: rng.choice((None, b"new at %d" % slot)) for number in numbers})
    elif kind == 1:
        table.put_rows([row(number, slot - rng.randrange(2)) for number in numbers])
    elif kind == 2:
        standing = table.rows_of(map(key, numbers))
        table.delete_rows([(row.key, row.slot - rng.randrange(2)) for row in standing])
    else:  # an entry that is older than what a repair has put there
        apply(table, slot, dict.fromkeys(numbers, b"newer"))
        finish(table.apply(slot, {key(numbers[0]): Change(slot - 1, b"older")}))


@pytest.mark.parametrize("seed", range(20))
def test_sums_made_in_steps_are_those_of_the_rows_at_the_end(table: RecordTable, seed: int) -> None:
    rng = random.Random(seed)
    apply(table, 1, dict.fromkeys(range(0, ROWS, 2), b"first"))
    damaged = key(rng.randrange(0, ROWS, 2))
    table.spoil(damaged, b"spoilt before")
    finish(table.begin_sums())
    slot, steps = 1, 0
    while (sums := finish(table.sum_on())) is None:
        slot, steps = slot + 1, steps + 1
        change(table, slot, rng)
    assert steps >= 3
    assert sums == all_at_once(table)
    standing, more = finish(table.rows_after(b"", 1000, -1))
    assert not more
    assert sums.rows == len(standing)
    whole = [(row.key, row.slot) for row in standing if row.key not in sums.damaged]
    assert sums.sums == sums_of(whole)
    assert sums.at == table.applied
    assert set(sums.damaged) <= {damaged}


def test_a_table_made_anew_meanwhile_has_no_sums(table: RecordTable) -> None:
    apply(table, 1, dict.fromkeys(range(ROWS), b"first"))
    finish(table.begin_sums())
    assert finish(table.sum_on()) is None
    table.rebuild("for this test")
    sums = finish(table.sum_on())
    assert sums is not None
    assert sums.at == -1
    assert all_at_once(table).rows == ROWS


def test_a_change_that_fails_leaves_the_sums_as_they_were(table: RecordTable) -> None:
    apply(table, 1, dict.fromkeys(range(ROWS), b"first"))
    finish(table.begin_sums())
    assert finish(table.sum_on()) is None
    table._sql.execute("PRAGMA max_page_count = 1")  # the disk is full
    with pytest.raises(Exception, match="full"):
        apply(table, 2, {0: bytes(1 << 20)})
    while (sums := finish(table.sum_on())) is None:
        pass
    assert sums == all_at_once(table)
    assert sums.at == 1


def test_pages_may_be_listed_without_what_is_in_them(table: RecordTable) -> None:
    keys = [b"b/page", b"b0", b"c/one", b"i/one"]
    finish(table.apply(1, {key: Change(1, b"value") for key in keys}))
    rows, _ = finish(table.rows_after(b"", 1000, -1, bodies=False))
    assert [(row.key, row.slot, row.value, bool(row.mac)) for row in rows] == [
        (b"b/page", 1, b"", False), (b"b0", 1, b"value", True),
        (b"c/one", 1, b"value", True), (b"i/one", 1, b"value", True),
    ]  # fmt: skip
