"""The board's counting of a door's log as it grows: real files, lines as the door writes them."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet.monitor.board import traffic
from trivet.monitor.board.traffic import DoorTraffic

NOW = 1_800_000_000.0


def line(at_s: float, target: str, status: int = 200, size: int = 100, ip: str = "10.0.0.1") -> bytes:
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at_s))
    return (
        f'{ip} - ann [{stamp}] "GET {target} HTTP/1.1" {status} {size} "-" "agent" 0.020000 0123\n'.encode()
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.touch()
    return path


@pytest.fixture
def door(log: Path) -> Iterator[DoorTraffic]:
    counted = DoorTraffic(log)
    yield counted
    counted.close()


def append(log: Path, *lines: bytes) -> None:
    with log.open("ab") as file:
        file.write(b"".join(lines))


def test_the_last_minute_by_section(log: Path, door: DoorTraffic) -> None:
    append(log, line(NOW - 90, "/old/a"), line(NOW - 10, "/api/v1/x"), line(NOW - 9, "/api/v1/y", 404),
           line(NOW - 8, "/drive/v3/z", 503, 900), b"no line at all\n")  # fmt: skip
    door.read(NOW)
    told = door.told(NOW)
    assert [(one.name, one.hits, one.bytes, one.errors) for one in told.sections] == [
        ("/api", 2, 200, 1), ("/drive", 1, 900, 1)]  # fmt: skip
    assert (told.hits, told.bytes, told.client_errors, told.server_errors) == (3, 1100, 1, 1)
    assert told.p95_ms == pytest.approx(20)
    assert sum(told.per_second) == 4
    assert told.per_second[-10:] == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    door.read(NOW + 200)
    later = door.told(NOW + 200)
    assert (later.hits, later.sections, sum(later.per_second)) == (0, [], 0)


def test_counting_begins_with_the_last_lines_of_a_long_log(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "BACKFILL_BYTES", 1000)
    append(log, *[line(NOW - 5, f"/n{number}/x") for number in range(100)])
    door = DoorTraffic(log)
    door.read(NOW)
    told = door.told(NOW)
    assert 8 <= told.hits <= 10
    assert {one.name for one in told.sections} <= {f"/n{number}" for number in range(90, 100)}
    door.close()


def test_an_alert_comes_and_goes(log: Path, door: DoorTraffic) -> None:
    append(log, *[line(NOW + second, "/a") for second in range(120)])
    append(log, *[line(NOW + 120 + second / 20, "/a") for second in range(20 * 60)])
    door.read(NOW + 180)
    told = door.told(NOW + 180)
    assert told.alert
    assert told.alerts[0].raised
    assert "1.0 in the minutes before" in told.alerts[0].text
    door.read(NOW + 900)
    assert not door.told(NOW + 900).alert
    assert not door.told(NOW + 900).alerts[0].raised


def test_a_loop_and_a_fleet_are_named(log: Path, door: DoorTraffic) -> None:
    append(log, *[line(NOW - 30 + n / 10, "/loop", ip="10.9.9.9") for n in range(200)])
    door.read(NOW)
    pairs = door.floods().pairs
    assert (pairs[0].client, pairs[0].url, pairs[0].hits, pairs[0].loop) == ("10.9.9.9", "/loop", 200, True)
    append(log, *sorted(line(NOW + 60 * beat, "/checkin", ip=f"10.1.0.{device}")
                        for beat in range(60) for device in range(40)))  # fmt: skip
    door.read(NOW + 3600)
    door.judge(door.window(NOW + 3600), NOW + 3600)
    assert any("40 devices ask for /checkin every 60 s" in one.why for one in door.floods().findings)


def test_an_attack_with_names_stays_bounded(
    log: Path, door: DoorTraffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "FLOOD_BYTES", 1 << 20)
    rng = random.Random(1)
    door.read(NOW)
    append(
        log,
        *[line(NOW - rng.random() * 4, f"/{n}/{'x' * 300}", ip=f"10.{n % 200}.0.1") for n in range(10_000)],
    )
    door.read(NOW)
    told, floods = door.told(NOW), door.floods()
    assert told.hits == 10_000
    assert len(told.sections) == len(floods.pairs) == traffic.ROWS
    assert all(len(one.url) <= 200 for one in floods.pairs)
    assert len(door.window(NOW)) < 10_000


def test_a_clock_that_jumps(log: Path, door: DoorTraffic) -> None:
    append(log, line(NOW, "/a"))
    door.read(NOW)
    append(log, line(NOW + 1e6, "/ahead"))
    door.read(NOW + 1e6)
    assert door.told(NOW + 1e6).hits == 1
    append(log, line(NOW + 5, "/back"))
    door.read(NOW + 5)
    told = door.told(NOW + 5)
    assert sorted(one.name for one in told.sections) == ["/back"]
    assert door.told(NOW + 500).hits <= 1


def test_a_rotated_log_is_read_on(log: Path, door: DoorTraffic) -> None:
    append(log, line(NOW - 3, "/a"))
    door.read(NOW)
    append(log, line(NOW - 2, "/a"))
    log.rename(log.with_name("access.log.1"))
    append(log, line(NOW - 1, "/b"))
    door.read(NOW)
    assert door.told(NOW).hits == 3
