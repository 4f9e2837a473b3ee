"""Uploads that are cut: kill -9 of the worker, the keeper or the client; nothing half is ever seen.

Rule: what goes on after a cut is another process than the one that began.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets.sync.client as connection

from door_under_test import UNIT, Door, open_door

DATA = os.urandom(3 << 20)
LARGE = os.urandom(24 << 20)


@pytest.fixture(scope="module")
def own_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door whose processes may be killed."""
    with open_door(tmp_path_factory.mktemp("killed")) as opened:
        yield opened


def begin(door: Door, name: str) -> str:
    """Begin an upload of DATA over the native face; return its address."""
    asked = {
        "path": f"/cut/{name}",
        "size": len(DATA),
        "checksums": {"sha256": hashlib.sha256(DATA).hexdigest()},
    }
    return str(door.told("POST", "/api/v1/transfers", json=asked)["location"])


def send(door: Door, where: str, start: int, stop: int) -> int:
    """Send DATA[start:stop]; return the status."""
    said = {"Content-Range": f"bytes {start}-{stop - 1}/{len(DATA)}"}
    return door.http.put(where, content=DATA[start:stop], headers=said).status_code


def half_sent(door: Door, where: str, size: int) -> socket.socket:
    """Begin to send all of DATA over a socket of its own; send `size` bytes of it."""
    link = socket.create_connection(("127.0.0.1", door.port))
    head = f"PUT {where} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(DATA)}\r\n"
    link.sendall(head.encode() + f"Content-Range: bytes 0-{len(DATA) - 1}/{len(DATA)}\r\n\r\n".encode())
    link.sendall(DATA[:size])
    return link


def wait_offset(door: Door, where: str, least: int) -> int:
    """Wait until the upload holds at least `least` bytes; return how many."""
    until = time.monotonic() + 30
    while (offset := door.told("GET", where)["offset"]) < least:
        assert time.monotonic() < until, f"{offset} bytes are held, {least} were sent"
        time.sleep(0.05)
    return int(offset)


def wait_parked(door: Door, where: str) -> dict[str, Any]:
    """Wait until the transfer is parked; return what is told of it."""
    until = time.monotonic() + 30
    while (told := door.told("GET", where))["state"] != "parked":
        assert time.monotonic() < until, told
        time.sleep(0.05)
    assert (told["resumable"], bool(told["error"])) == (True, True)
    return told


def parked_in_events(events: "connection.ClientConnection", key: str) -> dict[str, Any]:
    """Return the event that tells that the transfer `key` was parked."""
    until = time.monotonic() + 30
    while True:
        told = json.loads(events.recv(timeout=max(0.1, until - time.monotonic())))
        transfer = told.get("transfer", {})
        if (transfer.get("key"), transfer.get("state")) == (key, "parked"):
            return dict(transfer)


def finish_and_check(door: Door, where: str, name: str) -> None:
    """Go on from the verified offset; the file is whole then, and was not there before."""
    assert door.http.get(f"/api/v1/paths/cut/{name}").status_code == 404
    told = door.told("POST", where + "/resume")
    assert told["resumable"]
    assert send(door, where, told["offset"], len(DATA)) == 200
    assert door.http.get(f"/api/v1/content/cut/{name}").content == DATA
    done = door.told("GET", where)
    assert (done["state"], done["offset"], done["resumable"]) == ("committed", len(DATA), False)


def kill_worker(door: Door, then: Callable[[], object] = lambda: None) -> None:
    """Kill the worker and do something at once; wait until there is another one."""
    before = door.pid()
    door.drive.kill(before)
    then()
    door.drive.wait_status(lambda told: told["gateway"]["pid"] not in (None, before))
    door.wait_up()


@contextlib.contextmanager
def begun_download(door: Door, where: str) -> Iterator[tuple[bytes, str]]:
    """Yield the first bytes of a download under way, and its key."""
    with door.http.stream("GET", where) as answer:
        got = next(answer.iter_raw(1 << 20))
        with contextlib.suppress(httpx.TransportError):
            yield got, answer.headers["x-trivet-transfer"]


def test_killed_worker_leaves_an_upload_that_another_worker_finishes(own_door: Door) -> None:
    where = begin(own_door, "worker")
    assert send(own_door, where, 0, 4 * UNIT) == 308
    key = where.rpartition("/")[2]
    (lock,) = own_door.drive.state.rglob(f"{key}.lock")
    with lock.open("r+") as held:
        with half_sent(own_door, where, 6 * UNIT):
            # as its writer had it: whoever listens is told of the parking, however long a new worker takes
            kill_worker(own_door, lambda: fcntl.flock(held, fcntl.LOCK_EX))
        with connection.connect(f"ws://127.0.0.1:{own_door.port}/api/v1/events") as events:
            assert json.loads(events.recv(timeout=30))["type"] == "hello"
            fcntl.flock(held, fcntl.LOCK_UN)
            assert parked_in_events(events, key)["offset"] >= 4 * UNIT
    assert wait_parked(own_door, where)["offset"] >= 4 * UNIT
    finish_and_check(own_door, where, "worker")


def test_killed_worker_leaves_a_download_that_another_worker_goes_on_with(own_door: Door) -> None:
    own_door.told("PUT", "/api/v1/content/down.bin", content=LARGE)
    with begun_download(own_door, "/api/v1/content/down.bin") as (got, key):
        kill_worker(own_door)
    where = f"/api/v1/transfers/{key}"
    wait_parked(own_door, where)
    told = own_door.told("PUT", "/api/v1/content/down.bin", content=b"another version by now")
    held = {"offset": len(got), "sha256": hashlib.sha256(got).hexdigest()}
    assert own_door.told("POST", where + "/resume", json=held)["offset"] == len(got)
    rest = own_door.http.get(where + "/content", headers={"Range": f"bytes={len(got)}-"})
    assert (rest.status_code, got + rest.content == LARGE) == (206, True)
    assert own_door.told("GET", where)["state"] == "committed"
    assert own_door.http.get(f"/api/v1/files/{told['id']}/content").content == b"another version by now"


def test_killed_client_leaves_a_download_that_curl_goes_on_with(own_door: Door, tmp_path: Path) -> None:
    own_door.told("PUT", "/api/v1/content/curl.bin", content=LARGE)
    made = own_door.told("POST", "/api/v1/transfers", json={"direction": "download", "path": "/curl.bin"})
    file, words = tmp_path / "got", ["curl", "-sS", own_door.address + made["location"], "-o"]
    with subprocess.Popen([*words, file, "--limit-rate", "2M"]) as client:
        until = time.monotonic() + 20
        while not file.exists() or file.stat().st_size < 1 << 20:
            assert time.monotonic() < until
            time.sleep(0.02)
        client.kill()
    told = wait_parked(own_door, f"/api/v1/transfers/{made['key']}")
    assert told["offset"] >= file.stat().st_size
    subprocess.run([*words, file, "-C", "-"], check=True, timeout=60)
    assert file.read_bytes() == LARGE


def test_killed_keeper_leaves_an_upload_that_goes_on(own_door: Door) -> None:
    where = begin(own_door, "keeper")
    assert send(own_door, where, 0, 4 * UNIT) == 308
    before = own_door.drive.keeper_pid()
    with half_sent(own_door, where, 6 * UNIT):
        own_door.drive.kill(before)
        own_door.drive.wait_status(lambda told: told["keeper"]["pid"] not in (None, before), 60)
    wait_parked(own_door, where)
    own_door.wait_up()
    finish_and_check(own_door, where, "keeper")


def test_client_that_is_cut_finds_what_was_taken_parked(own_door: Door) -> None:
    where = begin(own_door, "client")
    with half_sent(own_door, where, 2 * (1 << 20) + 5):
        pass
    held = wait_offset(own_door, where, 2 << 20)
    assert held <= 2 * (1 << 20) + 5
    assert own_door.told("GET", where)["state"] == "parked"
    finish_and_check(own_door, where, "client")


def test_wrong_checksum_is_rolled_back_and_nothing_is_seen(own_door: Door) -> None:
    asked = {"path": "/cut/wrong", "size": 5, "checksums": {"sha256": "0" * 64}}
    where = own_door.told("POST", "/api/v1/transfers", json=asked)["location"]
    answer = own_door.http.put(where, content=b"12345")
    assert (answer.status_code, answer.json()["code"]) == (422, "corrupt_content")
    assert own_door.told("GET", where)["state"] == "rolled back"
    assert own_door.http.get("/api/v1/paths/cut/wrong").status_code == 404
    assert own_door.http.put(where, content=b"12345").status_code == 404


def test_a_cut_update_leaves_the_old_content(own_door: Door) -> None:
    made = own_door.told("PUT", "/api/v1/content/old.txt", content=b"the old one")
    with half_sent(own_door, f"/api/v1/files/{made['id']}/content", 1 << 20):
        pass
    answer = own_door.http.get("/api/v1/content/old.txt")
    assert (answer.content, answer.headers["etag"]) == (b"the old one", made["etag"])


def test_two_workers_share_the_port_and_an_upload(own_door: Door) -> None:
    words = [sys.executable, "-m", "trivet", "serve", "gateway", "--port", str(own_door.port), "--no-auth"]
    log = own_door.drive.state / "gateway" / "gateway.log"
    started = log.read_text().count("Started server process")
    with subprocess.Popen([*words, "--state", str(own_door.drive.state)]) as second:
        try:
            until = time.monotonic() + 20
            while log.read_text().count("Started server process") <= started:
                assert time.monotonic() < until
                time.sleep(0.05)
            where = begin(own_door, "shared")
            for at in range(0, len(DATA), 2 * UNIT):
                own_door.http.close()
                own_door.http = type(own_door.http)(base_url=own_door.address, timeout=30)
                assert send(own_door, where, at, min(at + 2 * UNIT, len(DATA))) in {200, 308}
            assert own_door.http.get("/api/v1/content/cut/shared").content == DATA
        finally:
            second.terminate()
            assert second.wait(20) == 0
