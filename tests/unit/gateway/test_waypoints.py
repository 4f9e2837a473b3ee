"""Waypoints: what waits is bounded, what is dropped is counted, a store keeps the newest."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from trivet.errors import NoSpace
from trivet.gateway import waypoints as room
from trivet.gateway.waypoints import SMALL_MAX, WAITING_MAX, EventRow, Trace, Waypoints
from trivet.monitor.runs import waypoint_store
from trivet.monitor.runs.tail import Tail
from trivet.monitor.runs.waypoint_store import WaypointStore


class SlowSink:
    """Keeps nothing until it is let; may fail."""

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.go, self.asked, self.failing = threading.Event(), threading.Event(), False

    def append(self, rows: Sequence[EventRow]) -> None:
        """Wait, then keep or fail."""
        self.asked.set()
        assert self.go.wait(30)
        if self.failing:
            raise NoSpace("no room")
        self.rows += rows

    def close(self) -> None:
        """Nothing to let go of."""


def trace(*, small: bool) -> Trace:
    one = Trace()
    one.kind, one.small = "download", small
    one.reached = [("request", 1), ("publish", 2)]
    return one


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSink]:
    monkeypatch.setattr(room, "FLUSH_S", 0.01)
    made = SlowSink()
    yield made
    made.go.set()


def test_a_store_that_hangs_costs_bounded_memory_and_no_waiting(sink: SlowSink) -> None:
    kept = Waypoints(sink)
    kept.keep("first", dict, trace(small=False))
    assert sink.asked.wait(10)
    for number in range(SMALL_MAX + 10):
        kept.keep(f"s{number}", dict, trace(small=True))
    assert kept.dropped == 10
    for number in range(WAITING_MAX):
        kept.keep(f"l{number}", lambda: {"requestor": "ann"}, trace(small=False))
    assert kept.dropped == 10 + SMALL_MAX
    sink.go.set()
    kept.close()
    assert len({row[0] for row in sink.rows}) == WAITING_MAX + 1
    assert len({row[4] for row in sink.rows}) == len(sink.rows), "every event has a number of its own"


def test_a_store_that_fails_is_counted(sink: SlowSink) -> None:
    sink.failing = True
    sink.go.set()
    kept = Waypoints(sink)
    kept.keep("one", dict, trace(small=False))
    kept.close()
    assert (kept.dropped, sink.rows) == (1, [])


def test_the_store_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waypoint_store, "EVENTS_MAX", 30)
    monkeypatch.setattr(waypoint_store, "_LOOK_EVERY", 10)
    store = WaypointStore(tmp_path)
    now = waypoint_store.time.time_ns()
    store.append([("old", "request", 1, "s", 1, "{}")])
    for number in range(10):
        store.append(
            [(f"r{number}", "request", now, "s", number * 10 + place + 2, "{}") for place in range(10)]
        )
    store.close()
    tail = Tail(tmp_path, create=False)
    assert {event.run for event in tail.events()} == {"r7", "r8", "r9"}
    tail.close()
