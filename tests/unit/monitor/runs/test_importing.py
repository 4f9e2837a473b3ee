"""Files larger than a batch go into the store part by part."""

from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.monitor.runs import event_store, importing
from trivet.monitor.runs.event_store import EventStore
from trivet.monitor.runs.importing import import_files
from trivet.monitor.runs.time_columns import TimeFormat


def write(path: Path, runs: int, tail: str = "") -> None:
    """A CSV file of two events a run."""
    lines = [
        f"r{n},flash_{edge},{n * 10 + at},g{n % 2}\n"
        for n in range(runs)
        for edge, at in (("start", 0), ("end", 5))
    ]
    path.write_text("testrun_id,event_name,event_emit,device_group\n" + "".join(lines) + tail)


@pytest.mark.parametrize("sealed_at", [10, 1_000_000])
def test_batches_add_up_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed_at: int) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 700)
    monkeypatch.setattr(event_store, "SEAL_AT_ONCE_ROWS", sealed_at)
    for number in range(3):
        write(tmp_path / f"{number}.csv", 300 * (number + 1))
    store = EventStore(tmp_path / "store")
    result = import_files([tmp_path / f"{number}.csv" for number in range(3)], store, times=TimeFormat())
    assert (result.read, result.added) == (3600, 1800)
    table = store.scan()
    assert (len(table), len(table.run_ids)) == (1800, 900)
    assert sorted(table.dimensions["device_group"].values) == ["g0", "g1"]
    assert len(table.dimensions["device_group"].run) == 900


def test_what_came_before_a_bad_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 100)
    write(tmp_path / "a.csv", 100)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    store = EventStore(tmp_path / "store")
    with pytest.raises(InputError, match=r"b\.csv"):
        import_files([tmp_path / "a.csv", tmp_path / "b.csv"], store, times=TimeFormat())
    assert len(store.scan()) == 200
