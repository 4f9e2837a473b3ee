"""The library by which programs emit their runs."""

import statistics
import time
from pathlib import Path

import pytest

from trivet.errors import InputError, TrivetError
from trivet.monitor.runs.emitter import Emitter
from trivet.monitor.runs.event_log import Event
from trivet.monitor.runs.event_store import EventStore


def names_of(folder: Path) -> list[str]:
    """The names of the events in the store, in the order of emission."""
    table = EventStore(folder, create=False).scan()
    return [table.names[code] for code in table.name[table.emit.argsort(kind="stable")]]


def test_phases_are_kept_once_closed(tmp_path: Path) -> None:
    with Emitter(tmp_path, source="bench") as emitter:
        run = emitter.run("7", device_group="phones")
        run.event("request")
        with run.phase("flash"):
            pass
    assert names_of(tmp_path) == ["request", "flash_start", "flash_end"]
    assert EventStore(tmp_path).scan().dimensions["device_group"].values == ["phones"]


def test_what_was_flushed_is_on_the_disk_while_the_program_goes_on(tmp_path: Path) -> None:
    with Emitter(tmp_path) as emitter:
        emitter.run("7").event("request")
        emitter.flush()
        assert names_of(tmp_path) == ["request"]


def test_a_phase_that_raises_has_an_end_and_its_error(tmp_path: Path) -> None:
    with Emitter(tmp_path) as emitter, pytest.raises(ZeroDivisionError), emitter.run("7").phase("flash"):
        raise ZeroDivisionError
    assert names_of(tmp_path) == ["flash_start", "flash_end"]
    assert EventStore(tmp_path).scan().dimensions["error"].values == ["ZeroDivisionError"]


def test_a_restarted_program_with_the_same_source_loses_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        with Emitter(tmp_path, source="bench") as emitter:
            emitter.run("7").event("request")
    assert len(names_of(tmp_path)) == 3


def test_events_wait_in_the_buffer_while_the_log_fails() -> None:
    class Failing:
        """A log whose disk is full until it is mended."""

        def __init__(self) -> None:
            self.broken, self.kept = True, list[Event]()

        def append(self, batch: list[Event]) -> int:
            if self.broken:
                raise TrivetError("no room")
            self.kept += batch
            return len(batch)

        def scan(self) -> None:
            raise AssertionError("nobody reads")

    log = Failing()
    emitter = Emitter(log)  # type: ignore[arg-type]
    emitter.run("7").event("first")
    with pytest.raises(TrivetError, match="no room"):
        emitter.flush()
    emitter.run("7").event("second")
    log.broken = False
    emitter.close()
    assert [event.name for event in log.kept] == ["first", "second"]
    assert emitter.lost == 0


def test_a_dimension_can_not_have_the_name_of_a_column(tmp_path: Path) -> None:
    with Emitter(tmp_path) as emitter, pytest.raises(InputError, match="can't be a dimension"):
        emitter.run("7", source="x")


def test_an_event_costs_the_program_little(tmp_path: Path) -> None:
    with Emitter(tmp_path) as emitter:
        run = emitter.run("7", device_group="phones")
        costs = []
        for _ in range(5000):
            begin = time.perf_counter_ns()
            run.event("x")
            costs.append(time.perf_counter_ns() - begin)
    assert statistics.median(costs) < 20_000
    assert len(names_of(tmp_path)) == 5000
