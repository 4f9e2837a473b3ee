"""The uptime store: roll-ups, gaps told apart from outages, what is kept, what is refused."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from trivet.errors import InputError
from trivet.insight.duration_histogram import counts_of
from trivet.insight.uptime import Hour, ProbeSample, report_rows
from trivet.io.uptime_store import UptimeStore

DAY = 86_400
START = int(datetime(2024, 6, 30, 22, tzinfo=UTC).timestamp())
URL = "http://x/"


@pytest.fixture
def store(tmp_path: Path):
    """Open a fresh store."""
    opened = UptimeStore(tmp_path / "deep" / "uptime.sqlite")
    yield opened
    opened.close()


def put(store: UptimeStore, at: float, total_ms: float = 100.0, *, status: int | None = 200,
        error: str | None = None, place: str = "london", keep_raw_s: float = 14 * DAY) -> None:  # fmt: skip
    """Store one sample of a probe that runs every minute."""
    sample = ProbeSample(at, total_ms, 1.0, None, 50.0, status, error)
    store.add(place, URL, sample, every_s=60, keep_raw_s=keep_raw_s)


def rows(store: UptimeStore, until: float, by: str = "month", **chosen: str) -> list[dict]:
    """Return the report's rows."""
    return report_rows(store.read(since=0, until=until, **chosen), by)


def test_a_month_boundary_splits_and_shares_are_of_all_samples(store: UptimeStore) -> None:
    for k in range(240):  # four hours, two in June and two in July
        put(store, START + k * 60, 1500.0 if k % 10 == 0 else 11_000.0 if k % 40 == 5 else 100.0)
    june, july = rows(store, START + 239 * 60)
    assert (june["period"], july["period"]) == ("2024-06", "2024-07")
    assert june["samples"] == july["samples"] == 120
    assert june["over_1s"] == pytest.approx(15 / 120)
    assert june["over_10s"] == pytest.approx(3 / 120)
    assert june["availability"] == 1.0
    assert june["p50_ms"] == pytest.approx(100, rel=0.02)
    assert june["p95_ms"] == pytest.approx(1500, rel=0.02)
    assert june["gaps_s"] == july["gaps_s"] == 0
    hours = rows(store, START + 239 * 60, "hour")
    assert [row["period"] for row in hours] == [
        "2024-06-30T22", "2024-06-30T23", "2024-07-01T00", "2024-07-01T01",
    ]  # fmt: skip
    assert sum(row["samples"] for row in hours) == 240


def test_a_gap_is_not_an_outage_and_an_outage_is_not_a_gap(store: UptimeStore) -> None:
    for k in [*range(10), *range(40, 60)]:  # the probe was off for half an hour
        put(store, START + k * 60)
    for k in range(60, 70):  # the service was down for ten minutes
        put(store, START + k * 60, 5.0, status=None, error="Connection refused while connecting")
    put(store, START + 70 * 60)
    (row,) = rows(store, START + 70 * 60)
    assert row["gaps_s"] == 30 * 60
    assert row["failures"] == 10
    assert row["outages"] == 1
    assert row["outage_s"] == 600
    assert row["availability"] == pytest.approx(31 / 41)
    (series,) = store.read(since=0, until=START + 70 * 60)
    assert [(o.start, o.end, o.why) for o in series.outages] == [
        (START + 3600, START + 4200, "Connection refused while connecting")
    ]


def test_an_outage_does_not_span_a_gap(store: UptimeStore) -> None:
    put(store, START, status=500)
    put(store, START + 60, status=500)
    put(store, START + 6000, status=500)
    (series,) = store.read(since=0, until=START + 6030)
    assert [(o.start - START, o.end - START) for o in series.outages] == [(0, 120), (6000, 6030)]
    assert [(g.start - START, g.end - START) for g in series.gaps] == [(120, 6000)]


def test_a_probe_that_stopped_shows_as_a_gap_up_to_now(store: UptimeStore) -> None:
    put(store, START)
    found = rows(store, START + 3 * 3600, "hour")
    assert [(row["samples"], row["availability"], row["gaps_s"]) for row in found] == [
        (1, 1.0, 3540.0), (0, None, 3600.0), (0, None, 3600.0),
    ]  # fmt: skip


def test_failed_probes_wait_as_well_but_do_not_enter_percentiles(store: UptimeStore) -> None:
    put(store, START, 20.0)
    put(store, START + 60, 30_000.0, status=None, error="timeout while connecting")
    (row,) = rows(store, START + 60)
    assert row["over_10s"] == 0.5
    assert row["p99_ms"] == pytest.approx(20, rel=0.02)


def test_places_are_apart_and_can_be_chosen(store: UptimeStore) -> None:
    put(store, START, 10.0)
    put(store, START, 20.0, place="newark")
    assert [row["place"] for row in rows(store, START)] == ["london", "newark"]
    assert [row["place"] for row in rows(store, START, place="newark")] == ["newark"]


def test_raw_samples_go_and_roll_ups_stay(store: UptimeStore) -> None:
    for k in range(3):
        put(store, START + k * DAY, keep_raw_s=1.5 * DAY)
    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT count(*) FROM samples").fetchone() == (2,)
    assert sum(row["samples"] for row in rows(store, START + 2 * DAY)) == 3


def test_a_clock_that_goes_back_makes_no_gap_and_does_not_stop_the_watch(store: UptimeStore) -> None:
    put(store, START)
    put(store, START - 30)
    put(store, START + 60)
    put(store, START + 365 * DAY)  # the clock was set a year ahead ...
    put(store, START + 120)  # ... and put right
    put(store, START + 180)
    (series,) = store.read(since=0, until=START + 240)
    assert sum(series.counts[:, 0]) == 5
    assert series.gaps[-1].end <= START + 240
    put(store, START + 1000)
    (series,) = store.read(since=0, until=START + 1000)
    assert (START + 240, START + 1000) in [(gap.start, gap.end) for gap in series.gaps]


def test_two_writers_share_a_store(store: UptimeStore) -> None:
    other = UptimeStore(store.path)
    for k in range(20):
        put(store, START + k * 60)
        put(other, START + k * 60, place="newark")
    other.close()
    assert [row["samples"] for row in rows(store, START + 1140)] == [20, 20]


def test_imported_hours_merge_and_lines_are_remembered(store: UptimeStore) -> None:
    hour = Hour(START // 3600, 3, 2, 1, 0, counts_of(np.array([10.0, 20.0, 1500.0])))
    store.add_hours("log", URL, [hour], head=b"h", lines=3)
    store.add_hours("log", URL, [hour], head=b"h", lines=6)
    (row,) = rows(store, START + DAY)
    assert (row["samples"], row["failures"], row["gaps_s"]) == (6, 2, 0)
    assert row["over_1s"] == pytest.approx(2 / 6)
    assert store.imported_lines("log", URL, b"h") == 6
    assert store.imported_lines("log", URL, b"other") == 0


def test_files_that_are_no_store_are_refused_and_left_alone(tmp_path: Path) -> None:
    text, foreign = tmp_path / "a.txt", tmp_path / "b.sqlite"
    text.write_text("not a database, but long enough to be looked at" * 50)
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    for path in (text, foreign, tmp_path):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(InputError):
            UptimeStore(path)
        assert before is None or path.read_bytes() == before
    with pytest.raises(InputError, match="trivet uptime probe"):
        UptimeStore(tmp_path / "none.sqlite", must_exist=True)
    assert not (tmp_path / "none.sqlite").exists()


def test_five_years_of_months_add_up(store: UptimeStore) -> None:
    counts = counts_of(np.array([80.0] * 50 + [120.0] * 10))
    first = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) // 3600
    hours = [Hour(first + k, 60, 60, 0, 0, counts) for k in range(0, 5 * 8766, 24)]
    store.add_hours("london", URL, hours, head=b"", lines=0)
    found = rows(store, (first + 5 * 8766) * 3600)
    assert len(found) == 60
    assert sum(row["samples"] for row in found) == 60 * len(hours)
    assert {round(row["p50_ms"]) for row in found} <= {79, 80, 81}
