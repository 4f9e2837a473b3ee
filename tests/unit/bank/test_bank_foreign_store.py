"""Foreign entries: kept through restarts, bounded, and never expired by a wall clock that jumps."""

import time
from pathlib import Path

import pytest

from trivet.bank import foreign_store
from trivet.bank.foreign_store import ForeignStore
from trivet.errors import NoSpace


def test_an_entry_outlives_a_restart_and_a_wall_clock_that_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ForeignStore(tmp_path / "foreign")
    store.put(b"/timestamp", b"noon", 1000)
    store.close()
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + 1e6)
    again = ForeignStore(tmp_path / "foreign")
    entry = again.get(b"/timestamp")
    assert entry is not None
    assert (entry.value, again.count) == (b"noon", 1)
    again.close()


def test_after_a_reboot_the_wall_clock_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ForeignStore(tmp_path / "foreign")
    store.put(b"/short", b"x", 10)
    store.put(b"/long", b"x", 1000)
    store.close()
    wall = time.time()
    monkeypatch.setattr(foreign_store, "boot_id", lambda: "another boot")
    monkeypatch.setattr(time, "time", lambda: wall + 100)
    again = ForeignStore(tmp_path / "foreign")
    assert [entry.key for entry in again.entries(10)] == [b"/long"]
    assert again.count == 1
    again.close()


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_store, "MAX_ENTRIES", 2)
    store = ForeignStore(tmp_path / "foreign")
    store.put(b"/a", b"x", 10)
    store.put(b"/b", b"x", 10)
    with pytest.raises(NoSpace):
        store.put(b"/c", b"x", 10)
    store.close()


def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "foreign").write_bytes(b"no database" * 1000)
    store = ForeignStore(tmp_path / "foreign")
    store.put(b"/a", b"x", 10)
    assert (tmp_path / "foreign.damaged").exists()
    assert store.count == 1
    store.close()
