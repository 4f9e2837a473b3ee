"""The drive watches its own processes: what the door tells of them, held against the system's own figures."""

import os
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from door_under_test import Door, open_door


@pytest.fixture(scope="module")
def own_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A drive of this module, as its workers come and go."""
    with open_door(tmp_path_factory.mktemp("health")) as opened:
        yield opened


def told(door: Door, series_s: int = 0) -> dict[str, Any]:
    """Return what /api/v1/processes tells."""
    return door.told("GET", f"/api/v1/processes?series_s={series_s}")


def wait_rates(door: Door) -> dict[str, Any]:
    """Wait until every process has been looked at twice; return what is told."""
    until = time.monotonic() + 15
    while True:
        figures = told(door, series_s=60)
        if all(one["cpu_percent"] is not None for one in figures["processes"]):
            return figures
        assert time.monotonic() < until, figures
        time.sleep(0.2)


def test_every_process_of_the_drive_is_told_with_its_role(own_door: Door) -> None:
    figures = wait_rates(own_door)
    by_pid = {one["pid"]: one for one in figures["processes"]}
    for process in own_door.drive.processes():
        words = process.cmdline()
        if "serve" in words:
            assert process.pid in by_pid, words
            known = by_pid[process.pid]
            assert known["rss_bytes"] == pytest.approx(process.memory_info().rss, rel=0.5)
            assert 0 < known["private_bytes"] <= 2 * known["rss_bytes"]
            assert known["handles"] == pytest.approx(process.num_fds(), abs=8)
            assert known["elapsed_s"] == pytest.approx(time.time() - process.create_time(), abs=5)
    roles = sorted(one["role"] for one in figures["processes"] if one["role"] != "helper")
    banks = [f"bank {base}" for base in sorted(own_door.drive.bases)]
    assert roles == sorted([*banks, "door worker", "keeper", "supervisor"])
    machine = figures["machine"]
    assert machine["memory_total_bytes"] == psutil.virtual_memory().total
    assert machine["cores"] == os.cpu_count()
    assert 0 <= machine["memory_percent"] <= 100
    series = figures["series"]
    assert len(series["at_s"]) == len(series["machine_cpu_percent"]) >= 2
    assert all(len(one["rss_bytes"]) == len(series["at_s"]) for one in series["processes"])


def test_a_killed_worker_vanishes_and_its_successor_is_told(own_door: Door) -> None:
    before = own_door.pid()
    own_door.drive.kill(before)
    until = time.monotonic() + 30
    while True:
        own_door.wait_up()
        workers = [one["pid"] for one in told(own_door)["processes"] if one["role"] == "door worker"]
        if workers and before not in workers:
            break
        assert time.monotonic() < until, workers
        time.sleep(0.1)
