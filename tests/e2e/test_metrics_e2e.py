"""/metrics and /readyz as Prometheus and a load balancer read them; a worker that leaks is replaced."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from door_under_test import Door, open_door
from trivet.io.control_socket import ask
from trivet.io.volume_folder import VolumeFolder

_EVERY_PYTHON = """
import os, sys, threading, time
if "gateway" in sys.orig_argv:
    def leak(kept=[]):
        while True:
            try:
                os.rename({place!r} + "/leak", {place!r} + "/leaking")  # only one of them
                break
            except FileNotFoundError:
                time.sleep(0.1)
        while True:
            kept.append(bytearray(b"x") * (1 << 20))
            time.sleep(0.05)
    threading.Thread(target=leak, daemon=True).start()
elif "up" in sys.orig_argv:
    from trivet.insight.leaks import GrowthWatch, Scale
    from trivet.supervise import watching
    watching.EVERY_S = 0.1
    watching.DriveWatch.__init__.__defaults__ = (None, 0.1)
    GrowthWatch.__init__.__defaults__ = ((Scale(0.4, 30),),)
"""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def own_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A drive of this module, with two workers, whose memory counts as short; looks go ten times as fast.

    Its workers leak when there is a file `leak` beside its state: no code of trivet can leak on order.
    """
    place = tmp_path_factory.mktemp("metrics")
    (place / "sitecustomize.py").write_text(_EVERY_PYTHON.format(place=str(place)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(place))
        with open_door(place, "--workers", "2", "--scale-memory", "1", "--scale-for", "1") as opened:
            patch.undo()
            yield opened


def samples(door: Door) -> Samples:
    """Ask for the metrics; return each sample of the parsed text by name and labels."""
    answer = httpx.get(f"{door.address}/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """Add up the samples of `name` that have `labels`."""
    return sum(
        value for (one, has), value in found.items() if one == name and labels.items() <= dict(has).items()
    )


def test_all_workers_are_counted_together_and_go_on_counting_after_a_death(own_door: Door) -> None:
    before = samples(own_door)
    for _ in range(40):  # a connection each, so that both workers get some
        assert httpx.get(f"{own_door.address}/api/v1/files/root").status_code == 200
    between = samples(own_door)
    asked = [total(each, "trivet_requests_total", face="native", status="2xx") for each in (before, between)]
    assert asked[1] - asked[0] == 40
    assert total(between, "trivet_request_seconds_count", face="native") >= asked[1]
    own_door.drive.kill(own_door.pid())
    own_door.wait_up()
    after = samples(own_door)
    assert total(after, "trivet_requests_total", face="native", status="2xx") >= asked[1]


def test_the_drive_s_own_figures_are_there_by_the_names_people_watch(own_door: Door) -> None:
    made = own_door.told("PUT", "/api/v1/content/small.txt", content=b"small")
    for _ in range(4):
        assert own_door.http.get(f"/api/v1/files/{made['id']}/content").content == b"small"
    until = time.monotonic() + 20
    while total(found := samples(own_door), "trivet_workers", what="running") != 2:
        assert time.monotonic() < until, "another test ended a worker, and it was not replaced"
        time.sleep(0.1)
    names = {name for name, _ in found}
    assert names >= {
        "trivet_redundancy_missing", "trivet_repairs_total", "trivet_scrub_oldest_verified_seconds",
        "trivet_degraded_commits_total", "trivet_queue_depth", "trivet_cache_requests_total",
        "trivet_request_seconds_bucket", "trivet_process_resident_bytes", "trivet_process_handles",
    }  # fmt: skip
    assert total(found, "trivet_up") == 2
    assert total(found, "trivet_redundancy_missing") == 0
    assert total(found, "trivet_cache_requests_total", result="hit") >= 1


def test_a_bank_that_is_away_shows_as_missing_and_commits_as_degraded(own_door: Door) -> None:
    port = own_door.drive.bases[2]
    before = samples(own_door)
    own_door.drive.trivet("stop", str(port))
    own_door.drive.wait_status(lambda told: not told["healthy"])
    own_door.told("PUT", "/api/v1/content/while-away.txt", content=b"here")
    away = samples(own_door)
    assert total(away, "trivet_redundancy_missing", bank=str(port)) > 0
    assert total(away, "trivet_degraded_commits_total") > total(before, "trivet_degraded_commits_total")
    own_door.drive.trivet("start", str(port))
    own_door.drive.wait_healthy()
    assert total(samples(own_door), "trivet_redundancy_missing") == 0


def test_ready_turns_red_without_a_keeper_and_metrics_still_tell(own_door: Door) -> None:
    # On a connection of its own: one that is open may be a worker's that another test had leave.
    until = time.monotonic() + 20
    while (told := httpx.get(f"{own_door.address}/readyz").json()) != {"status": "ready", "problem": ""}:
        assert time.monotonic() < until, told
        time.sleep(0.1)
    keeper = own_door.drive.keeper_pid()
    os.kill(keeper, signal.SIGSTOP)
    try:
        answer = httpx.get(f"{own_door.address}/readyz", timeout=10)
        assert answer.status_code == 503
        assert "keeper" in answer.json()["problem"]
        found = samples(own_door)
        assert total(found, "trivet_up", part="keeper") == 0
        assert total(found, "trivet_up", part="supervisor") == 1
    finally:
        os.kill(keeper, signal.SIGCONT)
    own_door.drive.wait_healthy()


def worker_of(client: httpx.Client) -> str:
    """Return the process that answers on the connection of `client`."""
    return str(client.get("/readyz").headers["x-request-id"].partition("-")[0])


def test_a_worker_that_leaves_is_not_ready_on_connections_that_are_open(own_door: Door) -> None:
    socket = VolumeFolder(own_door.drive.state).supervisor_socket
    with httpx.Client(base_url=own_door.address) as first, httpx.Client(base_url=own_door.address) as second:
        clients = [first, second]
        until = time.monotonic() + 20
        while (
            len({client.get("/readyz").headers["x-request-id"].partition("-")[0] for client in clients}) < 2
        ):
            assert time.monotonic() < until, "never on both workers"
            clients[1].close()
            clients[1] = httpx.Client(base_url=own_door.address)
        asyncio.run(ask(socket, "workers", {"count": 1}))
        told = [client.get("/readyz") for client in clients]
        clients[1].close()
    asyncio.run(ask(socket, "workers", {"count": 2}, silence_s=30))
    assert sorted(answer.status_code for answer in told) == [200, 503]
    red = next(answer for answer in told if answer.status_code == 503)
    assert "leaving" in red.json()["problem"]
    assert red.headers["connection"] == "close"


def test_a_worker_that_leaks_is_named_and_replaced(own_door: Door) -> None:
    before = own_door.told("GET", "/api/v1/processes")
    pids = {one["pid"] for one in before["processes"] if one["role"] == "door worker"}
    (own_door.drive.state.parent / "leak").touch()
    until = time.monotonic() + 60
    while True:
        told = own_door.told("GET", "/api/v1/processes")
        steps = [step for step in told["steps"] if step["what"] == "worker recycled"]
        if steps:
            break
        assert time.monotonic() < until, told
        time.sleep(0.1)
    assert steps[0]["pid"] in pids
    assert "memory is at" in steps[0]["why"]
    assert "this worker leaks: memory grew from" in steps[0]["why"]
    until = time.monotonic() + 30
    while psutil.pid_exists(steps[0]["pid"]):
        assert own_door.http.get("/healthz").status_code == 200
        assert time.monotonic() < until, "the worker that leaks did not end"
        time.sleep(0.1)
    while True:
        figures = own_door.told("GET", "/api/v1/processes")["processes"]
        workers = [one for one in figures if one["role"] == "door worker"]
        if len(workers) == 2:
            break
        assert time.monotonic() < until, workers
    assert not any(one["leak"] for one in workers)
