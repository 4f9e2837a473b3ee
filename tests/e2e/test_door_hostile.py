"""Bad input at the door: the documented error, bounded memory, nothing changed."""

import json
import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from door_under_test import FOLDER, Door

MIB = 1 << 20


@pytest.fixture
def folder(door: Door, request: pytest.FixtureRequest) -> str:
    """A folder for one test."""
    return door.folder(request.node.name.partition("[")[0])


@pytest.fixture
def memory_stays(door: Door) -> Iterator[None]:
    """Assert that the worker takes no more than 64 MiB for whatever the test does."""
    worker = psutil.Process(door.pid())
    before = worker.memory_info().rss
    yield
    assert worker.is_running()
    assert worker.memory_info().rss - before < 64 * MIB


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../../etc/passwd", "/etc/passwd", "a\x00b", "a\nb", "x" * 300, "\ud800"]
)
def test_names_that_are_none(door: Door, folder: str, name: str) -> None:
    body = json.dumps({"name": name, "parents": [folder], "mimeType": FOLDER}).encode()
    status, error = door.refused("POST", "/drive/v3/files", content=body)
    assert (status, error["reason"]) in {(400, "invalid"), (400, "badRequest")}
    assert door.names(folder) == []


@pytest.mark.parametrize(
    "path",
    ["../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "a%00b", "x" * 300,
     "%c0%ae%c0%ae/etc/passwd", "/".join(["d"] * 120)],
)  # fmt: skip
def test_paths_that_lead_out(door: Door, path: str) -> None:
    answer = door.raw(
        f"GET /api/v1/content/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.split(b" ", 2)[1] in {b"400", b"404"}, answer[:200]
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"x"', b"\xff\xfe", b'{"name": 5}', b'{"parents": "x"}', b"[" * 100_000,
     b'{"a":' * 100_000, b'{"properties":' + b'{"a":' * 50_000],
)  # fmt: skip
def test_json_that_is_none_or_a_bomb(door: Door, memory_stays: None, body: bytes) -> None:
    status, error = door.refused("POST", "/drive/v3/files", content=body)
    assert (status, error["domain"]) == (400, "global")


@pytest.mark.parametrize("path", ["/drive/v3/files", "/api/v1/folders", "/batch/drive/v3", "/api/v1/login"])
def test_a_flood_of_body_where_little_is_wanted(door: Door, memory_stays: None, path: str) -> None:
    def flood() -> Iterator[bytes]:
        for _ in range(32):
            yield b" " * MIB

    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    answer = door.http.post(path, content=flood(), headers=headers)
    assert answer.status_code in {400, 413}, answer.text


def test_a_flood_of_headers(door: Door, memory_stays: None) -> None:
    lines = b"".join(b"X-Flood-%d: %s\r\n" % (n, b"x" * 1000) for n in range(500))
    answer = door.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")
    assert b" 200 " not in answer[:20]
    endless = door.raw(b"GET /healthz HTTP/1.1\r\nX: " + b"y" * (4 * MIB))
    assert b" 200 " not in endless[:20]
    assert door.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 500, b"PRI * HTTP/2.0\r\n\r\n"]
)
def test_what_is_no_http(door: Door, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as link:
        link.sendall(said)
        link.shutdown(socket.SHUT_WR)
        link.recv(1000)
    assert door.http.get("/healthz").status_code == 200


def test_slow_headers_are_not_waited_for(door: Door) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", door.port), timeout=40) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert link.recv(1000).startswith(b"HTTP/1.1 408")
    assert 10 < time.monotonic() - began < 25


def test_a_cycle_of_folders_is_refused(door: Door, folder: str) -> None:
    one = door.folder("one", folder)
    two = door.folder("two", one)
    three = door.folder("three", two)
    for target in (one, two, three):
        status, _ = door.refused("PATCH", f"/drive/v3/files/{one}?addParents={target}", json={})
        assert status == 400
    assert door.told("GET", f"/drive/v3/files/{one}?fields=parents") == {"parents": [folder]}


def test_folders_are_not_nested_without_end(door: Door) -> None:
    here = "root"
    statuses = []
    for depth in range(105):
        answer = door.http.post(
            "/drive/v3/files", json={"name": f"d{depth}", "mimeType": FOLDER, "parents": [here]}
        )
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            assert answer.json()["error"]["errors"][0]["location"] == "parents"
            break
        here = answer.json()["id"]
    assert statuses[-1] == 400
    assert len(statuses) > 90


def test_two_parents_are_refused(door: Door, folder: str) -> None:
    status, error = door.refused("POST", "/drive/v3/files", json={"name": "x", "parents": [folder, "root"]})
    assert (status, error["location"]) == (400, "parents")


@pytest.mark.parametrize(
    "kind",
    ["multipart/related", "multipart/related; boundary=", "multipart/related; boundary=zz", "text/plain"],
)
def test_multipart_that_is_none(door: Door, folder: str, kind: str) -> None:
    body = b'--b\r\n\r\n{"name":"n"}\r\n--b\r\n\r\ndata\r\n'
    path = "/upload/drive/v3/files?uploadType=multipart"
    status, _ = door.refused("POST", path, content=body, headers={"Content-Type": kind})
    assert status == 400


def test_a_cut_multipart_body_makes_no_file(door: Door, folder: str) -> None:
    body = b'--b\r\n\r\n{"name":"cut","parents":["' + folder.encode() + b'"]}\r\n--b\r\n\r\nhalf of the da'
    path = "/upload/drive/v3/files?uploadType=multipart"
    headers = {"Content-Type": "multipart/related; boundary=b"}
    assert door.refused("POST", path, content=body, headers=headers)[0] == 400
    assert door.names(folder) == []


def test_a_batch_of_101_calls_is_refused(door: Door) -> None:
    call = b"--b\r\nContent-Type: application/http\r\n\r\nGET /drive/v3/files/root\r\n\r\n\r\n"
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    answer = door.http.post("/batch/drive/v3", content=call * 101 + b"--b--", headers=headers)
    assert answer.status_code == 413
    inner = b"--b\r\nContent-Type: application/http\r\n\r\nPOST /batch/drive/v3\r\n\r\n\r\n--b--"
    answer = door.http.post("/batch/drive/v3", content=inner, headers=headers)
    assert b"HTTP/1.1 400" in answer.content


def test_other_sites_may_change_nothing(door: Door, folder: str) -> None:
    headers = {"Origin": "https://evil.example"}
    answer = door.http.post("/drive/v3/files", json={"name": "x", "parents": [folder]}, headers=headers)
    assert answer.status_code in {401, 403}
    answer = door.http.get("/drive/v3/files", headers={"Host": "evil.example"})
    assert answer.status_code in {401, 403}
    assert door.names(folder) == []
