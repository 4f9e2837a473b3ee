"""How official clients send what they ask for: long questions as POST, bodies packed by gzip, `$fields`."""

import gzip
import hashlib
import json
import os

import pytest

from door_under_test import FOLDER, Door

PACKED = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


def test_a_question_too_long_for_an_address_comes_as_a_post(door: Door) -> None:
    folder = door.folder("long question")
    door.put("wanted", b"x", folder)
    many = " or ".join(f"name = 'no such file {number}'" for number in range(200))
    drive = door.google()
    found = drive.files().list(q=f"'{folder}' in parents and (name = 'wanted' or {many})").execute()
    assert [file["name"] for file in found["files"]] == ["wanted"]


def test_the_method_may_be_said_in_a_header(door: Door) -> None:
    file = door.put("method", b"x")["id"]
    path = f"/drive/v3/files/{file}?fields=name"
    said = {"X-HTTP-Method-Override": "PATCH"}
    assert door.told("POST", path, json={"name": "method 2"}, headers=said) == {"name": "method 2"}
    assert door.http.post(path, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert door.refused("GET", path)[0] == 404
    assert door.refused("POST", path, headers={"X-HTTP-Method-Override": "BREW"})[0] == 400
    flood = {"X-HTTP-Method-Override": "GET", "Content-Type": "application/x-www-form-urlencoded"}
    assert door.refused("POST", "/drive/v3/files", content=b"q=" + b"x" * (2 << 20), headers=flood)[0] == 413


def test_bodies_packed_by_gzip(door: Door) -> None:
    made = gzip.compress(json.dumps({"name": "packed", "mimeType": FOLDER}).encode())
    folder = door.told("POST", "/drive/v3/files", content=made, headers=PACKED)
    assert folder["name"] == "packed"
    data = os.urandom(300_000) + bytes(3_000_000)
    body = b"--b\r\nContent-Type: application/json\r\n\r\n" + json.dumps({"parents": [folder["id"]]}).encode()
    body += b"\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n" + data + b"\r\n--b--"
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/related; boundary=b"}
    path = "/upload/drive/v3/files?uploadType=multipart&fields=sha256Checksum,size"
    told = door.told("POST", path, content=gzip.compress(body), headers=headers)
    assert told == {"sha256Checksum": hashlib.sha256(data).hexdigest(), "size": str(len(data))}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(b" " * (64 << 20)), 413),
        (gzip.compress(b"{}")[:-4], 400),
        (b"no gzip", 400),
        (gzip.compress(b"{}") + b"more", 400),
    ],
    ids=["burst", "cut", "other", "followed"],
)
def test_packed_bodies_that_burst_or_break(door: Door, body: bytes, status: int) -> None:
    assert door.refused("POST", "/drive/v3/files", content=body, headers=PACKED)[0] == status


def test_a_coding_nobody_knows_is_refused(door: Door) -> None:
    headers = PACKED | {"Content-Encoding": "br"}
    assert door.refused("POST", "/drive/v3/files", content=b"{}", headers=headers)[0] in {400, 415}


def test_fields_with_a_dollar(door: Door) -> None:
    assert door.told("GET", "/drive/v3/files/root?$fields=id") == {
        "id": door.told("GET", "/drive/v3/files/root")["id"]
    }
