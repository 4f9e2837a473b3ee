"""The native face: paths, versions, locks, trash, events, the OpenAPI document, the access log."""

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import websockets

from door_under_test import Door


@pytest.fixture
def path(door: Door, request: pytest.FixtureRequest) -> str:
    """A file with the content `one`; its path in the API."""
    place = f"/api/v1/content/native/{request.node.name}.txt"
    door.told("POST", "/api/v1/folders", json={"path": "native"})
    assert door.http.put(place, content=b"one").status_code in {200, 201}
    return place


def told(door: Door, path: str) -> dict[str, Any]:
    """Return what is told of the file at `path`."""
    return door.told("GET", path.replace("/content/", "/paths/"))


def test_curl_uploads_and_downloads(door: Door, tmp_path: Any) -> None:
    source, target = tmp_path / "a b.txt", tmp_path / "back"
    source.write_bytes(b"from curl")
    where = f"{door.address}/api/v1/content/curl.txt"
    subprocess.run(["curl", "-fsS", "-T", source, where], check=True, capture_output=True)
    subprocess.run(["curl", "-fsS", "-o", target, where], check=True, capture_output=True)
    assert target.read_bytes() == b"from curl"


def test_etag_and_conditions(door: Door, path: str) -> None:
    etag = told(door, path)["etag"]
    got = door.http.get(path)
    assert (got.content, got.headers["etag"]) == (b"one", etag)
    assert door.http.get(path, headers={"If-None-Match": etag}).status_code == 304
    assert door.http.put(path, content=b"x", headers={"If-None-Match": "*"}).status_code == 412
    assert door.http.put(path, content=b"two", headers={"If-Match": etag}).status_code == 200
    stale = door.http.put(path, content=b"three", headers={"If-Match": etag})
    assert (stale.status_code, stale.headers["content-type"]) == (412, "application/problem+json")
    assert door.http.get(path).content == b"two"
    assert door.http.head(path).headers["content-length"] == "3"


def test_what_a_worker_keeps_is_never_stale(door: Door, path: str) -> None:
    place = f"/api/v1/files/{told(door, path)['id']}"
    for content in (b"two", b"three", b""):
        door.told("PUT", path, content=content)
        for _ in range(3):
            assert door.http.get(f"{place}/content").content == content
    door.told("PUT", path, content=b"0123456789")
    assert door.http.get(f"{place}/content").content == b"0123456789"
    part = door.http.get(f"{place}/content", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-length"]) == (206, b"234", "3")
    door.told("DELETE", f"/api/v1/files/{told(door, path)['id']}?forever=true")
    assert door.http.get(f"{place}/content").status_code == 404


def test_lock_with_a_fencing_token(door: Door, path: str) -> None:
    place = f"/api/v1/files/{told(door, path)['id']}"
    lock = door.told("POST", f"{place}/locks", json={"owner": "a", "ttl_s": 60})
    other = door.http.put(path, content=b"other", headers={"X-Trivet-Owner": "b"})
    assert (other.status_code, other.json()["holder"].rpartition("/")[2]) == (423, "a")
    assert other.json()["expires_at_s"] > time.time()
    mine = {"X-Trivet-Owner": "a", "X-Trivet-Lock": str(lock["token"])}
    assert door.http.put(path, content=b"mine", headers=mine).status_code == 200
    assert door.http.delete(f"{place}/locks?owner=a&token={lock['token']}").status_code == 204
    assert door.http.put(path, content=b"late", headers=mine).status_code == 412
    assert door.http.get(path).content == b"mine"


def test_old_version_is_restored(door: Door, path: str) -> None:
    door.told("PUT", path, content=b"two")
    place = f"/api/v1/files/{told(door, path)['id']}"
    first, second = door.told("GET", f"{place}/revisions")["revisions"]
    assert (first.get("head", False), second["head"]) == (False, True)
    assert door.http.get(f"{place}/revisions/{first['id']}/content").content == b"one"
    door.told("POST", f"{place}/revisions/{first['id']}/restore")
    assert door.http.get(path).content == b"one"
    assert len(door.told("GET", f"{place}/revisions")["revisions"]) == 3


def test_trash_and_back(door: Door, path: str) -> None:
    made = told(door, path)
    assert door.told("DELETE", f"/api/v1/files/{made['id']}")["trashed"] is True
    assert door.http.get(path).status_code == 404
    assert made["id"] in [file["id"] for file in door.told("GET", "/api/v1/trash")["files"]]
    door.told("POST", f"/api/v1/trash/{made['id']}/restore")
    assert door.http.get(path).content == b"one"


def test_folder_rule_refuses_what_is_not_what_it_says(door: Door) -> None:
    folder = door.told("POST", "/api/v1/folders", json={"path": "strict"})
    door.told("PATCH", f"/api/v1/files/{folder['id']}", json={"validate": "refuse"})
    png = b"\x89PNG\r\n\x1a\n" + b"\0" * 5000
    answer = door.http.put("/api/v1/content/strict/a.pdf", content=png)
    assert (answer.status_code, answer.json()["suggested_name"]) == (415, "a.png")
    assert door.http.get("/api/v1/content/strict/a.pdf").status_code == 404
    door.told("PATCH", f"/api/v1/files/{folder['id']}", json={"validate": "flag"})
    assert "fault" in door.told("PUT", "/api/v1/content/strict/a.pdf", content=png)


async def test_events_go_on_from_a_sequence_number(door: Door) -> None:
    where = f"ws://127.0.0.1:{door.port}/api/v1/events"

    async def until(socket: Any, name: str) -> int:
        async with asyncio.timeout(20):
            while True:
                event = json.loads(await socket.recv())
                if event["type"] == "changed" and event["file"]["name"] == name:
                    return int(event["seq"])

    async with websockets.connect(where) as socket:
        assert json.loads(await socket.recv())["type"] == "hello"
        await asyncio.to_thread(door.http.put, "/api/v1/content/event-1", content=b"1")
        seq = await until(socket, "event-1")
    await asyncio.to_thread(door.http.put, "/api/v1/content/event-2", content=b"2")
    async with websockets.connect(f"{where}?after={seq}") as socket:
        assert await until(socket, "event-2") > seq


def test_access_log_is_read_by_trivet_logs(door: Door) -> None:
    answer = door.http.get("/api/v1/paths/no%22such", headers={"User-Agent": 'a"b\\c'})
    assert answer.status_code == 404
    log = door.drive.state / "gateway" / "access.log"
    until = time.monotonic() + 10
    while not (
        found := [one for one in log.read_text().splitlines() if answer.headers["x-request-id"] in one]
    ):
        assert time.monotonic() < until, "the request is not in the log"
        time.sleep(0.01)
    (line,) = found
    assert '"a\\"b\\\\c"' in line
    done = subprocess.run(
        [sys.executable, "-m", "trivet", "logs", str(log), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert '"malformed": 0' in json.dumps(report) or report.get("malformed", 0) == 0


def test_openapi_names_every_operation_once(door: Door) -> None:
    document = door.told("GET", "/api/v1/openapi.json")
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names)) > 30
    told = {"login", "logout", "me", "health", "repairs", "transfers", "trash", "search"}
    assert told <= {path.split("/")[3] for path in document["paths"]}


def test_health_is_told_to_anybody_and_more_to_users(door: Door) -> None:
    assert door.told("GET", "/healthz")["status"] == "ok"
    assert len(door.told("GET", "/api/v1/health")["banks"]) == 3


@pytest.mark.parametrize("headers", [{"If-None-Match": "*"}, {}])
def test_of_many_who_make_a_path_at_once_one_makes_it(door: Door, headers: dict[str, str]) -> None:
    folder = door.told("POST", "/api/v1/folders", json={"path": f"race{len(headers)}"})
    place = f"/api/v1/content/race{len(headers)}/new"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: door.http.put(place, content=b"%d" % n, headers=headers), range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == ([201] + [412] * 7 if headers else [200] * 7 + [201])
    assert door.names(folder["id"]) == ["new"]
