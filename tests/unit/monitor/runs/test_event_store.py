"""The store of events: idempotent, sealed, compacted, forgetful when told."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from trivet.errors import InputError
from trivet.insight.runs.generator import generate
from trivet.monitor.runs import event_store
from trivet.monitor.runs.event_log import Event
from trivet.monitor.runs.event_store import EventStore

SECOND = 1_000_000_000
PLAIN_COLUMNS = ["testrun_id", "event_name", "sequence", "device_group"]


def events(run: str, count: int, *, source: str = "bench", first: int = 0) -> list[Event]:
    """`count` numbered events of `run`, one a second."""
    return [
        Event(run, f"step{n % 3}", n * SECOND, n * SECOND + 7, source, n, '{"device_group":"g1"}')
        for n in range(first, first + count)
    ]


def identities(store: EventStore) -> list[tuple[str, str, int]]:
    """What a scan gives, sorted."""
    table = store.scan()
    assert table.source is not None
    assert table.sequence is not None
    rows = zip(table.run.tolist(), table.source.tolist(), table.sequence.tolist(), strict=True)
    return sorted((table.run_id(run), table.sources[source], number) for run, source, number in rows)


def test_the_same_event_is_kept_once_wherever_it_lies(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    assert store.append(events("a", 10)) == 10
    assert store.append(events("a", 12)) == 2
    assert store.seal() == 12
    assert store.append(events("a", 15) + events("b", 1)) == 4
    assert store.append(events("a", 5, source="other")) == 5
    assert identities(store) == sorted(
        [("a", "bench", n) for n in range(15)] + [("b", "bench", 0)] + [("a", "other", n) for n in range(5)]
    )


def test_times_names_and_dimensions_come_back_as_they_were(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    kept = [
        Event(
            "a",
            "request",
            1_700_000_000_123_456_789,
            None,
            "s",
            1,
            '{"queue":"q1","host_worker_instances":"h/1;h/2"}',
        ),
        Event("a", "publish", None, -5, "s", 2, ""),
    ]
    store.append(kept)
    for _ in range(2):
        table = store.scan()
        assert [table.names[code] for code in table.name] == ["request", "publish"] or table.emit[1] > 0
        assert sorted(table.emit.tolist())[1] == 1_700_000_000_123_456_789
        assert -5 in table.receive.tolist()
        assert table.dimensions["queue"].values == ["q1"]
        assert sorted(table.dimensions["host_worker_instances"].values) == ["h/1", "h/2"]
        store.seal()


@pytest.mark.parametrize("at_once", [10, 10_000_000])
def test_a_file_imported_twice_is_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(event_store, "SEAL_AT_ONCE_ROWS", at_once)
    table = generate(50, np.random.default_rng(1))
    store = EventStore(tmp_path)
    assert store.append_table(table) == 500
    assert store.append_table(table) == 0
    assert store.append_table(generate(60, np.random.default_rng(1))) <= 600
    assert len(store.scan()) == len(set(identities(store)))
    assert (len(store.segments()) > 0) is (at_once == 10)


def test_a_full_tail_is_sealed_by_the_append_that_filled_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_store, "SEAL_ROWS", 100)
    store = EventStore(tmp_path)
    for first in range(0, 400, 40):
        store.append(events("a", 40, first=first))
    assert len(store.segments()) >= 3
    assert identities(store) == [("a", "bench", n) for n in range(400)]


def test_compaction_merges_and_leaves_no_file_behind(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    for run in "abc":
        store.append(events(run, 20))
        store.seal()
    before = identities(store)
    assert store.compact() == 3
    assert [segment.rows for segment in store.segments()] == [60]
    assert len(list(tmp_path.glob("segment-*"))) == 2
    assert identities(store) == before
    assert store.append(events("b", 20)) == 0


def test_retention_forgets_only_what_is_older(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    store.append(events("a", 100))
    store.seal()
    store.append(events("b", 100))
    assert store.retain(50 * SECOND) == 100
    assert identities(store) == [(run, "bench", n) for run in "ab" for n in range(50, 100)]


def test_a_segment_is_plain_parquet(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    store.append(events("a", 3))
    store.seal()
    rows = pq.read_table(next(tmp_path.glob("*.parquet")), columns=PLAIN_COLUMNS).to_pylist()
    assert [(row["testrun_id"], row["event_name"], row["sequence"]) for row in rows] == [
        ("a", f"step{n}", n) for n in range(3)
    ]
    assert rows[1]["device_group"] == "g1"


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    store.append(events("a", 3))
    store.seal()
    next(tmp_path.glob("*.parquet")).write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match=r"segment-00000001\.parquet is damaged"):
        store.scan()


def test_what_is_no_store_is_not_made_one_by_reading(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no store of runs"):
        EventStore(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "tail.sqlite").write_bytes(b"something else, longer than a header of a hundred bytes" * 3)
    with pytest.raises(InputError, match="damaged or no store"):
        EventStore(tmp_path)
