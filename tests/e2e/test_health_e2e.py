"""The drive watches its own processes: what the door tells of them, held against the system's own figures."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from door_under_test import Door, open_door
from door_workers import have_work, is_busy
from trivet.io.control_socket import ask
from trivet.io.volume_folder import VolumeFolder

#: The thresholds are the real ones; only what is waited for when it is calm again is short.
SCALING = ("--max-workers", "2", "--scale-down-for", "3", "--scale-cooldown", "1")


@pytest.fixture(scope="module")
def own_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A drive of this module, as its workers come and go."""
    with open_door(tmp_path_factory.mktemp("health"), *SCALING) as opened:
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


def wait_alike(door: Door, process: psutil.Process) -> dict[str, Any]:
    """Wait until the handles told of `process` are those that it has; return what is told of it."""
    until = time.monotonic() + 15
    while True:
        known: dict[str, Any] = next(one for one in told(door)["processes"] if one["pid"] == process.pid)
        if known["handles"] == pytest.approx(process.num_fds(), abs=8):
            return known
        assert time.monotonic() < until, (known, process.num_fds())
        time.sleep(0.2)


def test_every_process_of_the_drive_is_told_with_its_role(own_door: Door) -> None:
    set_workers(own_door, 1)
    figures = wait_rates(own_door)
    while [one["role"] for one in figures["processes"]].count("door worker") > 1:
        figures = wait_rates(own_door)  # what other tests added is still leaving
    by_pid = {one["pid"]: one for one in figures["processes"]}
    for process in own_door.drive.processes():
        words = process.cmdline()
        if "serve" in words:
            assert process.pid in by_pid, words
            # Files come and go; what was told a moment ago and what is so now must come together.
            known = wait_alike(own_door, process)
            assert known["rss_bytes"] == pytest.approx(process.memory_info().rss, rel=0.5)
            assert 0 < known["private_bytes"] <= 2 * known["rss_bytes"]
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
    set_workers(own_door, 1)
    before = own_door.pid()
    own_door.drive.kill(before)
    own_door.http.close()  # its open connections led to that worker
    own_door.http = httpx.Client(base_url=own_door.address, timeout=30)
    until = time.monotonic() + 30
    while True:
        own_door.wait_up()
        workers = [one["pid"] for one in told(own_door)["processes"] if one["role"] == "door worker"]
        if workers and before not in workers:
            break
        assert time.monotonic() < until, workers
        time.sleep(0.1)


def set_workers(door: Door, count: int) -> dict[str, Any]:
    """Have so many workers, by hand; return what is told then."""
    socket = VolumeFolder(door.drive.state).supervisor_socket
    return asyncio.run(ask(socket, "workers", {"count": count}, silence_s=30))


def served_by(door: Door) -> set[int]:
    """Return the pids that stand in the access log."""
    lines = (door.drive.state / "gateway" / "access.log").read_text().splitlines()
    return {int(line.rsplit(" ", 1)[1].partition("-")[0]) for line in lines}


@contextlib.contextmanager
def loaded(door: Door, connections: int = 16) -> Iterator[list[str]]:
    """Let `wrk` ask for one small file as fast as it can; at the end of the block it says how it was."""
    door.told("PUT", "/api/v1/content/hot.txt", content=b"hot" * 1000)
    words = ["nice", "-n", "10", "wrk", "-t1", f"-c{connections}", "-d600s"]
    said: list[str] = []
    with subprocess.Popen(
        [*words, f"{door.address}/api/v1/content/hot.txt"], stdout=subprocess.PIPE, text=True
    ) as load:
        try:
            yield said
        finally:
            load.send_signal(signal.SIGINT)
            said.append(load.communicate(timeout=30)[0])


def assert_none_failed(said: list[str]) -> None:
    """Assert that `wrk` got an answer to everything it asked."""
    assert "requests in" in said[0], said
    assert "Socket errors" not in said[0], said
    assert "Non-2xx" not in said[0], said


#: How often workers are added and taken away under load; `make faults` asks for more.
FORCED = int(os.environ.get("TRIVET_SCALE_ROUNDS", "10"))


def test_workers_come_and_go_under_load_and_no_request_fails(own_door: Door) -> None:
    set_workers(own_door, 1)
    began, seq = served_by(own_door), newest_step(own_door)
    with loaded(own_door) as said:
        for _ in range(FORCED // 2):
            set_workers(own_door, 3)
            set_workers(own_door, 1)
    assert_none_failed(said)
    assert newest_step(own_door) - seq >= 4 * (FORCED // 2)
    # one that is taken away at once may not have got its first request yet
    assert len(served_by(own_door) - began) >= FORCED // 2


def newest_step(door: Door) -> int:
    """Return the number of the last thing that was done about the workers."""
    return max((step["seq"] for step in told(door)["steps"]), default=0)


def wait_step(door: Door, what: str, seq: int) -> dict[str, Any]:
    """Wait until `what` was done after step `seq`; return that step."""
    until = time.monotonic() + 90
    while True:
        for step in told(door)["steps"]:
            if step["seq"] > seq and step["what"] == what:
                return step
        assert time.monotonic() < until, told(door)
        time.sleep(0.1)


def wait_series(door: Door, names: set[str]) -> dict[str, Any]:
    """Wait until what these processes used is kept, which is so when a step of it is over; return it."""
    until = time.monotonic() + 25
    while True:
        kept: dict[str, Any] = told(door, series_s=3600)["series"]
        if names <= {one["name"] for one in kept["processes"]}:
            return kept
        assert time.monotonic() < until, kept["processes"]
        time.sleep(0.2)


def wait_calm(door: Door) -> None:
    """Wait until no worker has anything to do: what a test before asked of them counts no more."""
    until = time.monotonic() + 60
    while have_work(told(door)):
        assert time.monotonic() < until, told(door)
        time.sleep(0.5)


def watch_step(door: Door, what: str, seq: int) -> tuple[dict[str, Any], dict[float, bool]]:
    """Wait until `what` was done after step `seq`; return it, and which looks were above the threshold."""
    until, crossed = time.monotonic() + 90, {}
    while True:
        figures = told(door)
        crossed[figures["at_s"]] = is_busy(figures)
        for step in figures["steps"]:
            if step["seq"] > seq and step["what"] == what:
                return step, crossed
        assert time.monotonic() < until, (figures, crossed)
        time.sleep(0.1)


def assert_decided_in_time(crossed: dict[float, bool], decided_s: float) -> None:
    """Assert that a worker was added at the first look by which CPU had been above the threshold for 10 s.

    The threshold was crossed behind the last look below it; a look that came late proves nothing.
    """
    looks = sorted(at_s for at_s in crossed if at_s <= decided_s)
    calm_s = max(at_s for at_s in looks if not crossed[at_s])
    busy_s = [at_s for at_s in looks if at_s > calm_s]
    late_s = [after for before, after in itertools.pairwise([calm_s, *busy_s]) if after - before > 2]
    assert decided_s - calm_s >= 8
    assert busy_s[-2] - max([calm_s, *late_s]) <= 10


def test_real_load_crosses_the_real_threshold_and_calm_takes_the_worker_away(own_door: Door) -> None:
    set_workers(own_door, 1)
    wait_calm(own_door)
    seq = newest_step(own_door)
    began = served_by(own_door)
    with loaded(own_door) as said:
        added, crossed = watch_step(own_door, "worker added", seq)
        figures = told(own_door)
        assert figures["scaling"]["workers"] == added["workers"] == 2
        until = time.monotonic() + 20
        while added["pid"] not in served_by(own_door):
            assert time.monotonic() < until, "the new worker got no request"
            time.sleep(0.2)
    assert_none_failed(said)
    assert_decided_in_time(crossed, added["at_s"])
    assert "80 or more for 10 s" in added["why"]
    tree = {process.pid: process.cmdline() for process in own_door.drive.processes()}
    assert "gateway" in tree[added["pid"]]
    assert added["pid"] in served_by(own_door) - began
    removed = wait_step(own_door, "worker removed", added["seq"])
    assert removed["workers"] == 1  # that it ends is seen in test_metrics_e2e
    kept = wait_series(own_door, {"keeper", "supervisor", "door worker 1", "door worker 2"})
    assert kept["step_s"] == 10
    busiest = next(one for one in kept["processes"] if one["name"] == "door worker 1")
    assert max(filter(None, busiest["cpu_percent"])) > 0
    printed = json.loads(own_door.drive.trivet("health", "--since", "1h", "--json").stdout)
    assert set(kept["at_s"]) <= set(printed["at_s"])
    assert "door worker 2" in own_door.drive.trivet("health", "--since", "1h").stdout


def test_a_worker_that_leaves_cuts_no_download_and_sends_websockets_elsewhere(own_door: Door) -> None:
    data = os.urandom(1 << 20) * 16
    own_door.told("PUT", "/api/v1/content/long.bin", content=data)
    codes: set[int | None] = set()
    while 1012 not in codes:  # which worker takes a connection is the kernel's choice: one may get them all
        set_workers(own_door, 2)
        with contextlib.ExitStack() as stack:
            address = f"ws://127.0.0.1:{own_door.port}/api/v1/events"
            sockets = [stack.enter_context(connect(address)) for _ in range(10)]
            assert all(json.loads(one.recv(10))["type"] == "hello" for one in sockets)
            stream = own_door.http.stream
            downloads = [stack.enter_context(stream("GET", "/api/v1/content/long.bin")) for _ in range(6)]
            set_workers(own_door, 1)
            codes = {close_code(one) for one in sockets}
            assert codes <= {None, 1012}
            assert all(one.read() == data for one in downloads)


def close_code(one: ClientConnection) -> int | None:
    """Return with which code the other side closed, None if it did not."""
    try:
        while True:
            one.recv(0.3)
    except TimeoutError:
        return None
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else -1


def test_health_says_first_whether_all_is_well(own_door: Door) -> None:
    own_door.drive.wait_healthy()
    told = json.loads(own_door.drive.trivet("health", "--json", expect=None).stdout)
    assert told["well"] == (told["problems"] == [])
    assert {one["role"] for one in told["figures"]["processes"]} >= {"keeper", "supervisor", "door worker"}
    assert told["status"]["healthy"] is True
    lines = own_door.drive.trivet("health", expect=None).stdout.splitlines()
    assert lines[0] in ("All is well.", "NOT well: 1 thing.")
    assert any("door worker 1" in line for line in lines)
